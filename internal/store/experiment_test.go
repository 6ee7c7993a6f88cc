package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func TestStore_Experiments(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		deployed := func(n int, e towpath.EnvironmentName) towpath.Deployment {
			d := towpath.Deployment{
				ID: towpath.DeploymentID(fmt.Sprintf("dep_%d", n)), Project: shop, Environment: e, Phase: towpath.DeploymentConcluded,
				CreatedAt: noon, Components: []towpath.Rollout{{Component: "api"}},
				Experiment: &towpath.Experiment{Share: 20, For: time.Hour, Match: []towpath.TrafficMatch{{Header: "X-Beta", Exact: "1"}}, Ended: noon},
			}
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.InsertDeployment(ctx, d) })
			return d
		}
		seen := func(share int) experiment.Evidence {
			return experiment.Evidence{
				Old: "1.0.0", New: "1.1.0", Share: share, For: time.Hour, Metrics: []experiment.Metric{{Name: "errors", Better: experiment.Less, Share: true}},
				Intervals: []experiment.Interval{{Start: noon, End: noon.Add(time.Second), Readings: map[string]experiment.Reading{
					"errors": {Old: experiment.Sample{Sum: 0.1, Over: 80}, New: experiment.Sample{Sum: 1e-9, Over: 20}},
					"orders": {Errored: "no such metric"},
				}}},
			}
		}
		save := func(d towpath.Deployment, e experiment.Evidence) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveExperiment(ctx, d, e, noon) })
		}
		read := func(id towpath.DeploymentID) (e experiment.Evidence, ok bool) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				e, ok, err = tx.Experiment(ctx, id)
				return err
			})
			return e, ok
		}
		listed := func(e towpath.EnvironmentName, limit int) (ids []towpath.DeploymentID) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				ids, err = tx.Experiments(ctx, shop, e, limit)
				return err
			})
			return ids
		}
		d := deployed(1, "dev")
		t.Run("what is not kept is not there", func(t *testing.T) {
			if _, ok := read(d.ID); ok {
				t.Error("it is")
			}
		})
		t.Run("a deployment knows what its experiment is", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.Deployment(ctx, d.ID)
				equal(t, got.Experiment, d.Experiment)
				return err
			})
		})
		t.Run("what was seen is kept as it was, once", func(t *testing.T) {
			save(d, seen(20))
			save(d, seen(99))
			got, ok := read(d.ID)
			equal(t, ok, true)
			equal(t, got, seen(20))
		})
		t.Run("counts are given up, and what was kept of them is not", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				return tx.ForgetTrafficCounts(ctx, noon.AddDate(10, 0, 0))
			})
			if _, ok := read(d.ID); !ok {
				t.Error("it is gone")
			}
		})
		save(deployed(2, "dev"), seen(20))
		save(deployed(3, "staging"), seen(20))
		save(deployed(4, "dev"), seen(20))
		t.Run("an environment's are listed, newest first, as many as are wanted", func(t *testing.T) {
			equal(t, listed("dev", 10), []towpath.DeploymentID{"dep_4", "dep_2", "dep_1"})
			equal(t, listed("dev", 2), []towpath.DeploymentID{"dep_4", "dep_2"})
			equal(t, listed("prod", 10), nil)
		})
		t.Run("the oldest of an environment are given up, and only theirs", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.ForgetExperiments(ctx, shop, "dev", 2) })
			equal(t, listed("dev", 10), []towpath.DeploymentID{"dep_4", "dep_2"})
			equal(t, listed("staging", 10), []towpath.DeploymentID{"dep_3"})
		})
		t.Run("one without a deployment is refused", func(t *testing.T) {
			err := s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveExperiment(ctx, towpath.Deployment{ID: "dep_none", Project: shop, Environment: "dev"}, seen(1), noon)
			})
			if err == nil {
				t.Error("it was kept")
			}
		})
	})
}
