package agent_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// script is a runner whose every step a test decides.
type script struct {
	mu      sync.Mutex
	began   []string // "switch op_1"
	overlap bool
	active  map[string]bool
	do      func(ctx context.Context, w kind.Work) error
	recover func(w kind.Work) (kind.Recovery, error)
	plan    towpath.ComponentPlan
	seen    []towpath.Observation
	counts  func() ([]kind.Count, error)
	kept    int                       // rounds of Keep
	looked  []int                     // how many of those each look came after
	look    func(ctx context.Context) // what a look waits for
}

func (s *script) Kind() towpath.ComponentKind { return towpath.KindProcess }

func (s *script) step(ctx context.Context, w kind.Work) error {
	key := w.Operation.Target.Key()
	s.mu.Lock()
	s.began = append(s.began, string(w.Operation.Verb)+" "+string(w.Operation.ID))
	s.overlap = s.overlap || s.active[key]
	s.active[key] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.active[key] = false
	}()
	if s.do == nil {
		return nil
	}
	return s.do(ctx, w)
}

func (s *script) Plan(ctx context.Context, w kind.Work) (towpath.ComponentPlan, error) {
	s.plan.Component = w.Operation.Target.Component
	return s.plan, s.step(ctx, w)
}
func (s *script) Prepare(ctx context.Context, w kind.Work) error              { return s.step(ctx, w) }
func (s *script) Verify(ctx context.Context, w kind.Work, _ kind.Stage) error { return s.step(ctx, w) }
func (s *script) Switch(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Retire(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Remove(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Shift(ctx context.Context, w kind.Work) error                { return s.step(ctx, w) }
func (s *script) Repair(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Undo(ctx context.Context, w kind.Work) error {
	w.Operation.Verb = "undo"
	return s.step(ctx, w)
}
func (s *script) Folders() ([]string, error) { return nil, nil }
func (s *script) Observe(ctx context.Context) ([]towpath.Observation, error) {
	s.mu.Lock()
	s.looked = append(s.looked, s.kept)
	seen, look := slices.Clone(s.seen), s.look
	s.mu.Unlock()
	if look != nil {
		look(ctx)
	}
	return seen, ctx.Err()
}

func (s *script) Keep(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept++
	return nil
}

// rounds is how often it kept what runs, and after how many of those each look came.
func (s *script) rounds() (kept int, looked []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept, slices.Clone(s.looked)
}

// looking has each look from now on wait for something.
func (s *script) looking(f func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look = f
}

func (s *script) Counts(context.Context) ([]kind.Count, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		return nil, nil
	}
	return s.counts()
}

func (s *script) counting(f func() ([]kind.Count, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = f
}

func (s *script) sees(o towpath.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = []towpath.Observation{o}
}

func (s *script) Recover(_ context.Context, w kind.Work) (kind.Recovery, error) {
	return s.recover(w)
}

func (s *script) steps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began)
}

// bench is an agent in this process, on the clock of a bubble.
type bench struct {
	t      *testing.T
	dir    string
	srv    *server
	client *agentrpc.Client
	runner *script
	cancel context.CancelFunc
	done   chan error
	key    string
	log    *lockedBuffer

	released agent.Released
}

// onBench runs a test in a bubble with an agent that is running.
func onBench(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, dir: dir, srv: newServer(t), runner: &script{active: map[string]bool{}}, log: &lockedBuffer{}, released: believing{}}
		b.client = b.srv.pipe(t)
		b.start()
		defer func() { b.stop() }()
		test(t, b)
		if b.runner.overlap {
			t.Error("two operations worked on one target at the same time")
		}
	})
}

func (b *bench) start() {
	b.t.Helper()
	a, err := agent.New(agent.Config{
		Dir: filepath.Join(b.dir, "agent"), Name: "test", Place: "local", Now: time.Now, Extract: extract, Released: b.released, TrustedKey: b.key,
	}, b.client, []kind.Runner{b.runner}, slog.New(slog.NewTextHandler(b.log, nil)))
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel, b.done = cancel, make(chan error, 1)
	go func() { b.done <- a.Run(ctx) }()
}

func (b *bench) stop() {
	b.t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("run: %v", err)
	}
	b.done <- nil // so that it may be stopped again
}

// ended waits for an agent that ends by itself and gives its error.
func (b *bench) ended() error {
	b.t.Helper()
	select {
	case err := <-b.done:
		b.done <- nil
		return err
	case <-time.After(24 * time.Hour):
		b.t.Fatalf("it goes on for ever:\n%s", b.log)
		return nil
	}
}

// op is an operation on the one component of the bench, whose revision has no files
// and no settings.
func (b *bench) op(id string, verb towpath.Verb) towpath.Operation {
	return towpath.Operation{
		ID: towpath.OperationID(id), Verb: verb,
		Target: towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
		Spec: towpath.OperationSpec{
			Kind: towpath.KindProcess, Release: towpath.DigestOf([]byte("release")), Revision: towpath.RevisionOf(towpath.KindProcess, "", nil), Timeout: time.Hour,
		},
	}
}

// listening gives a spec the settings of a revision of its own.
func listening(s towpath.OperationSpec, at string) towpath.OperationSpec {
	s.Rendered = json.RawMessage(`{"listen":"` + at + `"}`)
	s.Revision = towpath.RevisionOf(s.Kind, s.Layer, s.Rendered)
	return s
}

// withdraw cancels an operation on the server.
func (b *bench) withdraw(id towpath.OperationID) {
	b.srv.locked(func() {
		for _, op := range b.srv.ops {
			if op.ID == id {
				op.Phase = towpath.OperationCancelled
			}
		}
	})
}

// untilCancelled is a step that ends with its context.
func untilCancelled(ctx context.Context, _ kind.Work) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// believing takes every release for what the server says.
type believing struct{}

func (believing) Check(context.Context, agent.Blobs, towpath.Operation, agentrpc.Authorisation) error {
	return nil
}
