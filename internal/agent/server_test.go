package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// server is the server's side in memory: it hands out operations one after the
// other, as fences and leases demand, and remembers what it is told.
type server struct {
	signer  note.Signer
	key     string
	lease   time.Duration
	blobs   map[towpath.Digest][]byte
	handler http.Handler

	mu       sync.Mutex
	samples  []agentrpc.SampleRequest
	changed  chan struct{}
	down     bool         // answers nothing but 503
	refuses  towpath.Kind // the token, if not empty
	deaf     bool         // takes no result
	ops      []*towpath.Operation
	fences   map[string]int64
	finishes []agentrpc.FinishRequest
	stale    []agentrpc.FinishRequest
	reports  map[towpath.OperationID]map[int64]string
	hellos   []agentrpc.HelloRequest
	observed []towpath.Observation
	counted  []agentrpc.CountRequest
	errors   int    // ends of operations that were errors, and are tried again
	erred    string // what the last one said
}

// mostErrors is how many errors there are before nothing is tried again: an agent
// that errs for ever at once would keep the clock of a bubble from going on, and
// the test from ending.
const mostErrors = 1000

func newServer(t testing.TB) *server {
	t.Helper()
	secret, key, err := note.GenerateKey(rand.Reader, "towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		signer: signer, key: key, lease: time.Second, blobs: map[towpath.Digest][]byte{}, changed: make(chan struct{}),
		fences: map[string]int64{}, reports: map[towpath.OperationID]map[int64]string{},
	}
	s.handler = agentrpc.NewHandler(s, func(r *http.Request) (towpath.Actor, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			return towpath.Actor{}, towpath.E(towpath.KindUnavailable, "test", "the server is down")
		}
		if s.refuses != "" {
			return towpath.Actor{}, towpath.E(s.refuses, "test", "the token is not wanted").WithHint("ask an admin")
		}
		return towpath.Actor{Account: "agent"}, nil
	}, slog.New(slog.DiscardHandler))
	return s
}

// pipe serves in this process.
func (s *server) pipe(t testing.TB) *agentrpc.Client {
	t.Helper()
	ln, client := agentrpc.Pipe()
	s.serve(t, ln)
	t.Cleanup(client.CloseIdleConnections)
	return agentrpc.NewClient("http://server", "token", client)
}

// listen serves other processes and gives the URL.
func (s *server) listen(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t, ln)
	return "http://" + ln.Addr().String()
}

func (s *server) serve(t testing.TB, ln net.Listener) {
	t.Helper()
	srv := &http.Server{Handler: s.handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
}

// locked changes or reads the server, and wakes who waits for it.
func (s *server) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// authorise signs for a deployment.
func (s *server) authorise(t testing.TB, a agentrpc.Authorisation) string {
	t.Helper()
	signed, err := a.Sign(s.signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// add queues an operation, authorised as a promotion, or as a repair if it is
// one, unless it says how.
func (s *server) add(t testing.TB, op towpath.Operation) {
	t.Helper()
	if op.Deployment == "" {
		op.Deployment = "dep_1"
	}
	if op.Spec.Authorisation == "" {
		kind := towpath.DeploymentPromotion
		if op.Verb == towpath.VerbRepair {
			kind = towpath.DeploymentRepair
		}
		op.Spec.Authorisation = s.authorise(t, agentrpc.Authorisation{
			Kind: kind, Project: op.Target.Project, Environment: op.Target.Environment,
			Deployment: op.Deployment, Release: op.Spec.Release,
		})
	}
	if op.SpecDigest == "" {
		op.SpecDigest = digestOf(t, op.Spec)
	}
	op.Phase = towpath.OperationPending
	s.locked(func() { s.ops = append(s.ops, &op) })
}

// issued is an operation as it was added.
func (s *server) issued(id towpath.OperationID) towpath.Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range s.ops {
		if op.ID == id {
			return *op
		}
	}
	return towpath.Operation{}
}

func digestOf(t testing.TB, s towpath.OperationSpec) towpath.Digest {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wait waits until a condition of the server holds.
func (s *server) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for {
		s.mu.Lock()
		good, changed := ok(), s.changed
		s.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-end.C:
			b, _ := json.MarshalIndent(s.finishes, "", " ")
			t.Fatalf("waited in vain until %s; %d errors, the last %q; finished: %s", what, s.errors, s.erred, b)
		}
	}
}

// result waits for the accepted result of an operation.
func (s *server) result(t testing.TB, id towpath.OperationID) towpath.OperationResult {
	t.Helper()
	var r towpath.OperationResult
	s.wait(t, string(id)+" ends", func() bool {
		for _, f := range s.finishes {
			if f.Operation == id {
				r = f.Result
				return true
			}
		}
		return false
	})
	return r
}

func (s *server) Hello(_ context.Context, _ towpath.Actor, req agentrpc.HelloRequest) (agentrpc.HelloResponse, error) {
	s.locked(func() {
		s.hellos = append(s.hellos, req)
		for _, f := range req.Journal.Fences {
			s.fences[f.Target.Key()] = max(s.fences[f.Target.Key()], f.Fence)
		}
	})
	return agentrpc.HelloResponse{Epoch: 1, ServerKey: s.key, HeartbeatEvery: s.lease / 4}, nil
}

func (s *server) Claim(ctx context.Context, _ towpath.Actor, req agentrpc.ClaimRequest) ([]towpath.Operation, error) {
	end := time.NewTimer(req.Wait)
	defer end.Stop()
	retry := time.NewTicker(s.lease / 4)
	defer retry.Stop()
	for {
		var got []towpath.Operation
		s.mu.Lock()
		busy := map[string]bool{}
		for _, op := range s.ops {
			free := op.Phase == towpath.OperationPending || op.Phase == towpath.OperationRunning && time.Now().After(op.LeaseUntil)
			if key := op.Target.Key(); !busy[key] && free {
				s.fences[key]++
				op.Phase, op.Fence, op.Lease, op.LeaseUntil = towpath.OperationRunning, s.fences[key], req.Session, time.Now().Add(s.lease)
				got = append(got, *op)
			}
			busy[op.Target.Key()] = busy[op.Target.Key()] || op.Phase == towpath.OperationPending || op.Phase == towpath.OperationRunning
		}
		changed := s.changed
		s.mu.Unlock()
		if len(got) > 0 {
			return got, nil
		}
		select {
		case <-changed:
		case <-retry.C:
		case <-end.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *server) find(id towpath.OperationID, fence int64) *towpath.Operation {
	for _, op := range s.ops {
		if op.ID == id && op.Fence == fence {
			return op
		}
	}
	return nil
}

func (s *server) Renew(_ context.Context, _ towpath.Actor, req agentrpc.RenewRequest) (resp agentrpc.RenewResponse, err error) {
	s.locked(func() {
		for _, o := range req.Operations {
			r := agentrpc.RenewResult{Operation: o.Operation, Fence: o.Fence, Status: agentrpc.RenewSuperseded}
			switch op := s.find(o.Operation, o.Fence); {
			case op == nil:
			case op.Phase == towpath.OperationCancelled:
				r.Status = agentrpc.RenewCancelled
			default:
				op.Lease, op.LeaseUntil = req.Session, time.Now().Add(s.lease)
				r.Status, r.LeaseUntil = agentrpc.RenewOK, op.LeaseUntil
			}
			resp.Results = append(resp.Results, r)
		}
	})
	return resp, nil
}

func (s *server) Report(_ context.Context, _ towpath.Actor, req agentrpc.ReportRequest) error {
	s.locked(func() {
		if s.reports[req.Operation] == nil {
			s.reports[req.Operation] = map[int64]string{}
		}
		s.reports[req.Operation][req.Seq] = req.Message
	})
	return nil
}

func (s *server) Finish(_ context.Context, _ towpath.Actor, req agentrpc.FinishRequest) (resp agentrpc.FinishResponse, err error) {
	s.locked(func() {
		if s.deaf {
			err = towpath.E(towpath.KindUnavailable, "test", "the disk is full")
			return
		}
		resp.Status = agentrpc.FinishAccepted
		switch op := s.find(req.Operation, req.Fence); {
		case op == nil || op.Phase == towpath.OperationCancelled:
			resp.Status = agentrpc.FinishStale
			s.stale = append(s.stale, req)
		case op.Phase != towpath.OperationRunning: // told again
		case req.Result.Status == towpath.ResultError:
			op.Phase = towpath.OperationPending
			if s.errors++; s.errors > mostErrors {
				op.Phase = towpath.OperationUnknown
			}
			s.erred = req.Result.Message
		default:
			op.Phase = towpath.OperationSucceeded
			s.finishes = append(s.finishes, req)
		}
	})
	return resp, nil
}

func (s *server) Observe(_ context.Context, _ towpath.Actor, req agentrpc.ObserveRequest) error {
	s.locked(func() { s.observed = req.Observations })
	return nil
}

func (s *server) Sample(_ context.Context, _ towpath.Actor, req agentrpc.SampleRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, req)
	return nil
}

func (s *server) Count(_ context.Context, _ towpath.Actor, req agentrpc.CountRequest) error {
	s.locked(func() { s.counted = append(s.counted, req) })
	return nil
}

func (s *server) OpenBlob(_ context.Context, _ towpath.Actor, d towpath.Digest) (io.ReadCloser, int64, error) {
	b, ok := s.blobs[d]
	if !ok {
		return nil, 0, towpath.E(towpath.KindNotFound, "test", "no such blob")
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}
