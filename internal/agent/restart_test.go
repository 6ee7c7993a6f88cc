package agent_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

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
