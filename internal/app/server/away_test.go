package server

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// TestServer_NamesTheAgentThatIsAway: who looks at a deployment that stands
// because nobody takes its steps up reads whom it waits for, wherever it is shown.
func TestServer_NamesTheAgentThatIsAway(t *testing.T) {
	ahead := &atomic.Int64{}
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h := startHarness(t, Config{Data: folder(t), Now: now}, gittest.New(t))
	h.introduce()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.runs("staging", "1.0.0")
	h.gates = towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}}
	h.publish("1.1.0", "two") // its rules are in force from the next one on
	h.runs("dev", "1.1.0")
	h.publish("1.2.0", "three")
	p := h.promotion("dev", "1.2.0", towpath.PromotionWaiting)
	h.until("it is planned", func() bool { return h.promotion("dev", "1.2.0", towpath.PromotionWaiting).Plan != nil })
	h.away()
	_, err := h.svc.Promotions.Approve(t.Context(), h.ben, p.ID, true, "")
	must(t, 0, err)
	h.until("a step waits", func() bool {
		d := h.status("dev").Deployment
		return d != nil && len(d.Components[0].Steps) > 0
	})
	// shown is what each place that shows the deployment says of agents.
	shown := func() [][]towpath.AgentAway {
		d := h.status("dev").Deployment
		got, err := h.svc.Deploys.Get(t.Context(), h.ana, d.ID)
		must(t, 0, err)
		list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
		must(t, 0, err)
		if n := len(list.Items); n != 3 || list.Items[1].Away != nil {
			t.Errorf("%d are listed, and the one that has ended waits for %+v", n, list.Items[n-1].Away)
		}
		return [][]towpath.AgentAway{d.Away, got.Away, list.Items[0].Away}
	}
	for _, all := range shown() {
		if len(all) > 0 {
			t.Errorf("it is called away after a moment: %+v", all)
		}
	}
	ahead.Add(int64(2 * towpath.AgentSilence))
	for i, all := range shown() {
		if len(all) != 1 || all[0].Agent != "host-1" || all[0].Place != "local" || len(all[0].Components) != 1 || all[0].Components[0] != "api" ||
			now().Sub(all[0].Seen) < 2*towpath.AgentSilence {
			t.Errorf("reader %d is told of %+v", i, all)
		}
	}
	h.back()
	h.runs("dev", "1.2.0")
}
