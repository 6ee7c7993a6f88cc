package run_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// crashes is a work during which a revision with the traffic crashes, once it says
// something, and is to be kept: it must have the traffic again before the work goes on.
func (h *hand) crashes(revision string, w kind.Work, once string) (kind.Work, func() bool) {
	url, back := h.url(), false
	w.Say = func(m string) {
		if back || !strings.HasPrefix(m, once) {
			return
		}
		h.Kill(h.t, revision)
		h.eventually("the agent keeps it", func() bool { return h.r.Keep(h.t.Context()) == nil && kindtest.Get(url) == revision })
		back = true
	}
	return w, func() bool { return back }
}

// TestRunner_KeepsWhileAnotherIsMade: users have the old revision until the new one
// has been verified, however long that takes.
func TestRunner_KeepsWhileAnotherIsMade(t *testing.T) {
	jobs := []process.Job{{Name: "answers", HTTP: &process.HTTPCheck{Path: "/"}, Timeout: 10 * time.Second}}
	t.Run("what has the traffic, while instances start", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		w, back := h.crashes(one, h.work(towpath.VerbPrepare, two), "waiting")
		h.must(h.r.Prepare(t.Context(), w))
		if !back() || h.Starts(t, one) != 2 || h.Starts(t, two) != 1 {
			t.Errorf("the old revision was started %d times, the new one %d times", h.Starts(t, one), h.Starts(t, two))
		}
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
	})
	t.Run("but not what an operation starts itself", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		h.loseOne(one)
		w, first := h.work(towpath.VerbPrepare, one), h.records()[0].Start
		w.Say = func(string) {
			h.eventually("it was started", func() bool { now := h.records()[0]; return now.Start == first+1 && now.PID != 0 })
			h.Kill(t, one)
			h.must(h.r.Keep(t.Context()))
		}
		failure := new(kind.Failure)
		if err := h.r.Prepare(t.Context(), w); !errors.As(err, &failure) || h.records()[0].Start != first+1 {
			t.Errorf("prepare: %v, and it is at start %d, want %d", err, h.records()[0].Start, first+1)
		}
	})
	t.Run("nor what is gone back from", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		h.up(two)
		h.Kill(t, one) // so that the traffic does not go back at once
		w, waited := h.work(towpath.VerbRestore, one), false
		w.Say = func(string) {
			h.Kill(t, two)
			h.must(h.r.Keep(t.Context()))
			waited = true
		}
		h.must(h.r.Prepare(t.Context(), w))
		if !waited || h.Starts(t, one) != 2 || h.Starts(t, two) != 1 {
			t.Errorf("waited %t; what failed was started %d times", waited, h.Starts(t, two))
		}
		h.must(h.r.Switch(t.Context(), w))
	})
	t.Run("what has the traffic, while jobs run", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		h.change = func(s *process.Spec) {
			s.Preview, s.Verify.Before, s.Verify.Preview, s.Verify.After = "127.0.0.1:0", jobs, jobs, jobs
		}
		prepare, before := h.work(towpath.VerbPrepare, two), h.work(towpath.VerbVerifyBefore, two)
		sw, after := h.work(towpath.VerbSwitch, two), h.work(towpath.VerbVerifyAfter, two)
		h.must(h.r.Prepare(t.Context(), prepare))
		h.change = func(*process.Spec) {}
		before, back := h.crashes(one, before, "verifying")
		h.must(h.r.Verify(t.Context(), before, kind.BeforeSwitch))
		if !back() || h.Starts(t, one) != 2 || h.Starts(t, two) != 1 {
			t.Errorf("the old revision was started %d times, the new one %d times", h.Starts(t, one), h.Starts(t, two))
		}
		h.must(h.r.Switch(t.Context(), sw))
		h.must(h.r.Verify(t.Context(), after, kind.AfterSwitch))
	})
}
