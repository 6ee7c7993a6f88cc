package server

import (
	"context"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_PlansAnewWhenTheBaseHasMoved: an agent that finds something else
// running than the plan was made for carries nothing out. That is no failure
// of the release: it is planned again, for what runs, and approved again.
func TestServer_PlansAnewWhenTheBaseHasMoved(t *testing.T) {
	for _, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch} {
		t.Run("seen at "+string(verb), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			ctx := context.Background()
			h.publish("1.0.0", "one")
			h.runs("dev", "1.0.0")
			one := h.status("dev").Components[0].Revision
			h.publish("1.1.0", "two")
			h.runs("dev", "1.1.0")
			moved := 0
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				if op.Target.Environment != "dev" || op.Verb != verb || moved > 0 {
					return towpath.OperationResult{}
				}
				moved++
				return towpath.OperationResult{Status: towpath.ResultStale, Message: "1.0.0 has the traffic", Outputs: map[string]string{"running": string(one)}}
			})
			h.publish("1.2.0", "three")
			h.runs("dev", "1.2.0")
			p := h.promotion("dev", "1.2.0", towpath.PromotionSucceeded)
			if st := h.status("dev"); p.Stale != 1 || st.Hold != nil || st.Doubt != "" {
				t.Errorf("stale %d times, %+v", p.Stale, st)
			}
			if got := p.Plan.Components[0].From; got != one {
				t.Errorf("the new plan starts from %s, want what runs, %s", got, one)
			}
			l, err := h.svc.Promotions.List(ctx, h.ana, promote.Filter{Project: shop, Environment: "dev"})
			must(t, 0, err)
			if len(l.Items) != 3 {
				t.Errorf("%d promotions, want one a version", len(l.Items))
			}
		})
	}
	t.Run("but not for ever", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		h.answer(func(op towpath.Operation) towpath.OperationResult {
			if op.Target.Environment != "dev" || op.Verb != towpath.VerbPrepare {
				return towpath.OperationResult{}
			}
			return towpath.OperationResult{Status: towpath.ResultStale, Message: "somebody else's has the traffic", Outputs: map[string]string{"running": "rev_unknown"}}
		})
		h.publish("1.1.0", "two")
		p := h.promotion("dev", "1.1.0", towpath.PromotionFailed)
		if !strings.Contains(p.Reason, "somebody else's has the traffic") {
			t.Errorf("the reason is %q", p.Reason)
		}
		if st := h.status("dev"); st.Hold != nil {
			t.Errorf("it is held: %+v", st.Hold)
		}
	})
}
