package run_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// stopOne has an instance of a revision hang: it runs and answers nothing.
func (h *hand) stopOne(name string) {
	h.t.Helper()
	spec, _ := h.Spec(h.t, name)
	for _, r := range h.records() {
		if r.Revision == spec.Revision {
			h.must(syscall.Kill(r.PID, syscall.SIGSTOP))
			h.t.Cleanup(func() { _ = syscall.Kill(r.PID, syscall.SIGCONT) })
			return
		}
	}
	h.t.Fatalf("nothing runs of %s", name)
}

// routed is the traffic as the router has it.
func (h *hand) routed() route.Traffic {
	h.t.Helper()
	st, err := h.router(h.t).Status(h.t.Context())
	h.must(err)
	rt, _ := st.Find(h.Target().Key())
	return rt.Traffic
}

// Going back does not wait for the last instance of what ran before.
func TestRunner_GoesBackToWhatAnswers(t *testing.T) {
	instances := func(n int) func(*process.Spec) {
		return func(s *process.Spec) {
			s.Instances, s.Health.Timeout, s.Health.Deadline = n, time.Second, time.Second
		}
	}
	for name, bring := range map[string]func(h *hand){
		"from a share": func(h *hand) {
			w := h.work(towpath.VerbShift, two)
			w.Operation.Spec.Previous, w.Operation.Spec.Weight = h.observed().Revision, 20
			h.must(h.r.Shift(h.t.Context(), w))
		},
		"from all of the traffic": func(h *hand) {
			h.must(h.r.Switch(h.t.Context(), h.work(towpath.VerbSwitch, two)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHand(t)
			h.change = instances(3)
			h.up(one)
			old, _ := h.Spec(t, one)
			h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
			bring(h)
			h.stopOne(one)
			w := h.work(towpath.VerbRestore, one)
			var said []string
			w.Say = func(m string) {
				said = append(said, m)
				if strings.HasPrefix(m, "waiting for 3 instances") { // users have been given back by then
					if got := h.routed(); got.Revision != old.Revision || len(got.Instances) != 2 || len(got.Others) != 0 {
						t.Errorf("while it waits the traffic is %+v", got)
					}
				}
			}
			h.must(h.r.Prepare(t.Context(), w))
			h.must(h.r.Switch(t.Context(), w))
			if all := strings.Join(said, "; "); !strings.Contains(all, "only 2 of 3 instances of what ran before answer") {
				t.Errorf("said %s", all)
			}
			if got := h.routed(); got.Revision != old.Revision || len(got.Instances) != 2 || len(got.Others) != 0 {
				t.Errorf("the traffic is %+v", got)
			}
			for range 10 {
				if got := kindtest.Get(h.url()); got != one {
					t.Fatalf("%q answers", got)
				}
			}
			h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
			if o := h.observed(); o.Revision != old.Revision || o.Health != towpath.HealthUnhealthy {
				t.Errorf("observed %+v", o)
			}
		})
	}
	t.Run("nothing answers", func(t *testing.T) {
		h := newHand(t)
		h.change = instances(1)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		h.stopOne(one)
		now := h.routed()
		if err := h.r.Prepare(t.Context(), h.work(towpath.VerbRestore, one)); err == nil || !strings.Contains(err.Error(), "was not healthy within") {
			t.Errorf("got %v", err)
		}
		if err := h.r.Switch(t.Context(), h.work(towpath.VerbRestore, one)); err == nil || !strings.Contains(err.Error(), "nothing of what ran before answers") {
			t.Errorf("got %v", err)
		}
		if got := h.routed(); got.Revision != now.Revision {
			t.Errorf("the traffic is with %s", got.Revision)
		}
	})
}
