package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_ExperimentPromotedAndDenied holds that a promotion which a gate
// denies leaves what ran before, and that it can be asked for again.
func TestServer_ExperimentPromotedAndDenied(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 10, For: 10 * time.Minute}))
	h.waits("10 % of the traffic for another")
	h.counting().quick(40)
	h.until("1.1.0 is better", func() bool { return h.experiment().Report.Settled() })
	x := h.experiment()
	_, err := h.svc.Releases.Quarantine(t.Context(), h.ana, shop, "1.1.0", "it leaks")
	must(t, 0, err)
	p, err := h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment)
	must(t, p, err)
	if c := p.Compared; c == nil || c.Version != "1.0.0" || c.Release != h.status("dev").Release || c.Experiment != x.Deployment {
		t.Errorf("it may take the place of %+v", c)
	}
	h.until("it is denied", func() bool {
		p, err = h.svc.Promotions.Get(t.Context(), h.ana, p.ID)
		return err == nil && p.Phase == towpath.PromotionDenied
	})
	h.until("what ran before runs alone", func() bool {
		return h.experiment().Phase == towpath.DeploymentConcluded && h.status("dev").Deployment == nil
	})
	if st := h.status("dev"); st.Version != "1.0.0" || st.Hold != nil {
		t.Errorf("dev runs %s, held by %+v", st.Version, st.Hold)
	}
	_, err = h.svc.Releases.Unquarantine(t.Context(), h.ana, shop, "1.1.0", "it does not")
	must(t, 0, err)
	_, err = h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev")
	must(t, 0, err)
	_, err = h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment)
	must(t, 0, err)
	h.runs("dev", "1.1.0")

	h.publish("1.2.0", "three")
	_, err = h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.2.0"})
	must(t, 0, err)
	h.runs("dev", "1.2.0")
	if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "was compared with 1.0.0, and dev runs 1.2.0 by now") {
		t.Errorf("it won against what it was not compared with: %v", err)
	}
}

// TestServer_ExperimentPromotedBehindAnother holds that a release takes the place of
// what it was compared with and of nothing else: neither while another one is on its
// way in, nor when that has come in before it, although it was asked for by then.
func TestServer_ExperimentPromotedBehindAnother(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 10, For: 10 * time.Minute}))
	h.waits("10 % of the traffic for another")
	h.counting().quick(40)
	h.until("1.1.0 is better", func() bool { return h.experiment().Report.Settled() })
	x := h.experiment()
	h.rollout = &towpath.RolloutSpec{
		Strategy: towpath.StrategyCanary, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour, Steps: []towpath.RolloutStep{{Weight: 30}},
	}
	h.publish("1.2.0", "three")
	_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.2.0"})
	must(t, 0, err)
	h.promotion("dev", "1.2.0", towpath.PromotionWaiting)
	_, err = h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "")
	must(t, 0, err)
	h.waits("api has 30 % of the traffic")
	const says = "1.1.0 was compared with 1.0.0, and 1.2.0 is on its way into dev"
	if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), says) {
		t.Errorf("it won while another one goes in: %v", err)
	}
	if _, err := h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), says) {
		t.Errorf("it was promoted while another one goes in: %v", err)
	}
	// As if it had been asked for a moment before the other one began.
	first, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
	must(t, 0, err)
	was, err := h.svc.Deploys.Get(t.Context(), h.ana, x.Deployment)
	must(t, 0, err)
	must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		p, err := tx.LockPromotion(ctx, first.ID)
		if err != nil {
			return err
		}
		p.Compared = &towpath.Compared{Release: was.Previous, Version: was.PreviousVersion, Experiment: was.ID}
		return tx.SavePromotion(ctx, p)
	}))
	must(t, 0, h.steer(deploy.SteerSkip))
	h.until("it is denied", func() bool {
		p, err := h.svc.Promotions.Get(t.Context(), h.ana, first.ID)
		return err == nil && p.Phase == towpath.PromotionDenied && strings.Contains(p.Reason, "1.1.0 was compared with 1.0.0, and dev runs 1.2.0 by now")
	})
	h.runs("dev", "1.2.0")
}

// TestServer_ExperimentPromotedOnce holds that who asks again for what was asked,
// because the answer was lost, is answered with that: what is counted meanwhile
// may have changed the report.
func TestServer_ExperimentPromotedOnce(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 10, For: 10 * time.Minute}))
	h.waits("10 % of the traffic for another")
	if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); err == nil || !strings.Contains(err.Error(), "the report does not say") {
		t.Fatalf("without a count: %v", err)
	}
	x := h.experiment() // as if its report had said so a moment ago
	p, err := h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment)
	must(t, p, err)
	again, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev")
	if err != nil || again.Deployment != x.Deployment || !again.Experiment.Promoted || again.Report.Settled() {
		t.Errorf("asked again: %+v, %v", again.Experiment, err)
	}
	h.runs("dev", "1.1.0")
}
