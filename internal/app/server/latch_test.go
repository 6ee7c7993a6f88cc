package server

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// What was found to be there must still be there when it is recorded: who loses
// the latch after looking records nothing, and has it again at the next attempt.
func TestServer_RecordsNothingWithoutTheLatch(t *testing.T) {
	h := newHarnessOn(t, dbtest.PostgresURL(t))
	cut := func() {
		_, err := h.s.db.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		must(t, 0, err)
	}
	releases := func(before func()) *release.Service {
		return release.New(release.Config{Now: time.Now}, racing{store.For[release.Tx](h.s.store), before}, h.s.agents.blobs,
			&repositories{store: h.s.store, open: map[string]*git.Repository{}}, latch{sqldb.NewLatch(h.s.db, "retention")})
	}
	t.Run("a release", func(t *testing.T) {
		r := h.built("1.0.0", "one")
		if _, err := releases(cut).Publish(t.Context(), h.ana, r); towpath.KindOf(err) != towpath.KindLocked {
			t.Fatalf("it got %v", err)
		}
		if out, err := releases(func() {}).Publish(t.Context(), h.ana, r); err != nil || !out.Created {
			t.Fatalf("it was there already, or did not come: %+v, %v", out, err)
		}
	})
	t.Run("what a release is made of", func(t *testing.T) {
		layer := []byte("files of two")
		d := towpath.DigestOf(layer)
		if err := releases(cut).PutBlob(t.Context(), h.ana, shop, d, bytes.NewReader(layer)); towpath.KindOf(err) != towpath.KindLocked {
			t.Fatalf("it got %v", err)
		}
		must(t, 0, releases(func() {}).PutBlob(t.Context(), h.ana, shop, d, bytes.NewReader(layer)))
	})
	t.Run("how a promotion ended", func(t *testing.T) {
		key, err := signing.Generate()
		must(t, 0, err)
		records := store.For[promote.Tx](h.s.store)
		attest := func(p towpath.Promotion, before func()) error {
			a := &attestor{key, h.s.agents.blobs, releases(func() {}), time.Now}
			return a.Attest(t.Context(), p, func(_ towpath.Artifact, shelve func(context.Context, promote.Tx) error) error {
				before()
				return records.Update(t.Context(), shelve)
			})
		}
		p := h.promotion("dev", "1.0.0", towpath.PromotionSucceeded)
		if err := attest(p, cut); towpath.KindOf(err) != towpath.KindLocked {
			t.Fatalf("it got %v", err)
		}
		must(t, 0, attest(p, func() {}))
	})
}

// Who has nothing to give up waits for nobody who publishes, and keeps nobody waiting.
func TestServer_CollectsNothingWithoutTheLatch(t *testing.T) {
	h := newHarness(t)
	retention := sqldb.NewLatch(h.s.db, "retention")
	busy, err := retention.Share(t.Context())
	must(t, 0, err)
	defer busy.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	releases := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), h.s.agents.blobs, nil, latch{retention})
	out, err := releases.Collect(ctx, towpath.System(), shop, false)
	if err != nil || len(out.Releases) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
