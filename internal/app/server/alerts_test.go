package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// alerting is the account of an alert manager that may speak of an environment.
func alerting(e towpath.EnvironmentName) towpath.Actor {
	return towpath.Actor{Account: "alertmanager", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleAlerter, Project: shop, Environment: e}}}
}

// fires is an alert about dev that asks for a rollback.
func fires(name string, since time.Time) towpath.Alert {
	labels := map[string]string{"alertname": name, "project": "shop", "environment": "dev", "towpath_action": "rollback"}
	return towpath.Alert{Fingerprint: towpath.LabelsHash(labels), Firing: true, StartsAt: since, Labels: labels, Summary: "5 % of\nall fail."}
}

func (h *harness) alerts(alerts ...towpath.Alert) deploy.AlertReport {
	h.t.Helper()
	r, err := h.svc.Deploys.Alerts(context.Background(), alerting("dev"), alerts)
	return must(h.t, r, err)
}

func TestServer_Alerts(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		before := time.Now().Add(-time.Hour)
		h.publish("1.1.0", "two")
		h.counting()

		t.Run("what asks for nothing is ignored", func(t *testing.T) {
			resolved, silent, odd, far, bad, timeless := fires("a", before), fires("b", before), fires("c", before), fires("d", before), fires("e", before), fires("f", before)
			vague, negative, pending := fires("g", time.Now()), fires("h", time.Now()), fires("i", time.Now())
			vague.Labels["towpath_for"], negative.Labels["towpath_for"], pending.Labels["towpath_for"] = "a while", "-1h", "1h"
			resolved.Firing = false
			delete(silent.Labels, "towpath_action")
			odd.Labels["towpath_action"] = "restart"
			far.Labels["towpath_environment"] = "prod"
			bad.Labels["project"] = "a\x00b"
			timeless.StartsAt = time.Time{}
			r := h.alerts(resolved, silent, odd, far, bad, timeless, vague, negative, pending)
			for i, want := range []string{"it is resolved", "no label towpath_action", `"restart", and only rollback`, "alertmanager may not post alerts", "are no names", "since when", "towpath_for is no time", "towpath_for is no time", "for what was so since"} {
				if got := r.Alerts[i]; got.Outcome != towpath.AlertIgnored || !strings.Contains(got.Reason, want) {
					t.Errorf("got %+v, want %s", got, want)
				}
			}
			if r.Ignored != 9 || h.status("dev").Deployment == nil {
				t.Errorf("got %+v", r)
			}
		})
		t.Run("what is older than the deployment is ignored, and a thousand of them are no storm", func(t *testing.T) {
			var many []towpath.Alert
			for i := range 1000 {
				many = append(many, fires(fmt.Sprint("old ", i), before))
			}
			for range 2 {
				if r := h.alerts(many...); r.Ignored != 1000 || !strings.Contains(r.Alerts[999].Reason, "it fires since") {
					t.Errorf("%d acted, %d ignored: %+v", r.Acted, r.Ignored, r.Alerts[999])
				}
			}
			if n := len(h.events("alert.ignored")); n != 20 {
				t.Errorf("%d are in the ledger", n)
			}
		})
		t.Run("what has not begun yet is ignored", func(t *testing.T) {
			later := fires("errors", time.Now().AddDate(4, 0, 0))
			for range 2 {
				r := h.alerts(later)
				if r.Ignored != 1 || !strings.Contains(r.Alerts[0].Reason, "it fires since "+later.StartsAt.UTC().Format(time.DateTime)+", and the server's clock says") {
					t.Errorf("got %+v", r)
				}
			}
			if st := h.status("dev"); st.Deployment == nil || st.Deployment.Phase != towpath.DeploymentSwitching || st.Hold != nil {
				t.Errorf("got %+v", st)
			}
		})
		now := time.Now()
		t.Run("what is under way goes back, once", func(t *testing.T) {
			id := h.status("dev").Deployment.ID
			var many []towpath.Alert
			for range 1000 {
				many = append(many, fires("errors", now))
			}
			r := h.alerts(append(many, fires("latency", now.Add(time.Millisecond)))...)
			if r.Acted != 1 || r.Repeated != 999 || r.Ignored != 1 || r.Alerts[0].Deployment != id || !strings.Contains(r.Alerts[1000].Reason, "is reverting") {
				t.Errorf("%d acted, %d repeated, %d ignored, the first %+v, the last %+v", r.Acted, r.Repeated, r.Ignored, r.Alerts[0], r.Alerts[1000])
			}
			h.until("it is rolled back and held", func() bool {
				st := h.status("dev")
				return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the alert errors fires since") && strings.Contains(st.Hold.Reason, "5 % of all fail")
			})
			d := h.deployed()
			if d.ID != id || d.Phase != towpath.DeploymentRolledBack || h.status("dev").Version != "1.0.0" {
				t.Errorf("the deployment is %s %s, and dev runs %s", d.ID, d.Phase, h.status("dev").Version)
			}
			if x := d.Recovery; x == nil || !x.Sign.Equal(now) || x.ToDetect() < 0 || x.Restored.Before(x.Detected) {
				t.Errorf("its recovery is %+v", x)
			}
			if r := h.alerts(many[0]); r.Repeated != 1 || r.Alerts[0].Deployment != id {
				t.Errorf("told again: %+v", r)
			}
			if n := len(h.events("alert.acted")); n != 1 {
				t.Errorf("%d are in the ledger", n)
			}
		})
		must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		h.rollout = nil
		h.publish("1.2.0", "three")
		h.runs("dev", "1.2.0")
		t.Run("what has succeeded is rolled back within its watch time", func(t *testing.T) {
			if r := h.alerts(fires("errors", now)); r.Repeated != 1 {
				t.Errorf("an alert from before: %+v", r)
			}
			since := time.Now()
			r := h.alerts(fires("errors", since), fires("latency", since))
			if r.Acted != 1 || r.Ignored != 1 || !strings.Contains(r.Alerts[0].Reason, "is watched for 15m0s") || !strings.Contains(r.Alerts[1].Reason, "is a rollback") {
				t.Errorf("got %+v", r)
			}
			h.runs("dev", "1.0.0")
			d := h.deployed()
			if x := d.Recovery; d.Kind != towpath.DeploymentRollback || d.By != "alertmanager" || x == nil || !x.Sign.Equal(since) || x.Restored.Before(x.Detected) {
				t.Errorf("got %+v with %+v", d, x)
			}
			if st := h.status("dev"); st.Hold == nil || !strings.Contains(st.Hold.Reason, "rolled back from 1.2.0 to 1.0.0: the alert errors fires") {
				t.Errorf("the hold is %+v", st.Hold)
			}
			if r := h.alerts(fires("errors", time.Now())); r.Ignored != 1 || !strings.Contains(r.Alerts[0].Reason, "a person decides") {
				t.Errorf("after the rollback: %+v", r)
			}
		})
		t.Run("who may not is refused", func(t *testing.T) {
			viewer := towpath.Actor{Account: "vera", Token: "tok_2", Grants: []towpath.Grant{{Role: towpath.RoleViewer}}}
			if _, err := h.svc.Deploys.Alerts(t.Context(), viewer, nil); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("got %v", err)
			}
			lost := fires("errors", now)
			lost.Labels["environment"] = "nowhere"
			r, err := h.svc.Deploys.Alerts(t.Context(), alerting(""), []towpath.Alert{lost})
			must(t, 0, err)
			if !strings.Contains(r.Alerts[0].Reason, "there is no environment nowhere") {
				t.Errorf("got %+v", r)
			}
		})
	})
}

// deployed is the last deployment to dev.
func (h *harness) deployed() towpath.Deployment {
	h.t.Helper()
	list, err := h.svc.Deploys.List(context.Background(), h.ana, deploy.Filter{Project: shop, Environment: "dev", Limit: 1})
	must(h.t, 0, err)
	return list.Items[0]
}

func TestServer_AlertsWhereNothingRanBefore(t *testing.T) {
	h := newHarness(t)
	h.staging = towpath.PromotionManual
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	for range 2 {
		r := h.alerts(fires("errors", time.Now()))
		if r.Ignored != 1 || !strings.Contains(r.Alerts[0].Reason, "no earlier good release") {
			t.Errorf("got %+v", r)
		}
	}
	if st := h.status("dev"); st.Version != "1.0.0" || st.Hold != nil || st.Deployment != nil {
		t.Errorf("got %+v", st)
	}
	far := fires("errors", time.Now())
	far.Labels["environment"] = "staging"
	r, err := h.svc.Deploys.Alerts(t.Context(), alerting("staging"), []towpath.Alert{far})
	must(t, 0, err)
	if r.Alerts[0].Reason != "nothing was deployed to staging yet" {
		t.Errorf("got %+v", r)
	}
}

// repairedInVain records more repairs of dev that failed than are looked through.
func (h *harness) repairedInVain() {
	h.t.Helper()
	must(h.t, 0, h.s.store.Update(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for range 25 {
			now := time.Now()
			if err := tx.InsertDeployment(ctx, towpath.Deployment{
				ID: towpath.NewID[towpath.DeploymentID]("dep", now), Project: shop, Environment: "dev", Kind: towpath.DeploymentRepair,
				Phase: towpath.DeploymentFailed, CreatedAt: now, FinishedAt: now,
			}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestServer_AlertsBehindRepairs: repairs that fail one after the other, for which a
// bad release may be the cause, hide it from no alert.
func TestServer_AlertsBehindRepairs(t *testing.T) {
	h := newHarness(t)
	h.staging = towpath.PromotionManual
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	h.repairedInVain()
	if r := h.alerts(fires("errors", time.Now())); r.Acted != 1 || !strings.Contains(r.Alerts[0].Reason, "1.1.0 has run for") {
		t.Errorf("got %+v", r)
	}
	h.runs("dev", "1.0.0")
}
