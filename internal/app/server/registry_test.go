package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	rest "github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// registryAs is the registry as an account with roles sees it, at the
// repository of the shop's releases.
func (h *harness) registryAs(name towpath.AccountName, roles ...towpath.Role) *ocitest.Client {
	h.t.Helper()
	made, err := h.s.Account(context.Background(), name, nil, roles, time.Hour)
	must(h.t, 0, err)
	return ocitest.NewClient(h.t, ocitest.Target{URL: h.s.URL(), User: string(name), Secret: made.Secret, Repository: string(shop), Other: string(shop) + "/other"})
}

// laterReleases is the use case of releases at another time.
func (h *harness) laterReleases(when time.Time) *release.Service {
	return release.New(release.Config{Now: func() time.Time { return when }}, store.For[release.Tx](h.s.store), h.s.agents.blobs, nil, latch{sqldb.NewLatch(h.s.db, "retention")})
}

func onEach(t *testing.T, f func(t *testing.T, h *harness)) {
	t.Run("on SQLite", func(t *testing.T) { f(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { f(t, newHarnessOn(t, pgtest.New(t))) })
}

type pulled struct {
	Config struct{ Digest string }
	Layers []struct{ Digest string }
}

// pull reads a release with everything in it.
func pull(c *ocitest.Client, ref string) (ocitest.Answer, pulled) {
	c.T.Helper()
	a := c.Expect(c.Do("GET", c.Repo("manifests/"+ref), nil), 200)
	m := ocitest.JSON[pulled](c.T, a)
	for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
		if got := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil), 200); ocitest.Sha256(got.Body) != d {
			c.T.Errorf("blob %s has another content", d)
		}
	}
	return a, m
}

func TestRegistry_HasTheReleases(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		one := h.publish("1.0.0+g1a2b3c4", "one")
		c := h.registryAs("vic", towpath.RoleViewer)
		for _, ref := range []string{string(one.Release), "1.0.0_g1a2b3c4"} {
			a, _ := pull(c, ref)
			if got := a.Header.Get("Docker-Content-Digest"); got != string(one.Release) || a.Header.Get("Content-Type") != towpath.MediaTypeManifest {
				t.Errorf("%s is %v", ref, a.Header)
			}
		}
		a := c.Expect(c.Do("GET", c.Repo("tags/list"), nil), 200)
		if want := `{"name":"shop","tags":["1.0.0_g1a2b3c4"]}`; string(a.Body) != want {
			t.Errorf("got %s, want %s", a.Body, want)
		}
		if a := c.Do("GET", "/v2/_catalog", nil); string(a.Body) != `{"repositories":["shop"]}` {
			t.Errorf("got %s", a.Body)
		}
		t.Run("without a copy of their bytes", func(t *testing.T) {
			n := 0
			err := h.s.agents.blobs.Walk(t.Context(), func(blob.Info) error { n++; return nil })
			if must(t, 0, err); n != 4 { // manifest, content, layer, provenance
				t.Errorf("there are %d blobs", n)
			}
		})
	})
}

func TestRegistry_PutsOlderReleasesIn(t *testing.T) {
	h := newHarness(t)
	old := h.publish("0.9.0", "old")
	// As a server that had no registry left it.
	for _, table := range []string{"registry_tag", "registry_artifact", "registry_blob", "registry_repository"} {
		_, err := h.s.db.Exec(t.Context(), `DELETE FROM `+table)
		must(t, 0, err)
	}
	c := h.registryAs("vic", towpath.RoleViewer)
	c.Expect(c.Do("GET", c.Repo("manifests/0.9.0"), nil), 404)
	again, err := h.laterReleases(time.Now()).Shelve(t.Context())
	if err != nil || again {
		t.Fatal(again, err)
	}
	if a, _ := pull(c, "0.9.0"); a.Header.Get("Docker-Content-Digest") != string(old.Release) {
		t.Errorf("got %v", a.Header)
	}
}

func TestRegistry_VersionsNeverMove(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer, towpath.RoleAdmin)
		c.Push("1.0.0", c.Manifest()) // before there is such a version a tag is a tag
		one := h.publish("1.0.0", "one")
		t.Run("a version takes a tag that was there before", func(t *testing.T) {
			if got := c.Do("HEAD", c.Repo("manifests/1.0.0"), nil).Header.Get("Docker-Content-Digest"); got != string(one.Release) {
				t.Errorf("it is %s", got)
			}
		})
		t.Run("pushing something else under it is 409", func(t *testing.T) {
			other := c.Manifest()
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/1.0.0"), other, "Content-Type", ocitest.TypeManifest), 409, "DENIED")
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/"+ocitest.Sha256(other)+"?tag=1.0.0"), other, "Content-Type", ocitest.TypeManifest), 409, "DENIED")
			c.Expect(c.Do("GET", c.Repo("manifests/"+ocitest.Sha256(other)), nil), 404) // all or nothing
			pull(c, "1.0.0")
		})
		t.Run("pushing the same is no change", func(t *testing.T) {
			body := c.Do("GET", c.Repo("manifests/1.0.0"), nil).Body
			c.Push("1.0.0", body)
		})
		t.Run("deleting it is 409", func(t *testing.T) {
			c.ExpectCode(c.Do("DELETE", c.Repo("manifests/1.0.0"), nil), 409, "DENIED")
		})
		t.Run("in another repository of the project it is a tag like any", func(t *testing.T) {
			sub := *c
			sub.Target.Repository = "shop/image"
			sub.Push("1.0.0", sub.Manifest())
			sub.Push("1.0.0", sub.Manifest())
		})
	})
}

// TestRegistry_AVersionWinsARace publishes versions while clients push the same
// tags: in the end each names its release.
func TestRegistry_AVersionWinsARace(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		bodies := [][]byte{c.Manifest(), c.Manifest()}
		for i := range 15 {
			version := fmt.Sprintf("1.0.%d", i)
			var wg sync.WaitGroup
			for _, body := range bodies {
				wg.Go(func() {
					for range 4 {
						a := c.Do("PUT", c.Repo("manifests/"+version), body, "Content-Type", ocitest.TypeManifest)
						if a.Status != 201 && a.Status != 409 {
							t.Errorf("%d %s", a.Status, a.Body)
						}
					}
				})
			}
			cand := h.publish(version, version)
			wg.Wait()
			if got := c.Do("HEAD", c.Repo("manifests/"+version), nil).Header.Get("Docker-Content-Digest"); got != string(cand.Release) {
				t.Errorf("version %s names %s, want %s", version, got, cand.Release)
			}
		}
	})
}

func TestRegistry_TagRules(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		admin := h.registryAs("adm", towpath.RoleAdmin).Target
		api, err := client.New(client.Config{URL: admin.URL, Token: client.Token(admin.Secret)})
		must(t, 0, err)
		rules := func(patterns ...string) error {
			if patterns == nil {
				patterns = []string{}
			}
			return api.SetTagRules(t.Context(), shop, rest.TagRules{Immutable: patterns})
		}
		must(t, 0, rules("^v[0-9]", "^final$"))
		if got, err := api.TagRules(t.Context(), shop); err != nil || !slices.Equal(got.Immutable, []string{"^v[0-9]", "^final$"}) {
			t.Errorf("got %v, %v", got, err)
		}
		body := c.Manifest()
		d := c.Push("v1", body)
		c.Push("v1", body) // the same again is no change
		other := c.Manifest()
		for range 2 {
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/v1"), other, "Content-Type", ocitest.TypeManifest), 409, "DENIED")
		}
		c.ExpectCode(c.Do("DELETE", c.Repo("manifests/v1"), nil), 409, "DENIED")
		c.ExpectCode(c.Do("DELETE", c.Repo("manifests/"+d), nil), 409, "DENIED")
		c.Push("latest", body)
		c.Push("latest", other)
		must(t, 0, rules())
		c.Expect(c.Do("DELETE", c.Repo("manifests/v1"), nil), 202)

		for _, bad := range []string{"(", strings.Repeat("a", 300)} {
			if err := rules(bad); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("the rule %.10q: %v", bad, err)
			}
		}
		api, err = client.New(client.Config{URL: c.Target.URL, Token: client.Token(c.Target.Secret)})
		must(t, 0, err)
		if err := rules(); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("a releaser sets rules: %v", err)
		}
	})
}

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

// events waits for events of an action, and for the numbers of all that was
// recorded, and lists them.
func (h *harness) events(action string) []ledger.Entry {
	h.t.Helper()
	var out []ledger.Entry
	h.until("the ledger has "+action, func() bool {
		report, err := h.svc.Audit.Verify(context.Background(), h.ana, "")
		must(h.t, 0, err)
		out, err = h.svc.Audit.Events(context.Background(), h.ana, ledger.Filter{Project: shop, Action: action})
		must(h.t, 0, err)
		return report.Unsequenced == 0 && len(out) > 0
	})
	return out
}

func TestRegistry_IsRecorded(t *testing.T) {
	h := newHarness(t)
	c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
	body := c.Manifest()
	d := c.Push("latest", body)
	c.Push("latest", body)
	c.Push("also", body)
	c.Expect(c.Do("DELETE", c.Repo("manifests/also"), nil), 202)
	c.Expect(c.Do("DELETE", c.Repo("manifests/"+d), nil), 202)
	c.Expect(c.Do("DELETE", c.Repo("blobs/"+c.PushBlob([]byte("b"))), nil), 202)
	h.events("blob.deleted")
	pushed := h.events("artifact.pushed")
	if len(pushed) != 2 { // what changes nothing is no event
		t.Fatalf("there are %d", len(pushed))
	}
	ev := pushed[0].Event
	var facts struct{ Tags []string }
	must(t, 0, json.Unmarshal(ev.Data, &facts))
	if ev.Actor != "ana" || ev.Subject != "shop@"+d || !slices.Equal(facts.Tags, []string{"latest"}) || ev.RequestID == "" {
		t.Errorf("got %+v %s", ev, ev.Data)
	}
	if got := h.events("tag.deleted")[0].Event.Subject; got != "shop:also" {
		t.Errorf("got %s", got)
	}
	if got := h.events("artifact.deleted")[0].Event.Subject; got != "shop@"+d {
		t.Errorf("got %s", got)
	}
}
