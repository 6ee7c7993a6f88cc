package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

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
