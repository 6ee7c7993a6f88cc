package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func TestStore_Drift(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		target := operation("op", "api", noon).Target
		d := towpath.Drift{
			Target: target, Revision: "rev_1", State: towpath.DriftFound, Told: true, Since: noon,
			Differences: []towpath.Difference{{Kind: towpath.DiffersFile, Subject: "serve", Sentence: "The file serve was edited."}},
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.NextFence(ctx, target, 1)
			none, listErr := tx.Placed(ctx, target.Place)
			equal(t, len(none), 0) // nothing was deployed there yet
			return errors.Join(err, listErr, tx.SaveRunning(ctx, target, rollout.Running{Component: "api", Place: target.Place, Revision: "rev_1"}), tx.SaveDrift(ctx, d))
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			placed, err := tx.Placed(ctx, target.Place)
			equal(t, len(placed), 1)
			equal(t, placed[0].Target, target)
			equal(t, placed[0].Drift, d)
			elsewhere, elseErr := tx.Placed(ctx, "elsewhere")
			equal(t, len(elsewhere), 0)
			locked, lockErr := tx.LockDrift(ctx, target)
			equal(t, locked, d)
			all, allErr := tx.Drifts(ctx, target.Project, "")
			equal(t, len(all), 1)
			return errors.Join(err, elseErr, lockErr, allErr, tx.SaveDrift(ctx, towpath.Drift{Target: target, State: towpath.DriftNone}))
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			none, err := tx.Drifts(ctx, target.Project, target.Environment)
			equal(t, len(none), 0)
			locked, lockErr := tx.LockDrift(ctx, target)
			equal(t, locked, towpath.Drift{Target: target, State: towpath.DriftNone})
			return errors.Join(err, lockErr)
		})
	})
}
