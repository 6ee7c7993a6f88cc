package run_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// beside brings one all the way and gives half of its traffic to another.
func (h *hand) beside(revision string) {
	h.t.Helper()
	h.up(one)
	h.must(h.r.Prepare(h.t.Context(), h.work(towpath.VerbPrepare, revision)))
	w := h.work(towpath.VerbShift, revision)
	spec, _ := h.Spec(h.t, one)
	w.Operation.Spec.Previous, w.Operation.Spec.Weight = spec.Revision, 50
	h.must(h.r.Shift(h.t.Context(), w))
}

// switched brings one all the way and sends all of its traffic to another, beside
// which it still runs.
func (h *hand) switched(revision string) {
	h.t.Helper()
	h.up(one)
	h.must(h.r.Prepare(h.t.Context(), h.work(towpath.VerbPrepare, revision)))
	h.must(h.r.Switch(h.t.Context(), h.work(towpath.VerbSwitch, revision)))
}

// counted is what was counted of a revision.
func (h *hand) counted(revision string) towpath.RevisionCount {
	h.t.Helper()
	all, err := h.r.Counts(h.t.Context())
	h.must(err)
	spec, _ := h.Spec(h.t, revision)
	for _, c := range all[0].Revisions {
		if c.Revision == spec.Revision {
			return c
		}
	}
	h.t.Fatalf("%s was not counted: %+v", revision, all)
	return towpath.RevisionCount{}
}

// impatient are users who give up after a little more than a second.
func (h *hand) impatient(requests int) {
	h.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: route.Patience + 200*time.Millisecond}
	url := h.url()
	for range requests {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
		}
	}
}

func TestRunner_CountsWhatHangs(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.beside(kindtest.Hanging)
	h.impatient(8) // two of the four that the new one gets hang
	h.eventually("the hung requests are counted", func() bool { return h.counted(kindtest.Hanging).Failed == 2 })
	if c := h.counted(kindtest.Hanging); c.Requests != 4 || c.Broken != "" {
		t.Errorf("counted %+v, want four requests and a revision that is healthy", c)
	}
	if c := h.counted(one); c.Requests != 4 || c.Failed > 0 {
		t.Errorf("counted %+v of the one beside it", c)
	}
}

func TestRunner_SaysWhatIsDeadlocked(t *testing.T) {
	quick := func(s *process.Spec) { s.Health.Timeout = 300 * time.Millisecond }
	t.Run("of a revision that has a share of the traffic", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = quick
		h.beside(kindtest.Deadlocked)
		for range 3 {
			if c := h.counted(kindtest.Deadlocked); c.Broken != "" {
				t.Fatalf("before it hangs: %s", c.Broken)
			}
		}
		h.impatient(2)
		const want = "instance 0 does not answer its health check: GET /healthz was not answered within 300ms"
		h.eventually("it is broken", func() bool { return h.counted(kindtest.Deadlocked).Broken == want })
		if c := h.counted(one); c.Broken != "" {
			t.Errorf("so is the one beside it: %s", c.Broken)
		}
	})
	t.Run("and blames no revision when the one before does not answer either", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = func(s *process.Spec) {
			quick(s)
			s.Env[kindtest.AppMode] = process.Value{Literal: kindtest.Deadlocked}
		}
		h.beside(two)
		h.impatient(2)
		h.eventually("the one before is broken", func() bool {
			if c := h.counted(two); c.Broken != "" {
				t.Fatalf("the new one is blamed: %s", c.Broken)
			}
			return strings.Contains(h.counted(one).Broken, "health check")
		})
		if c := h.counted(two); c.Broken != "" {
			t.Errorf("the new one is blamed: %s", c.Broken)
		}
	})
	t.Run("of a revision that has all of the traffic, and the one before still runs", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = quick
		h.switched(kindtest.Deadlocked)
		h.impatient(2)
		h.eventually("it is broken", func() bool {
			return strings.Contains(h.counted(kindtest.Deadlocked).Broken, "instance 0 does not answer its health check")
		})
	})
	t.Run("and not when the one before, which still runs, does not answer either", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = func(s *process.Spec) {
			quick(s)
			s.Env[kindtest.AppMode] = process.Value{Literal: kindtest.Deadlocked}
		}
		h.up(one)
		h.impatient(1) // from now on it hangs
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		h.impatient(1)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 100 { // twice as long as it takes to be broken
			<-tick.C
			if c := h.counted(two); c.Broken != "" {
				t.Fatalf("the new one is blamed: %s", c.Broken)
			}
		}
	})
	t.Run("asks nobody who has the traffic alone", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = quick
		h.up(kindtest.Deadlocked)
		h.impatient(1)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 100 { // twice as long as it takes to be broken
			<-tick.C
			if c := h.counted(kindtest.Deadlocked); c.Broken != "" {
				t.Fatalf("it is compared with nothing: %s", c.Broken)
			}
		}
	})
	t.Run("and holds up no count", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Health.Timeout = time.Hour }
		h.beside(kindtest.Deadlocked)
		h.impatient(2)
		for range 200 { // each would take an hour
			h.counted(kindtest.Deadlocked)
		}
	})
}

func TestRunner_EachRevisionHasItsAnswersAndProxies(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Answer = time.Minute
		if s.Env[kindtest.AppVersion].Literal == two {
			s.Answer, s.Proxies = 5*time.Minute, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}
	}
	h.beside(two)
	if got := h.routed(); got.Limits.Answer != time.Minute || got.Others[0].Answer != 5*time.Minute || len(got.Trusted) != 0 || len(got.Others[0].Trusted) != 1 {
		t.Errorf("the old one has %s, the new one %s; they believe %v and %v", got.Limits.Answer, got.Others[0].Answer, got.Trusted, got.Others[0].Trusted)
	}
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
	if got := h.routed(); got.Limits.Answer != 5*time.Minute || len(got.Others) > 0 || len(got.Trusted) != 1 {
		t.Errorf("with all of the traffic it has %s and believes %v", got.Limits.Answer, got.Trusted)
	}
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbRestore, one)))
	if got := h.routed(); got.Limits.Answer != time.Minute || len(got.Trusted) != 0 {
		t.Errorf("gone back to it has %s and believes %v", got.Limits.Answer, got.Trusted)
	}
}
