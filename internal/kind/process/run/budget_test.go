package run_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// held has requests under way, as many as instances answer, until the test ends.
func (h *hand) held(n int) {
	h.t.Helper()
	pr, pw := io.Pipe()
	h.t.Cleanup(func() { pw.Close() })
	url := h.url() + "/hold"
	for range n {
		go func() {
			if resp, err := http.Post(url, "text/plain", pr); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}
	h.eventually("every instance has one", func() bool {
		st, err := h.router(h.t).Status(h.t.Context())
		rt, _ := st.Find(h.Target().Key())
		return err == nil && len(rt.Busy) == n
	})
}

// TestRunner_DrainsOnce: an operation that stops instances twice, as each step of a
// rolling update with surge and unavailable does, waits for requests to both within
// half of its time. What is good does not fail because of what its users do.
func TestRunner_DrainsOnce(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Instances, s.StopGrace, s.Drain = 4, 100*time.Millisecond, time.Minute }
	h.up(one)
	h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 4})))
	h.held(4)
	w := h.scaled(towpath.VerbShift, two, one, 50, towpath.Scale{Instances: 2, Room: 3, Rest: 2})
	w.Operation.Spec.Timeout = 8 * time.Second
	var waits []time.Duration
	w.Say = func(m string) {
		if rest, ok := strings.CutPrefix(m, "waiting up to "); ok {
			d, err := time.ParseDuration(strings.Fields(rest)[0])
			h.must(err)
			waits = append(waits, d)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), w.Operation.Spec.Timeout) // as the agent has it
	defer cancel()
	h.must(h.r.Shift(ctx, w))
	h.wantRuns(2, 2)
	if len(waits) != 2 || waits[0]+waits[1] > w.Operation.Spec.Timeout/2+100*time.Millisecond {
		t.Errorf("it waited for requests up to %s, want half of its time in all", waits)
	}
}

// TestRunner_DrainLeavesTimeToStop: programs that take all of their grace to end
// have it within the time of the operation, and what comes after has some too.
func TestRunner_DrainLeavesTimeToStop(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Instances, s.StopGrace, s.Drain = 2, 5*time.Second, time.Minute
		s.Env[kindtest.AppMode] = process.Value{Literal: kindtest.Stubborn}
	}
	h.up(one)
	h.held(2)
	w := h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 1})
	w.Operation.Spec.Timeout = 10 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), w.Operation.Spec.Timeout)
	defer cancel()
	h.must(h.r.Prepare(ctx, w))
	h.wantRuns(1, 1)
}

// TestRunner_EndsWhatIsKeptFirst: where all of what has the traffic makes room,
// users wait for that and for the start of the new one, and not for requests to what
// is only kept.
func TestRunner_EndsWhatIsKeptFirst(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Drain = time.Second }
	h.up(one)
	h.held(1)
	h.up(two)
	h.must(h.r.Retire(t.Context(), h.keep(two)))
	h.change = func(s *process.Spec) { s.StopGrace = time.Second } // another revision of one
	w := h.work(towpath.VerbPrepare, one)
	spec, _ := h.Spec(t, one)
	w.Operation.Spec.Revision, w.Operation.Spec.Rendered, w.Operation.Spec.Scale = spec.Revision, spec.Rendered, &towpath.Scale{}
	answered := "nobody asked"
	w.Say = func(m string) {
		if strings.HasPrefix(m, "waiting up to") {
			answered = kindtest.Get(h.url())
		}
	}
	h.must(h.r.Prepare(t.Context(), w))
	if answered != two {
		t.Errorf("while the last request to what was kept was waited for, %q answered, want %q", answered, two)
	}
	if n := len(h.glob("instances/*")); n != 1 {
		t.Errorf("%d instances are there, want the new one's alone", n)
	}
}
