package agentrpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// recorder is a server that remembers the last request and answers what it is
// given.
type recorder struct {
	actor towpath.Actor
	req   any
	err   error
	ops   []towpath.Operation
	blob  []byte
	size  int64
}

func (r *recorder) saw(actor towpath.Actor, req any) error {
	r.actor, r.req = actor, req
	return r.err
}

func (r *recorder) Hello(_ context.Context, a towpath.Actor, req agentrpc.HelloRequest) (agentrpc.HelloResponse, error) {
	return agentrpc.HelloResponse{Epoch: 3, ServerKey: "key", HeartbeatEvery: time.Second}, r.saw(a, req)
}

func (r *recorder) Claim(_ context.Context, a towpath.Actor, req agentrpc.ClaimRequest) ([]towpath.Operation, error) {
	return r.ops, r.saw(a, req)
}

func (r *recorder) Renew(_ context.Context, a towpath.Actor, req agentrpc.RenewRequest) (agentrpc.RenewResponse, error) {
	return agentrpc.RenewResponse{Results: []agentrpc.RenewResult{{Operation: "op_1", Fence: 4, Status: agentrpc.RenewCancelled}}}, r.saw(a, req)
}

func (r *recorder) Report(_ context.Context, a towpath.Actor, req agentrpc.ReportRequest) error {
	return r.saw(a, req)
}

func (r *recorder) Finish(_ context.Context, a towpath.Actor, req agentrpc.FinishRequest) (agentrpc.FinishResponse, error) {
	return agentrpc.FinishResponse{Status: agentrpc.FinishStale}, r.saw(a, req)
}

func (r *recorder) Observe(_ context.Context, a towpath.Actor, req agentrpc.ObserveRequest) error {
	return r.saw(a, req)
}

func (r *recorder) Count(_ context.Context, a towpath.Actor, req agentrpc.CountRequest) error {
	return r.saw(a, req)
}

func (r *recorder) Sample(_ context.Context, a towpath.Actor, req agentrpc.SampleRequest) error {
	return r.saw(a, req)
}

func (r *recorder) OpenBlob(_ context.Context, a towpath.Actor, d towpath.Digest) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(r.blob)), r.size, r.saw(a, d)
}

const token = "tow_secret"

// connect serves a server over a pipe.
func connect(t *testing.T, srv agentrpc.Server, bearer string) (*agentrpc.Client, *http.Client) {
	t.Helper()
	ln, hc := agentrpc.Pipe()
	s := &http.Server{Handler: agentrpc.NewHandler(srv, func(r *http.Request) (towpath.Actor, error) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			return towpath.Actor{}, towpath.E(towpath.KindUnauthenticated, "test", "who are you?")
		}
		return towpath.Actor{Account: "agent-1"}, nil
	}, slog.New(slog.DiscardHandler))}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { hc.CloseIdleConnections(); s.Close() })
	return agentrpc.NewClient("http://server/", bearer, hc), hc
}

func TestClient_Calls(t *testing.T) {
	at := time.Date(2026, 11, 20, 22, 30, 0, 0, time.UTC)
	target := towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: "main"}
	op := towpath.Operation{ID: "op_1", Target: target, Verb: towpath.VerbSwitch, Fence: 4, Spec: towpath.OperationSpec{Revision: "rev_1", Timeout: time.Minute}}
	srv := &recorder{ops: []towpath.Operation{op}}
	c, _ := connect(t, srv, token)
	ctx := t.Context()
	check := func(name string, sent, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s answered %+v, %v; want %+v", name, got, err, want)
		}
		if srv.actor.Account != "agent-1" || !reflect.DeepEqual(srv.req, sent) {
			t.Errorf("%s: the server saw %+v of %s, want %+v", name, srv.req, srv.actor.Account, sent)
		}
	}
	hello := agentrpc.HelloRequest{
		Agent: "host-1", Place: "local", Session: "ses_1", Kinds: []towpath.ComponentKind{towpath.KindProcess},
		Journal: agentrpc.JournalSummary{
			Fences:     []agentrpc.TargetFence{{Target: target, Fence: 3}},
			Unfinished: []agentrpc.UnfinishedOperation{{Operation: "op_1", Target: target, Fence: 3, Phase: agentrpc.JournalIntent}},
		},
	}
	resp, err := c.Hello(ctx, hello)
	check("hello", hello, resp, agentrpc.HelloResponse{Epoch: 3, ServerKey: "key", HeartbeatEvery: time.Second}, err)
	ops, err := c.Claim(ctx, "ses_1", 5, time.Second)
	check("claim", agentrpc.ClaimRequest{Session: "ses_1", Max: 5, Wait: time.Second}, ops, []towpath.Operation{op}, err)
	renewed, err := c.Renew(ctx, "ses_1", []agentrpc.OperationFence{{Operation: "op_1", Fence: 4}})
	check("renew", agentrpc.RenewRequest{Session: "ses_1", Operations: []agentrpc.OperationFence{{Operation: "op_1", Fence: 4}}},
		renewed, []agentrpc.RenewResult{{Operation: "op_1", Fence: 4, Status: agentrpc.RenewCancelled}}, err)
	report := agentrpc.ReportRequest{Session: "ses_1", Operation: "op_1", Fence: 4, Seq: 9, Message: "waiting", At: at}
	check("report", report, nil, nil, c.Report(ctx, report))
	finish := agentrpc.FinishRequest{Session: "ses_1", Operation: "op_1", Fence: 4, Seq: 10, Result: towpath.OperationResult{Status: towpath.ResultDone}, At: at}
	status, err := c.Finish(ctx, finish)
	check("finish", finish, status, agentrpc.FinishStale, err)
	observe := agentrpc.ObserveRequest{Session: "ses_1", Place: "local", Observations: []towpath.Observation{{Target: target, Revision: "rev_1", Health: towpath.HealthHealthy, At: at}}}
	check("observe", observe, nil, nil, c.Observe(ctx, observe))
	if _, err := c.Claim(ctx, "ses_1", 0, time.Hour); err != nil || srv.req.(agentrpc.ClaimRequest) != (agentrpc.ClaimRequest{Session: "ses_1", Max: 1, Wait: agentrpc.MaxWait}) {
		t.Errorf("a claim without bounds reached the server as %+v, %v", srv.req, err)
	}
}

func TestClient_Errors(t *testing.T) {
	t.Run("every kind of error arrives as the same kind, with what is public of it", func(t *testing.T) {
		srv := &recorder{}
		c, _ := connect(t, srv, token)
		for _, kind := range towpath.Kinds() {
			sent := towpath.E(kind, "server.op", "no").On("op_1").WithHint("do this").WithCause(errors.New("password=hunter2"))
			sent.Fields = map[string]string{"fence": "4"}
			srv.err = sent
			_, err := c.Finish(t.Context(), agentrpc.FinishRequest{})
			var got *towpath.Error
			if !errors.As(err, &got) || got.Kind != kind || got.Message != "no" || got.Subject != "op_1" || got.Hint != "do this" || got.Fields["fence"] != "4" {
				t.Errorf("%s arrived as %+v", kind, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the cause left the server: %v", kind, err)
			}
		}
		srv.err = errors.New("password=hunter2")
		if _, err := c.Finish(t.Context(), agentrpc.FinishRequest{}); towpath.KindOf(err) != towpath.KindInternal || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("an error of unknown origin arrived as %v", err)
		}
	})
	t.Run("no call works without a valid token", func(t *testing.T) {
		c, _ := connect(t, &recorder{}, "wrong")
		_, err := c.Hello(t.Context(), agentrpc.HelloRequest{})
		_, berr := c.Blob(t.Context(), towpath.DigestOf(nil))
		for _, err := range []error{err, berr, c.Observe(t.Context(), agentrpc.ObserveRequest{})} {
			if towpath.KindOf(err) != towpath.KindUnauthenticated {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a server that can't be reached is unavailable, and a cancelled call says so", func(t *testing.T) {
		ln, hc := agentrpc.Pipe()
		ln.Close()
		c := agentrpc.NewClient("http://server", token, hc)
		if err := c.Report(t.Context(), agentrpc.ReportRequest{}); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Report(ctx, agentrpc.ReportRequest{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a body that is too large, no JSON, or for no call is refused", func(t *testing.T) {
		_, hc := connect(t, &recorder{}, token)
		for _, c := range []struct {
			path, body string
			status     int
		}{
			{"report", `{"message":"` + strings.Repeat("x", 9<<20) + `"}`, http.StatusTooManyRequests},
			{"report", "{", http.StatusBadRequest},
			{"destroy", "{}", http.StatusNotFound},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server/agent/v1/"+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s, want %d", c.path, resp.StatusCode, resp.Header.Get("Content-Type"), c.status)
			}
		}
	})
}

func TestClient_Blob(t *testing.T) {
	content := bytes.Repeat([]byte("towpath "), 100_000)
	for _, c := range []struct {
		name string
		sent []byte
		size int64
		kind towpath.Kind
	}{
		{"gives the bytes of a digest", content, int64(len(content)), ""},
		{"refuses other bytes at their end", append([]byte("x"), content[1:]...), int64(len(content)), towpath.KindConflict},
		{"refuses fewer bytes than promised", content[:len(content)/2], int64(len(content)), towpath.KindUnavailable},
		{"refuses a part that looks whole", content[:len(content)/2], int64(len(content) / 2), towpath.KindConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := connect(t, &recorder{blob: c.sent, size: c.size}, token)
			r, err := client.Blob(t.Context(), towpath.DigestOf(content))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if towpath.KindOf(err) != c.kind || c.kind == "" && !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}
