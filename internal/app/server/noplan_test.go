package server

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_PlanThatWasLost: an agent that says that it made a plan, and sends
// none, is asked again; the promotion is not given up.
func TestServer_PlanThatWasLost(t *testing.T) {
	h := newHarness(t)
	lost := false
	h.answer(func(op towpath.Operation) (r towpath.OperationResult) {
		if op.Verb == towpath.VerbPlan && !lost {
			lost = true
			r.Status = towpath.ResultDone
		}
		return r
	})
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	if !lost {
		t.Error("no plan was asked for")
	}
}
