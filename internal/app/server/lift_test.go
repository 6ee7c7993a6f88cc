package server

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// nothingDue waits until no work of a kind is left.
func (h *harness) nothingDue(kind string) {
	h.t.Helper()
	h.until("no "+kind+" is to be done", func() bool {
		n := 0
		must(h.t, 0, h.s.db.QueryRow(h.t.Context(), `SELECT COUNT(*) FROM work WHERE kind = $1`, kind).Scan(&n))
		return n == 0
	})
}

// TestServer_MaterialsAreNotMixedUp: a project's quarantine of a material lifts none
// of every project whose name begins in the same way.
func TestServer_MaterialsAreNotMixedUp(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.materials = `[{"name":"left pad"}]`
		x := h.publish("1.0.0", "one")
		must3(h.svc.Releases.QuarantineMaterial(t.Context(), h.ana, "", "left pad", "CVE-2026-1"))(t)
		h.untilQuarantined(x, "CVE-2026-1")
		must3(h.svc.Releases.QuarantineMaterial(t.Context(), operator(shop), shop, "left", "x"))(t)
		h.nothingDue("material")
		if why := h.quarantined(x); why == "" {
			t.Error("it is lifted")
		}
		for material, want := range map[string]int{"left pad": 1, "left": 0} {
			if got, err := h.svc.Releases.AffectedByMaterial(t.Context(), h.ana, "", material); err != nil || got.Releases != want {
				t.Errorf("%s reaches %+v, %v", material, got, err)
			}
		}
		_, err := h.svc.Releases.Unquarantine(t.Context(), operator(shop), shop, "1.0.0", "x")
		refused(t, "lifted by the project", err, towpath.KindForbidden)
		must(t, 0, h.svc.Releases.UnquarantineMaterial(t.Context(), h.ana, "", "left pad", "it was not"))
		h.until("it is lifted by its name", func() bool { return h.quarantined(x) == "" })
	})
}

// TestServer_RevokedEverywhereIsNotTheProjects: what is quarantined for a key that
// was revoked everywhere is lifted by an admin of everything only, whatever the
// project said of that key, or of the release, before.
func TestServer_RevokedEverywhereIsNotTheProjects(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx, olga := t.Context(), operator(shop)
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		signed := func(version string, name towpath.KeyName) towpath.Candidate {
			k, pem := signingKey(t)
			must(t, 0, h.trusts(name, pem))
			x := h.publish(version, version)
			h.signs(c, k, x.Release)
			h.nothingDue("signers")
			return x
		}
		revoke := func(actor towpath.Actor, name towpath.KeyName, reason string, everywhere bool) {
			must3(h.svc.Trust.Revoke(ctx, actor, name, reason, everywhere))(t)
		}
		isEverywhere := func(x towpath.Candidate) func() bool {
			return func() bool {
				r, err := h.svc.Releases.Get(ctx, h.ana, shop, string(x.Release))
				return must(t, r, err).Quarantine != nil && r.Quarantine.Everywhere
			}
		}
		t.Run("what the project has quarantined for it", func(t *testing.T) {
			x := signed("1.0.0", "first")
			revoke(olga, "first", "local", false)
			h.untilQuarantined(x, "local")
			revoke(h.ana, "first", "stolen", true)
			h.until("it is a matter of every project", isEverywhere(x))
			_, err := h.svc.Releases.Unquarantine(ctx, olga, shop, "1.0.0", "x")
			refused(t, "lifted by the project", err, towpath.KindForbidden)
			must3(h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "it was signed before"))(t)
			h.nothingDue("signers")
			if why := h.quarantined(x); why != "" {
				t.Errorf("what an admin lifted is quarantined: %s", why)
			}
		})
		t.Run("what the project has lifted", func(t *testing.T) {
			x := signed("1.1.0", "second")
			revoke(olga, "second", "local", false)
			h.untilQuarantined(x, "local")
			must3(h.svc.Releases.Unquarantine(ctx, olga, shop, "1.1.0", "x"))(t)
			revoke(h.ana, "second", "stolen", true)
			h.until("it is a matter of every project", isEverywhere(x))
		})
		t.Run("what the project has quarantined by hand", func(t *testing.T) {
			x := signed("1.2.0", "third")
			must3(h.svc.Releases.Quarantine(ctx, olga, shop, "1.2.0", "it leaks"))(t)
			revoke(h.ana, "third", "stolen", true)
			h.nothingDue("revocation")
			if why := h.quarantined(x); why != "it leaks" {
				t.Errorf("it is quarantined because %s", why)
			}
			r, err := h.svc.Releases.Unquarantine(ctx, olga, shop, "1.2.0", "it does not")
			if must(t, r, err); r.Quarantine == nil || !r.Quarantine.Everywhere || !strings.Contains(r.Quarantine.Reason, "stolen") {
				t.Errorf("then it is quarantined as %+v", r.Quarantine)
			}
			_, err = h.svc.Releases.Unquarantine(ctx, olga, shop, "1.2.0", "x")
			refused(t, "lifted by the project", err, towpath.KindForbidden)
		})
	})
}

// meanwhile is a store in which something else happens while a blob is read.
type meanwhile struct {
	blob.Store
	when towpath.Digest
	do   func()
}

func (m meanwhile) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	if d == m.when {
		m.do()
	}
	return m.Store.Open(ctx, d)
}

// TestServer_LiftsWhatWasSeen: who lifts a quarantine lifts no other one that came
// in between.
func TestServer_LiftsWhatWasSeen(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		h.materials = `[{"name":"left-pad"}]`
		x := h.publish("1.0.0", "one")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "left-pad", "CVE-2026-1"))(t)
		h.untilQuarantined(x, "CVE-2026-1")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "right-pad", "CVE-2026-2"))(t)
		h.nothingDue("material")
		lift := func(do func()) error {
			s := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), meanwhile{h.s.agents.blobs, x.Provenance, do}, nil, nil)
			_, err := s.Unquarantine(ctx, operator(shop), shop, "1.0.0", "it is not used")
			return err
		}
		err := lift(func() { h.quarantine("1.0.0", "it leaks") })
		refused(t, "lifted although it leaks", err, towpath.KindConflict)
		if why := h.quarantined(x); why != "it leaks" {
			t.Errorf("it is quarantined because %q", why)
		}
		err = lift(func() { must3(h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "it does not"))(t) })
		refused(t, "lifted twice", err, towpath.KindConflict)
		if why := h.quarantined(x); why != "" {
			t.Errorf("it is quarantined because %q", why)
		}
	})
}

// TestServer_LiftsWhatIsThere: neither does who waits for the other one to be
// written.
func TestServer_LiftsWhatIsThere(t *testing.T) {
	h := newHarnessOn(t, dbtest.PostgresURL(t)) // SQLite has one writer
	x := h.publish("1.0.0", "one")
	h.quarantine("1.0.0", "it leaks")
	lifted, seen := make(chan error, 1), make(chan struct{})
	releases := release.New(release.Config{Now: time.Now, Revoked: func(context.Context, towpath.ProjectName, towpath.Digest, []string) (*towpath.Quarantine, error) {
		close(seen)
		return nil, nil
	}}, store.For[release.Tx](h.s.store), h.s.agents.blobs, nil, nil)
	must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.LockEnvironment(ctx, shop, "prod"); err != nil {
			return err
		}
		go func() {
			_, err := releases.Unquarantine(context.Background(), h.ana, shop, "1.0.0", "it does not")
			lifted <- err
		}()
		h.until("it was looked at", func() bool {
			select {
			case <-seen:
				return true
			default:
				return false
			}
		})
		h.until("it waits", func() bool {
			if len(lifted) > 0 {
				t.Fatal("it did not wait")
			}
			n := 0
			err := h.s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&n)
			return err == nil && n > 0
		})
		return tx.SetQuarantine(ctx, shop, x.Release, &towpath.Quarantine{Release: x.Release, Reason: "it hurts", By: "ben", At: time.Now()})
	}))
	refused(t, "lifted although it hurts", <-lifted, towpath.KindConflict)
	if why := h.quarantined(x); why != "it hurts" {
		t.Errorf("it is quarantined because %q", why)
	}
}

// TestServer_LiftsWhatCanBeLookedAt: a release of which nobody can tell now whether
// it is to be quarantined for something else stays so, and keeps no other waiting.
func TestServer_LiftsWhatCanBeLookedAt(t *testing.T) {
	h := openHarness(t, Config{Data: folder(t)}, gittest.New(t))
	t.Cleanup(func() { _ = h.s.Close() })
	h.introduce()
	ctx := t.Context()
	h.materials = `[{"name":"left-pad"},{"name":"right-pad"}]`
	one, two := h.publish("1.0.0", "one"), h.publish("1.1.0", "two")
	if two.Release < one.Release { // which is the order in which they are looked at
		one, two = two, one
	}
	lifted := h.publish("1.2.0", "three")
	able := release.Materials{Service: h.svc.Releases.(*release.Service)}
	look := func(l release.Materials, material string) error {
		_, err := l.Reconcile(ctx, "shop/"+material, time.Now())
		return err
	}
	must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, "", "left-pad", "CVE-left"))(t)
	must(t, 0, look(able, "left-pad"))
	must3(h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.2.0", "it is not used"))(t)
	must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "right-pad", "CVE-right"))(t)
	must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "left-pad", "CVE-own"))(t)
	must(t, 0, h.svc.Releases.UnquarantineMaterial(ctx, h.ana, "", "left-pad", "it was not"))
	unable := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), refusing{h.s.agents.blobs, one.Provenance}, nil, nil)
	refused(t, "looked at", look(release.Materials{Service: unable}, "left-pad"), towpath.KindUnavailable)
	if a, b := h.quarantined(one), h.quarantined(two); !strings.Contains(a, "CVE-left") || !strings.Contains(b, "CVE-own") && !strings.Contains(b, "CVE-right") {
		t.Errorf("quarantined: %q, %q", a, b)
	}
	if why := h.quarantined(lifted); !strings.Contains(why, "CVE-own") {
		t.Errorf("what the project says of the others waits: %q", why)
	}
	must(t, 0, look(able, "left-pad"))
	if a := h.quarantined(one); !strings.Contains(a, "CVE-own") && !strings.Contains(a, "CVE-right") {
		t.Errorf("quarantined: %q", a)
	}
}
