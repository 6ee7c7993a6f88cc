package run_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// TestRunner_PlansShowWhatIsOptional: nobody approves what a plan does not show.
func TestRunner_PlansShowWhatIsOptional(t *testing.T) {
	h := newHand(t)
	check := func(name string) []process.Job {
		return []process.Job{{Name: name, HTTP: &process.HTTPCheck{Path: "/"}}}
	}
	w := h.work(towpath.VerbPlan, one)
	before := w.Operation.Spec
	h.change = func(s *process.Spec) {
		s.Protocol, s.Preview, s.Memory, s.Metrics = route.H2C, "127.0.0.1:0", 1<<20, &process.Metrics{Path: "/metrics"}
		s.Health.GRPC, s.Health.Path, s.Proxies = true, "", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		s.Verify = process.Verify{Before: check("a"), Preview: check("b"), Step: check("c"), After: check("d")}
	}
	w = h.work(towpath.VerbPlan, one)
	w.Operation.Spec.Previous, w.Operation.Spec.PreviousLayer, w.Operation.Spec.PreviousRendered = before.Revision, before.Layer, before.Rendered
	plan, err := h.r.Plan(t.Context(), w)
	h.must(err)
	got := map[string]string{}
	for _, c := range plan.Changes {
		got[c.Path] = c.After
	}
	want := map[string]string{
		"protocol": "h2c", "preview": "127.0.0.1:0", "memory": "1048576", "metrics.path": "/metrics",
		"health.grpc": "true", "health.path": "", "trustedProxies.10.0.0.0/8": "believed",
		"verify.before.a": "GET / 200 within 0s", "verify.preview.b": "GET / 200 within 0s",
		"verify.step.c": "GET / 200 within 0s", "verify.after.d": "GET / 200 within 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the changes differ (-want +got):\n%s", diff)
	}
}
