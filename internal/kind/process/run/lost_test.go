package run_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// loseOne kills the shim of an instance of a revision, and the process with it.
func (h *hand) loseOne(revision string) {
	h.t.Helper()
	spec, _ := h.Spec(h.t, revision)
	for _, r := range h.records() {
		if r.Revision == spec.Revision {
			h.must(syscall.Kill(r.Shim, syscall.SIGKILL))
			h.eventually("the instance is gone", func() bool { return gone(r.PID) && gone(r.Shim) })
			return
		}
	}
	h.t.Fatalf("nothing runs of %s", revision)
}

func TestRunner_LostInstances(t *testing.T) {
	const lost = "is gone: its shim was killed, and it with it"
	isLost := func(t *testing.T, err error) {
		t.Helper()
		failure := new(kind.Failure)
		if !errors.As(err, &failure) || !strings.Contains(failure.Message, lost) {
			t.Errorf("%v, want the failure of a revision that lost an instance", err)
		}
	}
	t.Run("are as bad as crashed ones while the traffic is shared", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Instances = 2 }
		h.beside(two)
		if c := h.counted(two); c.Broken != "" {
			t.Fatalf("before it was lost: %s", c.Broken)
		}
		h.loseOne(two)
		if c := h.counted(two); !strings.HasSuffix(c.Broken, lost) {
			t.Errorf("counted as broken because %q", c.Broken)
		}
		isLost(t, h.r.Shift(t.Context(), h.shift(two, 75)))
		isLost(t, h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbRestore, one)))
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	})
	t.Run("of what is prepared fail whatever would give it traffic", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.loseOne(two)
		isLost(t, h.r.Shift(t.Context(), h.shift(two, 10)))
		isLost(t, h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q has the traffic", got)
		}
	})
	t.Run("of what has the traffic are started again, and are no reason to go back", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.switched(two)
		h.loseOne(two)
		if c := h.counted(two); c.Broken != "" {
			t.Errorf("counted as broken because %q", c.Broken)
		}
		if err := h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("%v, want an error that is tried again", err)
		}
		h.eventually("it serves again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == two })
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
	})
}
