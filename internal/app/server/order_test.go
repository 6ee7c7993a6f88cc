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
