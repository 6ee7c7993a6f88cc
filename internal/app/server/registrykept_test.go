package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

func TestRegistry_KeepsWhatIsNeeded(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		one := h.publish("1.0.0", "one")
		h.runs("staging", "1.0.0")
		two := h.publish("1.1.0", "two")
		h.runs("staging", "1.1.0")
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer, towpath.RoleAdmin)

		body := c.Do("GET", c.Repo("manifests/1.1.0"), nil).Body
		signature := c.Attach("application/vnd.example.signature", string(two.Release), len(body))
		about := c.Push(ocitest.Sha256(signature), signature)
		remark := c.Attach("application/vnd.example.remark", about, len(signature))
		c.Push(ocitest.Sha256(remark), remark)

		for what, d := range map[string]string{
			"what runs": string(two.Release), "what a rollback goes to": string(one.Release),
			"the evidence about it": about, "what is about that": ocitest.Sha256(remark),
		} {
			t.Run(what+" can't be deleted", func(t *testing.T) {
				a := c.ExpectCode(c.Do("DELETE", c.Repo("manifests/"+d), nil), 409, "DENIED")
				if !strings.Contains(string(a.Body), "environment dev") {
					t.Errorf("it does not say who needs it: %s", a.Body)
				}
				c.Expect(c.Do("GET", c.Repo("manifests/"+d), nil), 200)
			})
		}
		t.Run("nor their blobs", func(t *testing.T) {
			_, m := pull(c, "1.1.0")
			for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
				c.ExpectCode(c.Do("DELETE", c.Repo("blobs/"+d), nil), 405, "UNSUPPORTED")
			}
		})
	})
}

// TestRegistry_KeepsWhatComesAndWhatWas: nobody deletes a release that is being
// prepared, however long that takes, nor one that retention keeps of those that ran
// before the last two.
func TestRegistry_KeepsWhatComesAndWhatWas(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		first := h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		for _, version := range []string{"1.1.0", "1.2.0"} {
			h.publish(version, "what "+version+" has")
			h.runs("dev", version)
		}
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer, towpath.RoleAdmin)
		kept := func(t *testing.T, d towpath.Digest, why string) {
			t.Helper()
			path := c.Repo("manifests/" + string(d))
			if a := c.ExpectCode(c.Do("DELETE", path, nil), 409, "DENIED"); !strings.Contains(string(a.Body), why) {
				t.Errorf("it does not say who needs it: %s", a.Body)
			}
			c.Expect(c.Do("GET", path, nil), 200)
		}
		t.Run("the third-last that ran", func(t *testing.T) {
			kept(t, first.Release, "environment dev ran it, and its rule of retention keeps the last 10 releases")
		})
		t.Run("what is being prepared", func(t *testing.T) {
			began, end := make(chan struct{}), make(chan struct{})
			begin, finish := sync.OnceFunc(func() { close(began) }), sync.OnceFunc(func() { close(end) })
			t.Cleanup(finish)
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				if op.Verb == towpath.VerbPrepare && op.Target.Environment == "dev" {
					begin()
					<-end
				}
				return towpath.OperationResult{}
			})
			next := h.publish("1.3.0", "four")
			<-began
			kept(t, next.Release, "environment dev runs it or may go back to it")
			finish()
			h.runs("dev", "1.3.0")
		})
	})
}

// unneeded publishes a release that runs nowhere, beside one that does.
func (h *harness) unneeded() towpath.Candidate {
	h.t.Helper()
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	must(h.t, 0, h.svc.Promotions.Hold(h.t.Context(), h.ana, shop, "dev", "not now"))
	c := h.publish("1.1.0", "two")
	p := h.promotion("dev", "1.1.0", towpath.PromotionWaiting)
	_, err := h.svc.Promotions.Cancel(h.t.Context(), h.ana, p.ID, "never")
	must(h.t, 0, err)
	return c
}

func TestRegistry_DeletesAReleaseThatNothingNeeds(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		bad := h.unneeded()
		path := "manifests/" + string(bad.Release)
		releaser := h.registryAs("rel", towpath.RoleReleaser, towpath.RoleViewer)
		releaser.ExpectCode(releaser.Do("DELETE", releaser.Repo(path), nil), 403, "DENIED")
		c := h.registryAs("adm", towpath.RoleReleaser, towpath.RoleAdmin)
		body := c.Do("GET", c.Repo(path), nil).Body
		c.Expect(c.Do("DELETE", c.Repo(path), nil), 202)
		for _, ref := range []string{string(bad.Release), "1.1.0"} {
			c.Expect(c.Do("GET", c.Repo("manifests/"+ref), nil), 404)
		}
		if got := h.events("release.collected")[0].Event; got.Release != bad.Release || got.Actor != "adm" {
			t.Errorf("got %+v", got)
		}
		t.Run("its version stays taken", func(t *testing.T) {
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/1.1.0"), c.Manifest(), "Content-Type", ocitest.TypeManifest), 409, "DENIED")
		})
		t.Run("it can't be promoted", func(t *testing.T) {
			_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
			if towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("promotion of what was given up: %v", err)
			}
		})
		t.Run("pushing it again under its version is no conflict", func(t *testing.T) {
			c.Push("1.1.0", body)
			pull(c, "1.1.0")
		})
	})
}

func TestRegistry_HoldsWhatWasPushed(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		bad := h.unneeded()
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		_, m := pull(c, "1.1.0")
		layer := m.Layers[0].Digest
		years := h.laterReleases(time.Now().AddDate(5, 0, 0))
		collect := func() release.Collected {
			t.Helper()
			out, err := years.Collect(t.Context(), h.ana, shop, true)
			must(t, 0, err)
			if !slices.Contains(out.Releases, bad.Release) {
				t.Fatalf("release %s is kept", bad.Release)
			}
			return out
		}
		if out := collect(); out.Blobs != 1 {
			t.Fatalf("it would give up %d blobs", out.Blobs)
		}
		// Another manifest of the same repository names the layer of the release.
		size := len(c.Do("GET", c.Repo("blobs/"+layer), nil).Body)
		other := c.Manifest(ocitest.Object{"layers": []ocitest.Object{{"mediaType": "application/x", "digest": layer, "size": size}}})
		d := c.Push("other", other)
		if out := collect(); out.Blobs != 0 {
			t.Fatalf("it would give up %d blobs that an artifact needs", out.Blobs)
		}
		c.Expect(c.Do("DELETE", c.Repo("manifests/"+d), nil), 202)
		// A client brought it to another repository.
		c.Expect(c.Do("POST", "/v2/shop/other/blobs/uploads/?mount="+layer+"&from=shop", nil), 201)
		if out, err := years.Collect(t.Context(), h.ana, shop, false); err != nil || out.Blobs != 0 {
			t.Fatalf("it gave up %d blobs that a repository has: %v", out.Blobs, err)
		}
		c.Expect(c.Do("GET", "/v2/shop/other/blobs/"+layer, nil), 200)
	})
}

// racing does something in the moment before what is given up is recorded.
type racing struct {
	release.Store
	before func()
}

func (r racing) Update(ctx context.Context, f func(context.Context, release.Tx) error) error {
	r.before()
	return r.Store.Update(ctx, f)
}

func TestRegistry_HoldsWhatIsPushedWhileItIsGivenUp(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		bad := h.unneeded()
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		_, m := pull(c, "1.1.0")
		layer := m.Layers[0].Digest
		// The push is answered once the collector has gone, and recorded before.
		pushed := make(chan ocitest.Answer, 1)
		store := racing{store.For[release.Tx](h.s.store), func() {
			go func() { pushed <- c.Do("POST", "/v2/shop/other/blobs/uploads/?mount="+layer+"&from=shop", nil) }()
			h.until("the push is recorded", func() bool {
				n := 0
				err := h.s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM registry_blob WHERE repository = 'shop/other'`).Scan(&n)
				return err == nil && n > 0
			})
		}}
		years := release.New(release.Config{Now: func() time.Time { return time.Now().AddDate(5, 0, 0) }}, store, h.s.agents.blobs, nil, latch{sqldb.NewLatch(h.s.db, "retention")})
		out, err := years.Collect(t.Context(), h.ana, shop, false)
		if err != nil || !slices.Contains(out.Releases, bad.Release) {
			t.Fatalf("%+v, %v", out, err)
		}
		c.Expect(<-pushed, 201)
		c.Expect(c.Do("GET", "/v2/shop/other/blobs/"+layer, nil), 200)
	})
}

func TestRegistry_GivesUpWhatNothingHolds(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		bad := h.unneeded()
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		_, m := pull(c, "1.1.0")
		layer := m.Layers[0].Digest
		size := len(c.Do("GET", c.Repo("blobs/"+layer), nil).Body)
		out, err := h.laterReleases(time.Now().AddDate(5, 0, 0)).Collect(t.Context(), h.ana, shop, false)
		if err != nil || !slices.Contains(out.Releases, bad.Release) || out.Blobs != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		c.Expect(c.Do("GET", c.Repo("manifests/1.1.0"), nil), 200) // records stay
		c.ExpectCode(c.Do("GET", c.Repo("blobs/"+layer), nil), 404, "BLOB_UNKNOWN")
		late := c.Manifest(ocitest.Object{"layers": []ocitest.Object{{"mediaType": "application/x", "digest": layer, "size": size}}})
		c.ExpectCode(c.Do("PUT", c.Repo("manifests/late"), late, "Content-Type", ocitest.TypeManifest), 404, "MANIFEST_BLOB_UNKNOWN")
		t.Run("publishing the release again brings it back", func(t *testing.T) {
			h.publish("1.1.0", "two")
			pull(c, "1.1.0")
		})
	})
}
