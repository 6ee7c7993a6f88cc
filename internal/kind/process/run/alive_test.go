package run_test

import (
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
