package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// TestStore_AskReplication: that a gate waits for a copy is kept by whoever writes
// what it read before.
func TestStore_AskReplication(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		release := publish(t, s, "1.0.0", noon).Release
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertReplicationRule(ctx, towpath.ReplicationRule{Project: shop, Name: "eu", To: "registry.example/shop", AddedAt: noon})
		})
		save := func(r towpath.Replication) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplication(ctx, r) })
		}
		ask := func(at time.Time) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				return tx.AskReplication(ctx, towpath.Replication{Project: shop, Rule: "eu", Release: release, Since: at, Asked: at})
			})
		}
		now := func() towpath.Replication {
			t.Helper()
			var all []towpath.Replication
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				all, err = tx.Replications(ctx, shop, "eu")
				return err
			})
			if len(all) != 1 {
				t.Fatalf("there are %+v", all)
			}
			return all[0]
		}
		copied := towpath.Replication{
			Project: shop, Rule: "eu", Release: release, Since: noon, Done: noon.Add(time.Minute), Fresh: noon.Add(time.Minute),
		}
		want := copied
		want.Asked = noon.Add(time.Hour)
		t.Run("what was copied is asked for, and all else stays", func(t *testing.T) {
			save(copied)
			ask(want.Asked)
			equal(t, now(), want)
		})
		t.Run("it is asked for since the first time", func(t *testing.T) {
			ask(noon.Add(2 * time.Hour))
			equal(t, now(), want)
		})
		t.Run("who read it before that takes nothing back", func(t *testing.T) {
			copied.Trying, want.Trying = noon.Add(3*time.Hour), noon.Add(3*time.Hour)
			save(copied)
			equal(t, now(), want)
		})
		t.Run("what is not known is asked for as it is", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteReplication(ctx, want) })
			ask(noon)
			equal(t, now(), towpath.Replication{Project: shop, Rule: "eu", Release: release, Since: noon, Asked: noon})
		})
	})
}
