package server

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// beyond begins an experiment in dev whose numbers add up to more than any that can
// be written: two values of a threshold that were divided by zero, and a price that
// was taken before there was a greatest one.
func (h *harness) beyond() towpath.DeploymentID {
	h.t.Helper()
	must(h.t, 0, h.starts("1.2.0", towpath.Experiment{Share: 20, For: time.Hour, On: []string{"load"}, Prices: &towpath.Prices{Request: 1}}))
	c := h.counting()
	id := h.status("dev").Deployment.ID
	must(h.t, 0, h.s.store.Update(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.LockDeployment(ctx, id)
		if err != nil {
			return err
		}
		d.Experiment.Prices.Request = 1e308
		if err := tx.SaveDeployment(ctx, d); err != nil {
			return err
		}
		endless := map[string][]towpath.MetricValue{towpath.QueryValues: {{Value: math.MaxFloat64}, {Value: math.MaxFloat64}}}
		now := time.Now()
		return tx.InsertMeasurement(ctx, id, "api", towpath.Measurement{
			At: now, Since: now.Add(-time.Second), Recorded: now,
			Readings: []towpath.ObjectiveReading{{Objective: "load", Canary: endless, Baseline: endless}},
		})
	}))
	c.at = c.at.Add(30 * time.Second)
	c.seconds(1, 0)
	return id
}

// found is a finding of an experiment's report.
func found(t *testing.T, x deploy.Experiment, metric string) experiment.Finding {
	t.Helper()
	for _, f := range x.Report.Findings {
		if f.Metric == metric {
			return f
		}
	}
	t.Fatalf("nothing is said of %s: %+v", metric, x.Report)
	return experiment.Finding{}
}

// TestServer_ExperimentBeyondNumbers holds that an experiment whose numbers can't be
// written stands in nobody's way: it says so itself, can be stopped and rolled back,
// and the experiments beside it are listed.
func TestServer_ExperimentBeyondNumbers(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	most := 0.9
	h.objectives = append(h.objectives, towpath.Objective{Name: "load", Kind: towpath.ObjectiveThreshold, Query: `load{revision="{{revision}}"}`, Below: &most})
	h.publish("1.2.0", "three")
	runs := func(what string, phase towpath.DeploymentPhase, id towpath.DeploymentID) {
		t.Helper()
		h.until(what, func() bool {
			d, err := h.svc.Deploys.Get(t.Context(), h.ana, id)
			must(t, 0, err)
			open, err := h.svc.Promotions.List(t.Context(), h.ana, promote.Filter{Project: shop, Environment: "dev", Open: true})
			must(t, 0, err)
			return d.Phase == phase && h.status("dev").Deployment == nil && len(open.Items) == 0
		})
		if st := h.status("dev"); st.Version != "1.0.0" {
			t.Errorf("dev runs %s", st.Version)
		}
	}
	says := func(x deploy.Experiment) {
		t.Helper()
		for metric, sum := range map[string]string{"load": "+Inf over 2", "cost": "+Inf over 180"} {
			if f := found(t, x, metric); f.Outcome != experiment.NoEvidence || !strings.Contains(f.Sentence, "because it adds up to "+sum+" in one interval, and 1e+15 is the most that can be compared") {
				t.Errorf("it says of %s: %+v", metric, f)
			}
		}
	}
	t.Run("it can be stopped", func(t *testing.T) {
		id := h.beyond()
		says(h.experiment())
		_, err := h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "enough")
		must(t, 0, err)
		runs("it is over", towpath.DeploymentConcluded, id)
		says(h.experiment())
	})
	t.Run("it can be rolled back", func(t *testing.T) {
		id := h.beyond()
		_, err := h.svc.Deploys.Rollback(t.Context(), h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", Reason: "stuck"})
		must(t, 0, err)
		runs("it was taken over", towpath.DeploymentPreempted, id)
	})
	t.Run("so can one whose evidence can't be read", func(t *testing.T) {
		id := h.beyond()
		must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE measurement SET doc = '{' WHERE deployment = $1`, id)
			return err
		}))
		const lost = "No report can be made: a stored measurement can't be read."
		if x := h.experiment(); x.Report.Sentence != lost {
			t.Errorf("it reports %+v", x.Report)
		}
		_, err := h.svc.Deploys.Rollback(t.Context(), h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", Reason: "stuck"})
		must(t, 0, err)
		runs("it was taken over", towpath.DeploymentPreempted, id)
		x := h.experiment()
		if r := x.Report; x.Deployment != id || r.Sentence != lost || r.New != "1.2.0" || r.Old != "1.0.0" {
			t.Errorf("it reports %+v", x)
		}
		if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("it won: %v", err)
		}
	})
	t.Run("those that were kept before are listed all the same", func(t *testing.T) {
		must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Experiments(ctx, shop, "dev", 3)
			if err != nil {
				return err
			}
			for i, doc := range []string{
				`{"old":"1.0.0","new":"1.1.0","share":20,"for":1,"metrics":[{"name":"cost","better":"less"}],"intervals":[{"start":"2026-11-21T12:00:00Z","end":"2026-11-21T12:00:01Z","readings":{"cost":{"old":{"sum":1e300,"over":1},"new":{"sum":1,"over":1}}}}]}`,
				`{`,
			} {
				if _, err := tx.Exec(ctx, `UPDATE experiment SET doc = $2 WHERE deployment = $1`, ids[i], doc); err != nil {
					return err
				}
			}
			return nil
		}))
		h.stop()
		again := openHarness(t, h.s.cfg, h.repo) // it remembers no report
		t.Cleanup(func() { _ = again.s.Close() })
		l, err := again.svc.Deploys.Experiments(t.Context(), h.ana, shop, "dev", 0)
		must(t, 0, err)
		if len(l.Items) != 3 {
			t.Fatalf("there are %d", len(l.Items))
		}
		for i, want := range []string{
			`No report can be made of this evidence: interval 1: the samples of "cost" are no counts.`,
			"No report can be made: a stored experiment can't be read.",
			"There is no evidence on load, cost.",
		} {
			if got := l.Items[i].Report.Sentence; got != want {
				t.Errorf("experiment %d reports %q, want %q", i, got, want)
			}
		}
	})
}
