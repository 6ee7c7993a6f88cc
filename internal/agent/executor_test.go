package agent_test

import (
	"context"
	"errors"
	"fmt"
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
	return towpath.ComponentPlan{Component: w.Operation.Target.Component}, s.step(ctx, w)
}
func (s *script) Prepare(ctx context.Context, w kind.Work) error              { return s.step(ctx, w) }
func (s *script) Verify(ctx context.Context, w kind.Work, _ kind.Stage) error { return s.step(ctx, w) }
func (s *script) Switch(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Retire(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Remove(ctx context.Context, w kind.Work) error               { return s.step(ctx, w) }
func (s *script) Observe(context.Context) ([]towpath.Observation, error)      { return nil, nil }
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
}

// onBench runs a test in a bubble with an agent that is running.
func onBench(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, dir: dir, srv: newServer(t), runner: &script{active: map[string]bool{}}}
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
		Dir: filepath.Join(b.dir, "agent"), Name: "test", Place: "local", Now: time.Now, Extract: extract, TrustedKey: b.key,
	}, b.client, []kind.Runner{b.runner}, slog.New(slog.DiscardHandler))
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

func (b *bench) op(id string, verb towpath.Verb) towpath.Operation {
	return towpath.Operation{
		ID: towpath.OperationID(id), Verb: verb,
		Target: towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
		Spec: towpath.OperationSpec{
			Kind: towpath.KindProcess, Release: towpath.DigestOf([]byte("release")), Revision: "rev_1", Timeout: time.Hour,
		},
	}
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

func TestAgent_Results(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(context.Context, kind.Work) error
		status towpath.ResultStatus
		says   string
	}{
		{"a step that succeeds is done", nil, towpath.ResultDone, ""},
		{"a bad release has failed", func(context.Context, kind.Work) error { return &kind.Failure{Message: "it crashed"} }, towpath.ResultFailed, "it crashed"},
		{"a step over its time has failed", untilCancelled, towpath.ResultFailed, "prepare did not end within 1h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				b.runner.do = c.do
				b.srv.locked(func() { b.srv.lease = 3 * time.Hour })
				b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
				time.Sleep(90 * time.Minute)
				if r := b.srv.result(t, "op_1"); r.Status != c.status || r.Message != c.says {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
	t.Run("an error of the place is tried again and fails nothing", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			tries := 0
			b.runner.do = func(context.Context, kind.Work) error {
				if tries++; tries < 4 {
					return errors.New("the disk is full")
				}
				return nil
			}
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || b.srv.errors != 3 {
				t.Errorf("got %+v after %d errors", r, b.srv.errors)
			}
		})
	})
	t.Run("a plan needs no authorisation and carries its changes; unknown kinds and verbs have failed", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			plan := b.op("op_1", towpath.VerbPlan)
			plan.Spec.Authorisation = "none"
			b.srv.add(t, plan)
			odd := b.op("op_2", "explode")
			odd.Target.Component = "odd"
			b.srv.add(t, odd)
			other := b.op("op_3", towpath.VerbPrepare)
			other.Target.Component, other.Spec.Kind = "other", "kubernetes"
			b.srv.add(t, other)
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || r.Plan == nil || r.Plan.Component != "api" {
				t.Errorf("plan: %+v", r)
			}
			for _, id := range []towpath.OperationID{"op_2", "op_3"} {
				if r := b.srv.result(t, id); r.Status != towpath.ResultFailed {
					t.Errorf("%s: %+v", id, r)
				}
			}
		})
	})
}

func TestAgent_Fences(t *testing.T) {
	t.Run("a later operation of the target cancels the one at work, waits for its end, and runs", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = func(ctx context.Context, w kind.Work) error {
				if w.Operation.ID != "op_1" {
					return nil
				}
				<-ctx.Done()
				time.Sleep(10 * time.Second) // it takes its time to stop
				return context.Cause(ctx)
			}
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			synctest.Wait()
			b.withdraw("op_1")
			b.srv.add(t, b.op("op_2", towpath.VerbSwitch))
			if r := b.srv.result(t, "op_2"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
			if got := b.runner.steps(); !slices.Equal(got, []string{"prepare op_1", "switch op_2"}) {
				t.Errorf("did %q", got)
			}
			if len(b.srv.finishes) != 1 {
				t.Errorf("told %+v", b.srv.finishes)
			}
		})
	})
	t.Run("an operation that is withdrawn stops and tells nothing", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			ended := make(chan error, 1)
			b.runner.do = func(ctx context.Context, w kind.Work) error {
				err := untilCancelled(ctx, w)
				ended <- err
				return err
			}
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			synctest.Wait()
			b.withdraw("op_1")
			<-ended
			time.Sleep(time.Minute)
			if len(b.srv.finishes)+len(b.srv.stale) != 0 {
				t.Errorf("told %+v %+v", b.srv.finishes, b.srv.stale)
			}
		})
	})
	t.Run("a lower fence is never obeyed", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			b.srv.result(t, "op_1")
			b.srv.locked(func() { b.srv.fences[b.op("", "").Target.Key()] = -3 }) // a restored database
			b.srv.add(t, b.op("op_2", towpath.VerbSwitch))
			r := b.srv.result(t, "op_2") // once its fence has outgrown the agent's
			if got := b.runner.steps(); r.Status != towpath.ResultDone || !slices.Equal(got, []string{"prepare op_1", "switch op_2"}) {
				t.Errorf("did %q: %+v", got, r)
			}
			if f := b.srv.finishes[1].Fence; f != 2 {
				t.Errorf("obeyed fence %d", f)
			}
		})
	})
	t.Run("a result whose claim was given away is told and counts as stale", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			release := make(chan struct{})
			b.runner.do = func(context.Context, kind.Work) error { <-release; return nil }
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			synctest.Wait()
			b.srv.locked(func() { b.srv.down = true })
			time.Sleep(time.Minute)
			b.withdraw("op_1")
			close(release)
			synctest.Wait()
			b.srv.locked(func() { b.srv.down = false })
			b.srv.wait(t, "the stale result is told", func() bool { return len(b.srv.stale) == 1 })
			if len(b.srv.finishes) != 0 {
				t.Errorf("applied: %+v", b.srv.finishes)
			}
		})
	})
}

// TestAgent_Retries hammers the moment in which an error has been told and the
// operation is claimed again: each claim is one try.
func TestAgent_Retries(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		const want = 200
		b.srv.locked(func() { b.srv.lease = time.Hour })
		tries := 0
		b.runner.do = func(context.Context, kind.Work) error {
			if tries++; tries < want {
				return errors.New("not yet")
			}
			return nil
		}
		b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
		if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || b.srv.errors != want-1 || tries != want {
			t.Errorf("got %+v after %d tries and %d errors", r, tries, b.srv.errors)
		}
	})
}

func TestAgent_Unreachable(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		b.runner.do = func(_ context.Context, w kind.Work) error {
			<-release
			for i := range 3 {
				w.Say(fmt.Sprintf("step %d", i))
			}
			return nil
		}
		b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
		synctest.Wait()
		b.srv.locked(func() { b.srv.down = true })
		time.Sleep(time.Hour / 2) // its lease ran out long ago
		close(release)
		time.Sleep(time.Hour / 2)
		if len(b.srv.finishes) != 0 {
			t.Fatal("the server heard of it")
		}
		b.srv.locked(func() { b.srv.down = false })
		if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone {
			t.Errorf("got %+v", r)
		}
		if got := b.runner.steps(); len(got) != 1 {
			t.Errorf("did %q", got)
		}
		if n := len(b.srv.reports["op_1"]); n != 3 {
			t.Errorf("told %d reports: %v", n, b.srv.reports)
		}
	})
}

func TestAgent_Restart(t *testing.T) {
	for _, c := range []struct {
		name     string
		recovery kind.Recovery
		withdrew bool
		status   towpath.ResultStatus // "" tells nothing
		steps    int
	}{
		{"what the world says is done is not done again", kind.RecoveredDone, false, towpath.ResultDone, 1},
		{"what has not started is done", kind.RecoveredNotStarted, false, towpath.ResultDone, 2},
		{"what nobody can tell waits for a person", kind.RecoveredUnknown, false, towpath.ResultUnknown, 1},
		{"what was withdrawn meanwhile is not done", kind.RecoveredNotStarted, true, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				b.runner.do = untilCancelled
				b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
				synctest.Wait()
				b.stop()
				if len(b.srv.finishes) != 0 {
					t.Fatalf("shutdown was told as %+v", b.srv.finishes)
				}
				if c.withdrew {
					b.withdraw("op_1")
				}
				b.runner.do = nil
				b.runner.recover = func(kind.Work) (kind.Recovery, error) { return c.recovery, nil }
				b.start()
				if c.status != "" {
					if r := b.srv.result(t, "op_1"); r.Status != c.status {
						t.Errorf("got %+v", r)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := b.runner.steps(); len(got) != c.steps {
					t.Errorf("did %q", got)
				}
				if c.status == "" && len(b.srv.finishes) != 0 {
					t.Errorf("told %+v", b.srv.finishes)
				}
				if h := b.srv.hellos[1].Journal; len(h.Unfinished) != 1 || h.Unfinished[0].Phase != agentrpc.JournalIntent || len(h.Fences) != 1 {
					t.Errorf("said hello with %+v", h)
				}
			})
		})
	}
	t.Run("nothing is resumed before the server says that it still counts", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = untilCancelled
			b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
			synctest.Wait()
			b.stop()
			b.srv.locked(func() { b.srv.down = true })
			b.runner.do = nil
			b.runner.recover = func(kind.Work) (kind.Recovery, error) { return kind.RecoveredNotStarted, nil }
			b.start()
			time.Sleep(time.Hour)
			if got := b.runner.steps(); len(got) != 1 {
				t.Errorf("did %q without a server", got)
			}
			b.srv.locked(func() { b.srv.down = false })
			b.srv.result(t, "op_1")
		})
	})
}
