package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// newBlueGreen runs 1.0.0 in dev, and has what comes next judged once it has all of
// the traffic.
func newBlueGreen(t *testing.T, h *harness) {
	t.Helper()
	h.staging = towpath.PromotionManual
	h.rollout = &towpath.RolloutSpec{
		Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour, For: time.Millisecond,
	}
	h.objectives = []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true}}
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
}

// took has the new revision of a count take all of the traffic.
func (c *counter) took() {
	c.old.Weight, c.new.Weight = 0, 1 // as the router says of one alone
}

// TestServer_AfterTheSwitch: what has all of the traffic is judged by what it has to
// keep to, and goes back to what still runs.
func TestServer_AfterTheSwitch(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newBlueGreen(t, h)
		h.publish("1.1.0", "two")
		h.waits("api has all of the traffic, and the revision before it still runs and is not judged yet. Nothing has been counted yet")
		if st := h.status("dev"); st.Version != "1.0.0" {
			t.Errorf("dev runs %s before that is judged", st.Version)
		}
		c := h.countingOf("api")
		c.alone(60)
		c.took()
		c.tell()
		for range 10 {
			c.new.Requests += 200
			c.tell()
		}
		h.runs("dev", "1.1.0")

		bad := h.publish("1.2.0", "three")
		h.waits("Nothing has been counted yet")
		c = h.countingOf("api")
		c.alone(60)
		c.took()
		c.tell()
		for range 6 {
			c.new.Requests, c.new.Failed = c.new.Requests+200, c.new.Failed+100
			c.tell()
		}
		h.until("it is rolled back and held", func() bool {
			st := h.status("dev")
			return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse since it has all of the traffic: errors:")
		})
		if st := h.status("dev"); st.Version != "1.1.0" {
			t.Errorf("dev runs %s", st.Version)
		}
		list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
		must(t, 0, err)
		d := list.Items[0]
		if d.Release != bad.Release || d.Phase != towpath.DeploymentRolledBack || d.Recovery == nil || d.Recovery.Restored.IsZero() || d.Recovery.ToDetect() < 0 {
			t.Errorf("the last deployment is %+v, %+v", d, d.Recovery)
		}
		j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, d.ID, "api")
		must(t, 0, err)
		record, err := json.Marshal(j)
		must(t, 0, err)
		again, same, err := analysis.Replay(record)
		if err != nil || !same || again.Outcome != analysis.Worse || !strings.Contains(again.Sentence, ", and 0 % of 10,620 before") {
			t.Errorf("replayed as %s, the same: %v, %v: %s", again.Outcome, same, err, again.Sentence)
		}
	})
}
