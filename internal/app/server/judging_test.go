package server

import (
	"context"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// observed is a store that tells what reads counts, and where, and lets something
// happen after each view.
type observed struct {
	deploy.Store
	viewed        func()
	inside, views int // reads of counts in transactions that may write, and views
}

type observedTx struct {
	deploy.Tx
	of *observed
}

func (w *observed) View(ctx context.Context, f func(context.Context, deploy.Tx) error) error {
	err := w.Store.View(ctx, f)
	w.views++
	w.viewed()
	return err
}

func (w *observed) Update(ctx context.Context, f func(context.Context, deploy.Tx) error) error {
	return w.Store.Update(ctx, func(ctx context.Context, tx deploy.Tx) error { return f(ctx, observedTx{tx, w}) })
}

func (t observedTx) TrafficCounts(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) ([]towpath.TrafficCount, error) {
	t.of.inside++
	return t.Tx.TrafficCounts(ctx, id, c)
}

// judgedBeside stops a canary after ten good seconds, and gives it to a service
// of the test's own.
func judgedBeside(t *testing.T, database string) (*counter, *deploy.Service, *observed, towpath.DeploymentID) {
	t.Helper()
	cfg := Config{Data: folder(t), Database: database}
	h := startHarness(t, cfg, gittest.New(t))
	h.introduce()
	newCanary(t, h)
	h.rollout.Steps = []towpath.RolloutStep{{Weight: 10, For: time.Hour}}
	h.publish("1.1.0", "two")
	c := h.counting()
	c.seconds(3, 0)
	id := h.status("dev").Deployment.ID
	h.stop()
	quiet := openHarness(t, cfg, h.repo)
	t.Cleanup(func() { _ = quiet.s.Close() })
	c.h = quiet
	key, err := ledger.LoadOrCreateKey(cfg.Data+"/ledger.key", "towpath")
	must(t, 0, err)
	signs, err := note.NewSigner(key.Secret())
	must(t, 0, err)
	w := &observed{Store: store.For[deploy.Tx](quiet.s.store), viewed: func() {}}
	return c, deploy.New(deploy.Config{Now: time.Now}, w, quiet.svc.Releases.(deploy.Contents), signer{signs}, promql.Sources{}), w, id
}

// TestServer_JudgesOutsideOfTransactions: what takes long holds up no other write;
// and what came meanwhile is judged with the rest, never left out.
func TestServer_JudgesOutsideOfTransactions(t *testing.T) {
	each := func(t *testing.T, f func(t *testing.T, database string)) {
		t.Run("on SQLite", func(t *testing.T) { f(t, "") })
		t.Run("on PostgreSQL", func(t *testing.T) { f(t, dbtest.PostgresURL(t)) })
	}
	for name, tt := range map[string]struct {
		during func(c *counter, view int) // after a view
		inside bool                       // it is judged in the transaction in the end
		counts int                        // that it is judged by
		worse  bool
	}{
		"nothing comes meanwhile": {during: func(*counter, int) {}, counts: 3},
		"one interval comes while it is judged": {during: func(c *counter, view int) {
			if view == 1 {
				c.seconds(1, 0)
			}
		}, counts: 4},
		"something always comes": {during: func(c *counter, _ int) { c.seconds(1, 0) }, inside: true, counts: 5},
		"it turns bad at the last moment": {during: func(c *counter, view int) {
			if view == 2 {
				c.seconds(5, 15)
			}
		}, inside: true, counts: 8, worse: true},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, database string) {
				c, s, w, id := judgedBeside(t, database)
				w.viewed = func() { tt.during(c, w.views) }
				_, err := s.Reconcile(t.Context(), string(id), time.Now())
				must(t, 0, err)
				if (w.inside > 0) != tt.inside {
					t.Errorf("counts were read %d times in the transaction", w.inside)
				}
				var d towpath.Deployment
				must(t, 0, c.h.s.store.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					d, err = tx.Deployment(ctx, id)
					return err
				}))
				j := d.Components[0].Canary.Judgement
				if j == nil || j.Intervals != tt.counts || (j.Outcome == towpath.JudgedWorse) != tt.worse {
					t.Errorf("judged as %+v", j)
				}
				if back := d.Phase == towpath.DeploymentReverting; back != tt.worse {
					t.Errorf("it is %s", d.Phase)
				}
			})
		})
	}
}
