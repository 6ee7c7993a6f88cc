package server

import (
	"context"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_WhatWasSupersededIsOfferedAgain: when what took a waiting candidate's
// place is rolled back from upstream, the environment takes the candidate after all.
func TestServer_WhatWasSupersededIsOfferedAgain(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	must(t, 0, h.svc.Promotions.Hold(ctx, h.ana, shop, "staging", "looking"))
	h.publish("1.1.0", "two")
	first := h.promotion("staging", "1.1.0", towpath.PromotionWaiting)
	h.publish("1.2.0", "three")
	h.promotion("staging", "1.2.0", towpath.PromotionWaiting)
	h.promotion("staging", "1.1.0", towpath.PromotionSuperseded)
	_, err := h.svc.Deploys.Rollback(ctx, h.ana, rollbackTo("dev"))
	must(t, 0, err)
	h.runs("dev", "1.1.0")
	if p := h.promotion("staging", "1.1.0", towpath.PromotionWaiting); p.ID == first.ID {
		t.Errorf("promotion %s goes on after it had ended", p.ID)
	}
	must(t, 0, h.svc.Promotions.Unhold(ctx, h.ana, shop, "staging", ""))
	h.runs("staging", "1.1.0")
}
