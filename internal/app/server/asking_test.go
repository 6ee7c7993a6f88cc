package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// withoutEvidence has the rollout in dev go on although it was not judged.
func (h *harness) withoutEvidence() error {
	r := deploy.SteerRequest{Project: shop, Environment: "dev", Action: deploy.SteerResume, Reason: "a test", WithoutEvidence: true}
	_, err := h.svc.Deploys.Steer(h.t.Context(), h.ana, r)
	return err
}

// scraped is what the server shows to who scrapes it.
func (h *harness) scraped() string {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(h.t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// TestServer_AsksAPerson: whoever does not watch a deployment that waits for a
// person finds it in the ledger, once each time, and among the metrics. To end a
// pause is not to go on without evidence: two people who resume move no traffic.
func TestServer_AsksAPerson(t *testing.T) {
	h := startHarness(t, Config{Data: folder(t), PublicMetrics: true}, gittest.New(t))
	h.introduce()
	newCanary(t, h)
	gauge := func(env towpath.EnvironmentName, v string) bool {
		return strings.Contains(h.scraped(), `towpath_deployment_asks{environment="`+string(env)+`",project="shop"} `+v+"\n")
	}
	if !gauge("dev", "0") || !gauge("staging", "0") {
		t.Errorf("nothing is deployed, and it says\n%s", h.scraped())
	}
	h.rollout.Deadline = time.Millisecond
	h.publish("1.1.0", "two")
	c := h.counting()
	const overdue = "api has 10 % of the traffic and could not be judged within 1ms: `towpath rollout resume --without-evidence` goes on all the same"
	h.waits(overdue)
	c.seconds(2, 0)
	h.until("it is judged on", func() bool {
		j := h.status("dev").Deployment.Components[0].Canary.Judgement
		return j != nil && j.Intervals == 2
	})
	asked := h.events("deployment.asks")
	if len(asked) != 1 || !strings.HasPrefix(asked[0].Event.Reason, overdue) || asked[0].Event.Actor != string(towpath.System().Account) {
		t.Errorf("the ledger has %+v", asked)
	}
	if !gauge("dev", "1") || !gauge("staging", "0") {
		t.Errorf("it asks, and says\n%s", h.scraped())
	}

	t.Run("what ends a pause is no way on without evidence", func(t *testing.T) {
		refused := func(err error, says string) {
			t.Helper()
			if towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want %s", err, says)
			}
		}
		must(t, 0, h.steer(deploy.SteerPause))
		refused(h.withoutEvidence(), "is paused by ana: a test")
		must(t, 0, h.steer(deploy.SteerResume))
		err := h.steer(deploy.SteerResume) // a colleague does the same
		refused(err, "nothing is paused, and to go on would be without evidence")
		if _, hint := towpath.PublicMessage(err); !strings.Contains(hint, "`towpath rollout resume dev --without-evidence`") {
			t.Errorf("the hint is %q", hint)
		}
		h.waits(overdue)
		if w := h.status("dev").Deployment.Components[0].Weight(); w != 10 {
			t.Errorf("it has %d %%", w)
		}
		if n := len(h.events("deployment.asks")); n != 2 {
			t.Errorf("it asked %d times", n)
		}
	})
	t.Run("who goes on without evidence says so, and what was known is kept", func(t *testing.T) {
		skip := deploy.SteerRequest{Project: shop, Environment: "dev", Action: deploy.SteerSkip, WithoutEvidence: true}
		if _, err := h.svc.Deploys.Steer(t.Context(), h.ana, skip); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("got %v", err)
		}
		must(t, 0, h.withoutEvidence())
		h.until("it has 50 %", func() bool { return h.status("dev").Deployment.Components[0].Weight() == 50 })
		all := h.events("rollout.resume")
		ev := all[len(all)-1].Event
		if !strings.HasPrefix(ev.Reason, "a test; ended step 1 of 2 of api, 10 % of the traffic, without evidence; judged ") ||
			!strings.Contains(string(ev.Data), `"component":"api","step":1,"steps":2,"weight":10,"judged":"`) || !strings.Contains(string(ev.Data), `"withoutEvidence":true`) {
			t.Errorf("the ledger has %s, %s", ev.Reason, ev.Data)
		}
	})
	t.Run("nothing is overdue at a step that only a person ends", func(t *testing.T) {
		h.rollout = &towpath.RolloutSpec{
			Strategy: towpath.StrategyCanary, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour,
			Steps: []towpath.RolloutStep{{Weight: 10, Manual: true}},
		}
		must(t, 0, h.steer(deploy.SteerAbort))
		h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
		must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		h.publish("1.2.0", "three")
		h.waits("waits for a person: `towpath rollout resume` goes on")
		if err := h.withoutEvidence(); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "no evidence of api is overdue") {
			t.Errorf("got %v", err)
		}
		must(t, 0, h.steer(deploy.SteerResume))
		h.runs("dev", "1.2.0")
		h.until("nobody is asked", func() bool { return gauge("dev", "0") })
	})
}

// TestAsking_WithoutADatabase: the other metrics are there.
func TestAsking_WithoutADatabase(t *testing.T) {
	broken := newAsking(func(context.Context) ([]deploy.Asking, error) { return nil, errors.New("it is away") }, slog.New(slog.DiscardHandler))
	registry := prometheus.NewRegistry()
	registry.MustRegister(broken, prometheus.NewGauge(prometheus.GaugeOpts{Name: "other"}))
	all, err := registry.Gather()
	if err != nil || len(all) != 1 || all[0].GetName() != "other" {
		t.Errorf("got %v, %v", all, err)
	}
}
