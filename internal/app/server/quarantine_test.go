package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/trust"
)

func (h *harness) quarantine(version, reason string) {
	h.t.Helper()
	_, err := h.svc.Releases.Quarantine(context.Background(), h.ana, shop, version, reason)
	must(h.t, 0, err)
}

// TestServer_QuarantineStopsACanary: what is on its way goes back, as when a
// person aborts it.
func TestServer_QuarantineStopsACanary(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		h.publish("1.1.0", "two")
		h.counting()
		must(t, 0, h.steer(deploy.SteerPause)) // which holds nothing that is bad
		h.quarantine("1.1.0", "it leaks")
		h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
		if st := h.status("dev"); st.Version != "1.0.0" || st.Hold == nil || st.Hold.Reason != "rolled back from 1.1.0: 1.1.0 is quarantined: it leaks" {
			t.Errorf("dev runs %s, held by %+v", st.Version, st.Hold)
		}
		list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
		must(t, 0, err)
		if d := list.Items[0]; d.Cause != "1.1.0 is quarantined: it leaks" || d.Recovery != nil {
			t.Errorf("it went back for %q: %+v", d.Cause, d.Recovery)
		}
		if ev := h.events("deployment.reverting"); len(ev) != 1 || ev[0].Event.Reason != "1.1.0 is quarantined: it leaks" {
			t.Errorf("recorded as %+v", ev)
		}
	})
}

// TestServer_QuarantineAndTheWayBack: no rollback begins to what is quarantined;
// one that had begun is the lesser evil.
func TestServer_QuarantineAndTheWayBack(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.staging = towpath.PromotionManual
		h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		h.publish("1.1.0", "two")
		h.runs("dev", "1.1.0")
		back := deploy.RollbackRequest{Project: shop, Environment: "dev"}
		h.quarantine("1.0.0", "it leaks")
		if _, err := h.svc.Deploys.Rollback(t.Context(), h.ana, back); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("a rollback to it began: %v", err)
		}
		_, err := h.svc.Releases.Unquarantine(t.Context(), h.ana, shop, "1.0.0", "it does not")
		must(t, 0, err)
		under, goOn := make(chan struct{}), make(chan struct{})
		h.answer(func(op towpath.Operation) towpath.OperationResult {
			if op.Verb == towpath.VerbPrepare && op.Target.Environment == "dev" {
				close(under)
				<-goOn
			}
			return towpath.OperationResult{}
		})
		out, err := h.svc.Deploys.Rollback(t.Context(), h.ana, back)
		must(t, out, err)
		<-under
		asked := func() (n int) { // how often somebody asked for a look at it
			must(t, 0, h.s.db.QueryRow(t.Context(), `SELECT gen FROM work WHERE kind = 'deployment' AND key = $1`, string(out.Deployment.ID)).Scan(&n))
			return n
		}
		before := asked()
		h.quarantine("1.0.0", "it leaks after all")
		if asked() == before {
			t.Error("the deployment was not woken")
		}
		if st := h.status("dev"); st.Quarantined || st.Quarantine == nil || st.Quarantine.Reason != "it leaks after all" {
			t.Errorf("what comes is not flagged: %+v", st.Quarantine)
		}
		_, err = h.s.agents.deploys.Reconcile(t.Context(), string(out.Deployment.ID), time.Now())
		must(t, 0, err)
		close(goOn)
		h.runs("dev", "1.0.0")
		if st := h.status("dev"); !st.Quarantined {
			t.Error("what runs is not flagged")
		}
	})
}

// TestServer_QuarantineOffersTheWayBack: the last good release that is not
// quarantined itself, which is where a rollback goes.
func TestServer_QuarantineOffersTheWayBack(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.staging = towpath.PromotionManual
		for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
			h.publish(v, v)
			h.runs("dev", v)
		}
		if st := h.status("dev"); st.Rollback != nil || st.Quarantine != nil {
			t.Errorf("offered without need: %+v", st)
		}
		for _, tt := range []struct{ version, offer string }{{"1.2.0", "1.1.0"}, {"1.1.0", "1.0.0"}} {
			h.quarantine(tt.version, "it leaks")
			st := h.status("dev")
			if !st.Quarantined || st.Quarantine.Reason != "it leaks" || st.Rollback == nil || st.Rollback.Version != tt.offer {
				t.Fatalf("flagged %+v, offered %+v", st.Quarantine, st.Rollback)
			}
			back := deploy.RollbackRequest{Project: shop, Environment: "dev", DryRun: true}
			if out, err := h.svc.Deploys.Rollback(t.Context(), h.ana, back); err != nil || out.To != st.Rollback.Release {
				t.Errorf("a rollback goes to %s: %v", out.ToVersion, err)
			}
		}
		h.quarantine("1.0.0", "it leaks")
		if st := h.status("dev"); st.Rollback != nil {
			t.Errorf("offered %+v", st.Rollback)
		}
	})
}

// intervening does something after the evidence about a promotion was read, and
// before anything is decided on it.
type intervening struct {
	*trust.Service
	act func()
}

func (i intervening) Statements(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest) ([]towpath.Attestation, error) {
	i.act()
	return i.Service.Statements(ctx, p, e, release)
}

// TestServer_QuarantineWhileTheGatesJudge: what was quarantined between the look
// and the decision is not deployed.
func TestServer_QuarantineWhileTheGatesJudge(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.publish("1.0.0", "one")
		p := h.promotion("prod", "1.0.0", towpath.PromotionWaiting)
		h.stop()
		h = openHarness(t, h.s.cfg, h.repo) // whose loops are this test
		t.Cleanup(func() { _ = h.s.Close() })
		_, err := h.svc.Promotions.Approve(t.Context(), h.ben, p.ID, true, "looks good")
		must(t, 0, err)
		key, _, err := note.GenerateKey(nil, "test")
		must(t, 0, err)
		sign, err := note.NewSigner(key)
		must(t, 0, err)
		reads := 0
		said := intervening{h.svc.Trust.(*trust.Service), func() {
			if reads++; reads == 1 {
				h.quarantine("1.0.0", "it leaks")
			}
		}}
		loop := promote.Promotions{Service: promote.New(promote.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)},
			store.For[promote.Tx](h.s.store), h.svc.Releases.(*release.Service), said, signer{sign}, nil, &repositories{store: h.s.store, open: map[string]*git.Repository{}})}
		for range 2 {
			_, err := loop.Reconcile(t.Context(), string(p.ID), time.Now())
			must(t, 0, err)
		}
		got, err := h.svc.Promotions.Get(t.Context(), h.ana, p.ID)
		must(t, 0, err)
		if got.Phase != towpath.PromotionDenied || !strings.Contains(got.Reason, "it leaks") || got.Deployment != "" {
			t.Errorf("it is %s: %s; deployed as %q", got.Phase, got.Reason, got.Deployment)
		}
		if reads != 2 {
			t.Errorf("the gates judged %d times", reads)
		}
	})
}

// TestServer_QuarantineWaitsForWhoLetsIn holds that a quarantine and who begins a
// deployment exclude each other, on the database that runs them side by side.
func TestServer_QuarantineWaitsForWhoLetsIn(t *testing.T) {
	h := startHarness(t, Config{Data: t.TempDir(), Database: dbtest.PostgresURL(t)}, gittest.New(t))
	h.introduce()
	h.publish("1.0.0", "one")
	h.promotion("prod", "1.0.0", towpath.PromotionWaiting)
	quarantined := make(chan error, 1)
	must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.LockEnvironment(ctx, shop, "prod"); err != nil {
			return err
		}
		go func() {
			_, err := h.svc.Releases.Quarantine(context.Background(), h.ana, shop, "1.0.0", "it leaks")
			quarantined <- err
		}()
		h.until("it waits", func() bool {
			if len(quarantined) > 0 {
				t.Fatal("it did not wait")
			}
			n := 0
			err := h.s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&n)
			return err == nil && n > 0
		})
		return nil
	}))
	must(t, 0, <-quarantined)
}
