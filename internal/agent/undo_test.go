package agent_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// TestAgent_UndoesRepairs: what a repair that nobody wants any more has started does not
// run on, and holds up nothing.
func TestAgent_UndoesRepairs(t *testing.T) {
	repair := func(t *testing.T, b *bench) {
		t.Helper()
		b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
		b.srv.result(t, "op_1")
		op := b.op("op_2", towpath.VerbRepair)
		op.Deployment = "dep_2"
		op.Spec.Authorisation = b.srv.authorise(t, agentrpc.Authorisation{
			Kind: towpath.DeploymentRepair, Project: "shop", Environment: "dev", Deployment: "dep_2", Release: op.Spec.Release,
		})
		b.srv.add(t, op)
		synctest.Wait()
	}
	steps := func(t *testing.T, b *bench, want ...string) {
		t.Helper()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.runner.steps()[1:]; !slices.Equal(got, want) {
			t.Errorf("did %q, want %q", got, want)
		}
	}
	cutOff := func(ctx context.Context, w kind.Work) error {
		if w.Operation.Verb == towpath.VerbRepair {
			return untilCancelled(ctx, w)
		}
		return nil
	}
	neither := func(ctx context.Context, w kind.Work) error { // ends by itself
		if w.Operation.Verb == towpath.VerbSwitch {
			return nil
		}
		return untilCancelled(ctx, w)
	}
	notStarted := func(kind.Work) (kind.Recovery, error) { return kind.RecoveredNotStarted, nil }

	t.Run("that are withdrawn", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = cutOff
			repair(t, b)
			b.withdraw("op_2")
			steps(t, b, "repair op_2", "undo op_2")
			b.stop()
			b.start()
			steps(t, b, "repair op_2", "undo op_2")
		})
	})
	t.Run("also when the server says meanwhile that they are", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			undone := make(chan error, 1)
			b.runner.do = func(ctx context.Context, w kind.Work) error {
				if w.Operation.Verb != "undo" {
					return cutOff(ctx, w)
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute): // as long as programs take to end
				}
				undone <- context.Cause(ctx)
				return context.Cause(ctx)
			}
			repair(t, b)
			b.withdraw("op_2")
			select {
			case err := <-undone:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Hour):
				t.Error("it is not undone")
			}
			steps(t, b, "repair op_2", "undo op_2")
		})
	})
	t.Run("that were withdrawn while the agent was away", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do, b.runner.recover = cutOff, notStarted
			repair(t, b)
			b.stop()
			b.withdraw("op_2")
			b.start()
			steps(t, b, "repair op_2", "undo op_2")
		})
	})
	t.Run("once more when the agent stops before they are undone", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do, b.runner.recover = neither, notStarted
			repair(t, b)
			b.withdraw("op_2")
			steps(t, b, "repair op_2", "undo op_2")
			b.stop()
			b.runner.do = cutOff
			b.start()
			steps(t, b, "repair op_2", "undo op_2", "undo op_2")
		})
	})
	t.Run("for as long as nothing else is to be done", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = neither
			repair(t, b)
			b.withdraw("op_2")
			steps(t, b, "repair op_2", "undo op_2")
			b.srv.add(t, b.op("op_3", towpath.VerbSwitch))
			if r := b.srv.result(t, "op_3"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
			steps(t, b, "repair op_2", "undo op_2", "switch op_3")
		})
	})
	t.Run("but not those that are claimed again, which go on", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = cutOff
			b.runner.recover = notStarted
			repair(t, b)
			b.srv.locked(func() {
				for _, op := range b.srv.ops {
					if op.ID == "op_2" {
						op.Fence, op.LeaseUntil = 99, time.Now().Add(20*time.Second) // somebody else's claim, whose lease ends
					}
				}
			})
			time.Sleep(10 * time.Second)
			b.runner.do = nil
			if r := b.srv.result(t, "op_2"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
			steps(t, b, "repair op_2", "repair op_2")
		})
	})
	t.Run("but not because the agent stops", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do, b.runner.recover = cutOff, notStarted
			repair(t, b)
			b.stop()
			steps(t, b, "repair op_2")
		})
	})
}
