package server

import (
	"fmt"
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_RollsBackAgainstTheDependencies: what needs the newer api goes back
// before the api does, though only the newer release says that it needs it.
func TestServer_RollsBackAgainstTheDependencies(t *testing.T) {
	h := newHarness(t)
	h.search = true
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	h.needs = true
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	forward := h.moves(false)
	if want := []string{"switch of api", "verify-after of api", "switch of search", "verify-after of search"}; !slices.Equal(forward[len(forward)-4:], want) {
		t.Errorf("the promotion moves %v", forward)
	}
	_, err := h.svc.Deploys.Rollback(t.Context(), h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", Reason: "checkout is slow"})
	must(t, 0, err)
	h.runs("dev", "1.0.0")
	if got, want := h.moves(true), []string{"switch of search", "verify-after of search", "switch of api", "verify-after of api"}; !slices.Equal(got, want) {
		t.Errorf("the rollback moves %v, want %v", got, want)
	}
}

// TestServer_RemovesAgainstTheDependencies: what a release does not have any more
// goes away after what needed it, as only the release before says.
func TestServer_RemovesAgainstTheDependencies(t *testing.T) {
	h := newHarness(t)
	h.staging = towpath.PromotionManual
	h.search, h.needs = true, true
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.component, h.search, h.needs = "shop", false, false
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	h.until("the deployment has ended", func() bool { return h.status("dev").Deployment == nil })
	list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
	must(t, 0, err)
	after := map[towpath.ComponentName][]towpath.ComponentName{}
	for _, r := range list.Items[0].Components {
		after[r.Component] = r.After
	}
	if want := []towpath.ComponentName{"search"}; !slices.Equal(after["api"], want) || len(after["search"]) > 0 {
		t.Errorf("they go away after %v", after)
	}
	var got []string
	for _, op := range h.done() {
		if op.Verb == towpath.VerbRemove {
			got = append(got, string(op.Target.Component))
		}
	}
	if want := []string{"search", "api"}; !slices.Equal(got, want) {
		t.Errorf("they go away as %v, want %v", got, want)
	}
}

// moves is what has got traffic in dev, in order: in promotions, or in rollbacks.
func (h *harness) moves(back bool) []string {
	var out []string
	for _, op := range h.done() {
		if op.Target.Environment == "dev" && op.Spec.Back == back && (op.Verb == towpath.VerbSwitch || op.Verb == towpath.VerbVerifyAfter) {
			out = append(out, fmt.Sprintf("%s of %s", op.Verb, op.Target.Component))
		}
	}
	return out
}
