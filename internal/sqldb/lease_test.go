package sqldb_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestLease(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		check := func(l sqldb.Lease) towpath.Kind {
			return towpath.KindOf(db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				return sqldb.CheckLease(ctx, tx, l)
			}))
		}
		one, ok, err := sqldb.AcquireLease(ctx, db, "x", "one", epoch, lease)
		if err != nil || !ok || check(one) != "" {
			t.Fatal(one, ok, err)
		}
		t.Run("is refused to others while it is held", func(t *testing.T) {
			if _, ok, err := sqldb.AcquireLease(ctx, db, "x", "two", epoch.Add(lease-1000), lease); ok || err != nil {
				t.Fatal(ok, err)
			}
		})
		t.Run("of another name is free", func(t *testing.T) {
			if _, ok, err := sqldb.AcquireLease(ctx, db, "y", "two", epoch, lease); !ok || err != nil {
				t.Fatal(ok, err)
			}
		})
		t.Run("keeps its fence when it is renewed in time", func(t *testing.T) {
			again, ok, err := sqldb.AcquireLease(ctx, db, "x", "one", epoch.Add(lease/2), lease)
			if err != nil || !ok || again.Fence != one.Fence || check(one) != "" {
				t.Fatal(again, ok, err)
			}
			one = again
		})
		t.Run("goes to others when it has ended, and the old holder is stale", func(t *testing.T) {
			two, ok, err := sqldb.AcquireLease(ctx, db, "x", "two", one.Until, lease)
			if err != nil || !ok || two.Fence <= one.Fence {
				t.Fatal(two, ok, err)
			}
			if check(one) != towpath.KindLocked || check(two) != "" {
				t.Fatal("the fence does not tell the holders apart")
			}
			if err := sqldb.ReleaseLease(ctx, db, one); err != nil { // not one's to release
				t.Fatal(err)
			}
			if _, ok, _ := sqldb.AcquireLease(ctx, db, "x", "three", two.Until.Add(-1000), lease); ok {
				t.Fatal("the stale holder has released the lease of the new one")
			}
		})
		t.Run("goes to others at once when it is released, with a higher fence", func(t *testing.T) {
			a, _, _ := sqldb.AcquireLease(ctx, db, "z", "one", epoch, lease)
			if err := sqldb.ReleaseLease(ctx, db, a); err != nil {
				t.Fatal(err)
			}
			b, ok, err := sqldb.AcquireLease(ctx, db, "z", "two", epoch, lease)
			if err != nil || !ok || b.Fence <= a.Fence {
				t.Fatal(b, ok, err)
			}
		})
		t.Run("goes to others when it is one of a clock that was ahead, and the old holder is stale", func(t *testing.T) {
			ahead, _, err := sqldb.AcquireLease(ctx, db, "ahead", "one", epoch.Add(time.Hour), lease)
			if err != nil {
				t.Fatal(err)
			}
			b, ok, err := sqldb.AcquireLease(ctx, db, "ahead", "two", epoch, lease)
			if err != nil || !ok || b.Fence <= ahead.Fence || check(ahead) != towpath.KindLocked {
				t.Fatal(b, ok, err)
			}
			if _, ok, err := sqldb.AcquireLease(ctx, db, "ahead", "three", epoch.Add(-lease), lease); ok || err != nil {
				t.Fatal("a clock that is behind by less has taken it", err)
			}
		})
		t.Run("is stale after a restore, as is every claim", func(t *testing.T) {
			l, _, _ := sqldb.AcquireLease(ctx, db, "r", "one", epoch, lease)
			q := sqldb.NewQueue(db, "me")
			claim := func() sqldb.Work {
				if err := sqldb.Enqueue(ctx, db, "a", "k", epoch); err != nil {
					t.Fatal(err)
				}
				ws, err := q.Claim(ctx, []string{"a"}, epoch, lease, 1)
				if err != nil || len(ws) != 1 {
					t.Fatal(ws, err)
				}
				if err := q.Done(ctx, ws[0], epoch); err != nil {
					t.Fatal(err)
				}
				return ws[0]
			}
			before := claim()
			if err := db.InTx(ctx, sqldb.AdvanceFences); err != nil {
				t.Fatal(err)
			}
			if check(l) != towpath.KindLocked || claim().Fence < before.Fence+1<<32 {
				t.Fatal("a fence from before the restore is good")
			}
		})
	})
}
