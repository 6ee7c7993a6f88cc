package place_test

import (
	"context"
	"testing"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// A layer that two projects have stays while the place of one of them is ending,
// whatever the other's rule says: it may have been counted as brought back.
func TestKeeper_LetGo_WhileAPlaceEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		y := newYard(t, db, t.TempDir(), fresh)
		y.found()
		k := y.servers[0]
		for _, p := range []towpath.ProjectName{shop, other} {
			y.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReplicationRule(ctx, ruleOf(p)) })
			for i := range 2 {
				if err := y.put(k, i); err != nil {
					t.Fatal(err)
				}
				if err := y.link(k, p, i); err != nil {
					t.Fatal(err)
				}
				if err := y.copied(p, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		y.pass(keep)
		if out, err := k.LetGo(t.Context()); err != nil || out.Layers != 2 || y.here(0) || y.here(1) {
			t.Fatalf("%+v, %v", out, err)
		}
		if err := y.read(k, 0); err != nil {
			t.Fatal(err)
		}
		rule := ruleOf(other)
		rule.Place.Leaving = y.now()
		y.update(func(ctx context.Context, tx *store.Tx) error { return tx.SaveReplicationRule(ctx, rule) })
		y.far.setDown(true)
		if err := k.BringBack(t.Context(), rule); kind(err) != towpath.KindUnavailable {
			t.Fatal(err)
		}
		y.far.setDown(false)
		y.pass(keep)
		if out, err := k.LetGo(t.Context()); err != nil || out.Layers != 0 || !y.here(0) {
			t.Errorf("it went: %+v, %v", out, err)
		}
		y.latch.lost.Store(true)
		if err := k.BringBack(t.Context(), rule); kind(err) != towpath.KindLocked {
			t.Errorf("nobody kept what it saw from being deleted, and it ends: %v", err)
		}
		y.latch.lost.Store(false)
		if err := k.BringBack(t.Context(), rule); err != nil || !y.here(1) {
			t.Errorf("it does not end: %v", err)
		}
		if out, err := k.LetGo(t.Context()); err != nil || out.Layers != 0 {
			t.Errorf("what a project without a place has went: %+v, %v", out, err)
		}
	})
}

// Readers that want the same layer at once fetch it once.
func TestService_Open_Once(t *testing.T) {
	y := newYard(t, dbtest.SQLite(t), t.TempDir(), fresh)
	y.found()
	y.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReplicationRule(ctx, ruleOf(shop)) })
	if err := y.copied(shop, 0); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for range 8 {
		go func() { errs <- y.read(y.servers[0], 0) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if y.far.reads != 1 {
		t.Errorf("it was fetched %d times", y.far.reads)
	}
}
