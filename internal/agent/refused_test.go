package agent_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_Refused(t *testing.T) {
	// stopped is a bench whose agent has stopped, so that the next start is a
	// first hello.
	stopped := func(t *testing.T, test func(t *testing.T, b *bench)) {
		t.Helper()
		onBench(t, func(t *testing.T, b *bench) {
			b.stop()
			test(t, b)
		})
	}
	refuse := func(b *bench, k towpath.Kind) { b.srv.locked(func() { b.srv.refuses = k }) }
	for _, c := range []struct {
		kind towpath.Kind
		hint string
	}{
		{towpath.KindUnauthenticated, "towpath token create"},
		{towpath.KindForbidden, "towpath account grant ACCOUNT agent --place local"},
	} {
		t.Run("a token that is "+string(c.kind)+" ends the agent at its first hello, and it says what to do", func(t *testing.T) {
			stopped(t, func(t *testing.T, b *bench) {
				refuse(b, c.kind)
				began := time.Now()
				b.start()
				err := b.ended()
				message, hint := towpath.PublicMessage(err)
				if towpath.KindOf(err) != c.kind || !strings.Contains(message, "place local") || !strings.Contains(message, "the token is not wanted") ||
					!strings.Contains(hint, c.hint) || !strings.Contains(hint, "towpath token create") {
					t.Errorf("ended with %v: %s; %s", err, message, hint)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("took %s", took)
				}
			})
		})
	}
	t.Run("a server that is down or can't be reached is tried for ever", func(t *testing.T) {
		stopped(t, func(t *testing.T, b *bench) {
			ln, nowhere := agentrpc.Pipe()
			ln.Close()
			here := b.client
			b.client = agentrpc.NewClient("http://server", "token", nowhere)
			b.start()
			time.Sleep(4 * time.Hour)
			b.stop() // fails when it has ended with an error
			b.client = here
			b.srv.locked(func() { b.srv.down = true })
			b.start()
			time.Sleep(4 * time.Hour)
			b.srv.locked(func() { b.srv.down = false })
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			b.srv.result(t, "op_1")
		})
	})
	t.Run("a token that is revoked ends an idle agent at once", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			synctest.Wait()
			refuse(b, towpath.KindUnauthenticated)
			if err := b.ended(); towpath.KindOf(err) != towpath.KindUnauthenticated {
				t.Errorf("ended with %v", err)
			}
		})
	})
	t.Run("a token that is revoked while work runs ends the agent after it, loudly, and loses no result", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			release := working(t, b)
			refuse(b, towpath.KindUnauthenticated)
			time.Sleep(10 * time.Minute)
			if len(b.done) > 0 {
				t.Fatalf("ended while work was under way: %v", b.ended())
			}
			if log := b.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "refuses this agent") || !strings.Contains(log, "towpath token create") {
				t.Errorf("said only:\n%s", log)
			}
			close(release)
			if err := b.ended(); towpath.KindOf(err) != towpath.KindUnauthenticated {
				t.Errorf("ended with %v", err)
			}
			refuse(b, "")
			b.start()
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
			if got := b.runner.steps(); len(got) != 1 {
				t.Errorf("did %q", got)
			}
		})
	})
	t.Run("a token that is good again before the work ends is used on", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			release := working(t, b)
			refuse(b, towpath.KindForbidden)
			time.Sleep(10 * time.Minute)
			refuse(b, "")
			time.Sleep(time.Minute)
			close(release)
			b.srv.result(t, "op_1")
			b.srv.add(t, b.op("op_2", towpath.VerbPrepare))
			b.srv.result(t, "op_2")
		})
	})
}

// working has the agent work on op_1 until the channel is closed.
func working(t *testing.T, b *bench) (release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	b.runner.do = func(_ context.Context, w kind.Work) error {
		if w.Operation.ID == "op_1" {
			<-release
		}
		return nil
	}
	b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
	synctest.Wait()
	return release
}
