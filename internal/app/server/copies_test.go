package server

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// copying begins to count the copies that the new revision gets in dev.
func (h *harness) copying() *counter {
	h.t.Helper()
	c := &counter{h: h, component: "api", at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	h.until("requests are copied", func() bool {
		d := h.status("dev").Deployment
		if d == nil || len(d.Components) == 0 || !d.Components[0].Mirrors() {
			return false
		}
		r := d.Components[0]
		c.old, c.new = towpath.RevisionCount{Revision: r.From, Weight: 100}, towpath.RevisionCount{Revision: r.To, Copied: 10}
		return true
	})
	c.tell()
	return c
}

// copies counts 180 good requests of the old revision a second, and copies of 20
// of them, of which some fail.
func (c *counter) copies(n int, failed uint64) {
	c.h.t.Helper()
	add := func(to *towpath.RequestCount, failed uint64) *towpath.RequestCount {
		if to == nil {
			to = &towpath.RequestCount{}
		}
		return &towpath.RequestCount{Requests: to.Requests + 20, Failed: to.Failed + failed}
	}
	for range n {
		c.old.Requests += 180
		c.old.Originals, c.new.Copies = add(c.old.Originals, 0), add(c.new.Copies, failed)
		c.tell()
	}
}

func TestServer_Mirror(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		h.rollout.Mirror = &towpath.RolloutStep{Copies: &towpath.TrafficCopies{Percent: 10}}
		h.rollout.Sticky = &towpath.TrafficSticky{Cookie: "who"}
		h.publish("1.1.0", "two")
		h.waits("the new revision of api has no users yet and gets copies of 10 % of the requests and is not judged yet. Nothing has been counted yet")
		c := h.copying()
		c.copies(1, 0)
		h.until("20 copies are not the 50 that it takes", func() bool {
			j := h.status("dev").Deployment.Components[0].Canary.Judgement
			return j != nil && j.Outcome == towpath.JudgedNoEvidence && j.Intervals == 1
		})
		c.copies(9, 0)
		h.waits("10 % of the traffic")
		h.until("copies are no evidence of users", func() bool {
			j := h.status("dev").Deployment.Components[0].Canary.Judgement
			return j == nil || j.Outcome == towpath.JudgedNoEvidence
		})
		c.new.Copied = 0
		c.seconds(9, 0)
		c.runs("1.1.0")
		var shifts []towpath.OperationSpec
		for _, op := range h.done() {
			if op.Verb == towpath.VerbShift {
				shifts = append(shifts, op.Spec)
			}
		}
		if len(shifts) != 3 || shifts[0].Weight != 0 || shifts[0].Copies.Share() != 10 || shifts[0].Sticky != nil ||
			shifts[1].Weight != 10 || shifts[1].Copies != nil || shifts[1].Sticky == nil || shifts[2].Weight != 50 || shifts[2].Sticky == nil {
			t.Errorf("the traffic was shared by %+v", shifts)
		}

		t.Run("goes back before it has users when its copies are worse", func(t *testing.T) {
			h.publish("1.2.0", "three")
			h.copying().copies(3, 10)
			h.until("it is rolled back and held", func() bool {
				st := h.status("dev")
				return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "is worse by what it did with copies of requests, and no user had it: errors: Error rate 50 %")
			})
			list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
			must(t, 0, err)
			d := list.Items[0]
			for _, s := range d.Components[0].Steps {
				if s.Verb == towpath.VerbShift && s.Weight > 0 {
					t.Errorf("it had users: %+v", s)
				}
			}
			if r := d.Recovery; r == nil || !r.Sign.Before(r.Detected) {
				t.Errorf("its recovery is %+v", r)
			}
			j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, d.ID, "api")
			if err != nil || j.Outcome != "worse" || !strings.Contains(j.Sentence, "Error rate 50 %") {
				t.Errorf("judged again: %s, %s, %v", j.Outcome, j.Sentence, err)
			}
			must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		})
		t.Run("asks a person when there was nothing to copy", func(t *testing.T) {
			h.rollout = &towpath.RolloutSpec{
				Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute, Interval: time.Second, Deadline: time.Millisecond,
				Mirror: &towpath.RolloutStep{Copies: &towpath.TrafficCopies{Percent: 10}},
			}
			h.publish("1.3.0", "four")
			h.copying().tell()
			h.waits("and could not be judged within 1ms: `towpath rollout resume --without-evidence` goes on all the same")
			must(t, 0, h.withoutEvidence())
			h.runs("dev", "1.3.0")
			next, err := h.svc.Promotions.Preview(t.Context(), h.ana, promote.Request{Project: shop, Release: "1.3.0", Environment: "staging"})
			must(t, 0, err)
			said := ""
			for _, v := range next.Verdicts {
				said += strings.Join(v.Reasons, " ")
			}
			if !strings.Contains(said, "There was no evidence of errors of api there") || !strings.Contains(said, "ana let it pass all the same.") {
				t.Errorf("on the way upstream it says: %s", said)
			}
		})
	})
}
