package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestStore_KeepUntagged(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		artifact(t, s, "one", nil)
		tagged := artifact(t, s, "two", nil)
		artifact(t, s, "else", func(a *towpath.Artifact) { a.Repository = "shop/else" })
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetTag(ctx, app, "v1", tagged.Digest, noon)
		})
		untagged := func(r towpath.RepositoryName, before time.Duration) (n int) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				all, err := tx.Untagged(ctx, r, noon.Add(before), 10)
				n = len(all)
				return err
			})
			return n
		}
		keep := func(r towpath.RepositoryName, until time.Duration) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.KeepUntagged(ctx, r, noon.Add(until)) })
		}
		keep("shop/else", time.Hour)
		if untagged("shop/else", time.Minute) != 0 || untagged("shop/else", 2*time.Hour) != 1 || untagged(app, time.Minute) != 1 {
			t.Error("it is not what has no tag in one repository, for an hour")
		}
		keep("shop/else", time.Minute)
		if untagged("shop/else", 2*time.Minute) != 0 {
			t.Error("what is kept already is kept less long")
		}
		keep("shop/nowhere", time.Hour)
		if untagged(app, time.Minute) != 0 {
			t.Error("it may have been in any repository")
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteTag(ctx, app, "v1") })
		if untagged(app, time.Minute) != 1 {
			t.Error("what had a tag was kept longer than that")
		}
	})
}

// TestStore_Unsound: what REINDEX makes of one bit in the header of a row.
func TestStore_Unsound(t *testing.T) {
	db := dbtest.SQLite(t)
	s := store.New(db, events{}, nil)
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: noon})
	})
	artifact(t, s, "one", nil)
	unsound := func() (said []string) {
		t.Helper()
		err := s.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			said, err = tx.Unsound(ctx, 10)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	equal(t, len(unsound()), 0)
	exec(t, db, `UPDATE registry_artifact SET digest = CAST(digest AS BLOB)`)
	equal(t, unsound(), []string{"registry_artifact.digest is no text"})
}

func exec(t *testing.T, db *sqldb.DB, query string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
