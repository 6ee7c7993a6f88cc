package run_test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
)

// fresh asks for the page some times, over a new connection each, and counts
// those that were not answered in time.
func (h *hand) fresh(requests int) (lost int) {
	h.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	url := h.url()
	for range requests {
		resp, err := client.Get(url)
		if err != nil || resp.StatusCode != http.StatusOK {
			lost++
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	return lost
}

// observes is what an agent sees that keeps and observes, as it does all the time.
func (h *hand) observes() towpath.Observation {
	h.t.Helper()
	h.must(h.r.Keep(h.t.Context()))
	return h.observed()
}

// TestRunner_ObservesBesidesWhatHangs: a look at all components waits for none of
// them for as long as its own health check might take.
func TestRunner_ObservesBesidesWhatHangs(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Health.Timeout, s.StopGrace, s.Drain = 10*time.Minute, 300*time.Millisecond, 300*time.Millisecond
	}
	h.up(one)
	h.must(syscall.Kill(h.records()[0].PID, syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	all, err := h.r.Observe(ctx)
	h.must(err)
	if want := "GET /healthz was not answered within 5s"; all[0].Health != towpath.HealthUnhealthy || !strings.HasSuffix(all[0].Detail, want) {
		t.Errorf("%s: %s", all[0].Health, all[0].Detail)
	}
	if spec, _ := h.Spec(t, one); all[0].Settings != towpath.SettingsDigest(spec.Rendered) {
		t.Errorf("its settings are said to be %s", all[0].Settings)
	}
}

// TestRunner_LeavesOutWhatHangs: an instance that is stopped gets no requests
// while another one answers, and has its share again when it goes on. A repair
// replaces it.
func TestRunner_LeavesOutWhatHangs(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Instances, s.Health.Timeout, s.StopGrace, s.Drain = 2, 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	}
	h.up(one)
	if o := h.observes(); o.Health != towpath.HealthHealthy || len(o.Out) > 0 {
		t.Fatalf("observed %+v", o)
	}
	hung := h.records()[0].PID
	h.must(syscall.Kill(hung, syscall.SIGSTOP))
	h.eventually("it is left out", func() bool { return len(h.observes().Out) == 1 })
	o := h.observed()
	if want := "gets no requests: GET /healthz was not answered within 300ms"; o.Health != towpath.HealthUnhealthy || o.Instances != 2 ||
		!strings.Contains(o.Detail, "1 of 2 instances healthy: instance ") || !strings.HasSuffix(o.Detail, want) {
		t.Errorf("%s: %s", o.Health, o.Detail)
	}
	if lost := h.fresh(8); lost > 0 {
		t.Errorf("%d of 8 requests were lost", lost)
	}
	again := h.processes(t) // an agent that was restarted knows from the router who is out
	h.must(again.Keep(t.Context()))
	if n := len(h.observed().Out); n != 1 {
		t.Errorf("%d are out after a restart of the agent", n)
	}

	h.must(syscall.Kill(hung, syscall.SIGCONT))
	h.eventually("it is back", func() bool { return h.observes().Health == towpath.HealthHealthy })
	if o := h.observed(); len(o.Out) > 0 || o.Detail != "" {
		t.Errorf("observed %+v", o)
	}

	h.must(syscall.Kill(hung, syscall.SIGSTOP))
	h.eventually("it is left out again", func() bool { return len(h.observes().Out) == 1 })
	h.must(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)))
	if o := h.observes(); o.Health != towpath.HealthHealthy || len(o.Out) > 0 || !gone(hung) {
		t.Errorf("after a repair: %+v", o)
	}
}
