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
	"github.com/towpath/towpath/internal/git"
	rest "github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
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
	repos := &repositories{store: h.s.store, open: map[string]*git.Repository{}}
	return release.New(release.Config{Now: func() time.Time { return when }}, store.For[release.Tx](h.s.store), h.s.agents.blobs, repos, latch{sqldb.NewLatch(h.s.db, "retention")})
}

func onEach(t *testing.T, f func(t *testing.T, h *harness)) {
	t.Run("on SQLite", func(t *testing.T) { f(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { f(t, newHarnessOn(t, dbtest.PostgresURL(t))) })
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
