package store_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
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

// TestMigrations_PlaceOfATarget: what was deployed before places had a column is
// found by its place.
func TestMigrations_PlaceOfATarget(t *testing.T) {
	before := fstest.MapFS{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		files, err := fs.Glob(migrations.FS, dialect+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := fs.ReadFile(migrations.FS, f); err != nil {
				t.Fatal(err)
			} else if f < dialect+"/00012" {
				before[f] = &fstest.MapFile{Data: b}
			}
		}
	}
	for name, url := range map[string]string{"on SQLite": filepath.Join(t.TempDir(), "towpath.db"), "on PostgreSQL": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, url)
			var place string
			err := sqldb.Migrate(t.Context(), db, before)
			if err == nil {
				_, err = db.Exec(t.Context(), `INSERT INTO target (key, project, environment, component, fence, doc) VALUES ('shop/dev/api/host-1/main', 'shop', 'dev', 'api', 1, '{}')`)
			}
			if err == nil {
				err = sqldb.Migrate(t.Context(), db, migrations.FS)
			}
			if err == nil {
				err = db.QueryRow(t.Context(), `SELECT place FROM target`).Scan(&place)
			}
			if err != nil || place != "host-1" {
				t.Errorf("the place is %q, %v", place, err)
			}
		})
	}
}
