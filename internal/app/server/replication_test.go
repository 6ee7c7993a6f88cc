package server

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/towpath/towpath/internal/oci"
	regpkg "github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// elsewhere is another's registry, which can be down.
type elsewhere struct {
	host string
	down atomic.Bool
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{}
	h := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	e.host = strings.TrimPrefix(srv.URL, "http://")
	return e
}

// get asks the registry; the path is of the repository shop.
func (e *elsewhere) get(t *testing.T, path, accept string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.host+"/v2/shop/"+path, nil)
	must(t, 0, err)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	must(t, 0, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, 0, err)
	return resp.StatusCode, body
}

// about lists the types of what is attached to a release there.
func (e *elsewhere) about(t *testing.T, release towpath.Digest) (types []string) {
	t.Helper()
	_, body := e.get(t, "referrers/"+string(release), "")
	index := ocitest.JSON[struct{ Manifests []struct{ Digest string } }](t, ocitest.Answer{Body: body})
	for _, m := range index.Manifests { // whose types this registry does not list
		_, body := e.get(t, "manifests/"+m.Digest, towpath.MediaTypeManifest)
		types = append(types, ocitest.JSON[struct{ ArtifactType string }](t, ocitest.Answer{Body: body}).ArtifactType)
	}
	return types
}

func (h *harness) copies(name towpath.ReplicationName) replication.Status {
	h.t.Helper()
	all, err := h.svc.Replication.List(context.Background(), h.ana, shop)
	must(h.t, 0, err)
	for _, st := range all {
		if st.Name == name {
			return st
		}
	}
	h.t.Fatalf("there is no rule %s in %+v", name, all)
	return replication.Status{}
}

func (h *harness) copyTo(e *elsewhere, name towpath.ReplicationName, on towpath.EnvironmentName) error {
	_, err := h.svc.Replication.Add(context.Background(), towpath.System(), towpath.ReplicationRule{
		Project: shop, Name: name, To: e.host + "/shop", On: on, PlainHTTP: true,
	})
	return err
}

// The server's logins are no project's: its administrator makes no rule by which
// they are used.
func TestServer_LoginsAreTheServers(t *testing.T) {
	h := newHarness(t)
	mine := towpath.Actor{Account: "eve", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleAdmin, Project: shop}}}
	_, err := h.svc.Replication.Add(t.Context(), mine, towpath.ReplicationRule{Project: shop, Name: "eu", To: "127.0.0.1:1/shop", PlainHTTP: true})
	refused(t, "a rule of replication", err, towpath.KindForbidden)
	refused(t, "a source of images", h.svc.Mirror.SetSources(t.Context(), mine, shop, []towpath.MirrorSource{{From: "127.0.0.1:1"}}), towpath.KindForbidden)
}

func TestReplication(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		e := newElsewhere(t)
		must(t, 0, h.copyTo(e, "eu", ""))
		e.down.Store(true)
		one := h.publish("1.0.0", "one")
		h.until("it is known to be behind, and why", func() bool {
			st := h.copies("eu")
			return len(st.Behind) == 1 && st.Behind[0].Attempts > 0 && st.Behind[0].Error != "" && !st.Lag.IsZero() && st.Whole == 0
		})
		e.down.Store(false)
		h.until("it is there once the registry is back", func() bool { st := h.copies("eu"); return st.Whole == 1 && len(st.Behind) == 0 })
		code, manifest := e.get(t, "manifests/1.0.0", towpath.MediaTypeManifest)
		if code != 200 || towpath.DigestOf(manifest) != one.Release {
			t.Errorf("1.0.0 is %d there, %s", code, towpath.DigestOf(manifest))
		}
		m := ocitest.JSON[pulled](t, ocitest.Answer{Body: manifest})
		for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
			if code, b := e.get(t, "blobs/"+d, ""); code != 200 || string(towpath.DigestOf(b)) != d {
				t.Errorf("blob %s is %d there", d, code)
			}
		}
		h.until("how its promotion ended is copied too, and what it was published with", func() bool {
			got := strings.Join(e.about(t, one.Release), " ")
			return strings.Contains(got, "sigstore.bundle") && strings.Contains(got, oci.ArtifactTypeCandidate)
		})
		t.Run("a copy that nobody wrote down, because the server died, is found there", func(t *testing.T) {
			must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				all, err := tx.Replications(ctx, shop, "eu")
				if err != nil {
					return err
				}
				all[0].Done, all[0].Fresh, all[0].Content = time.Time{}, time.Time{}, ""
				if err := tx.SaveReplication(ctx, all[0]); err != nil {
					return err
				}
				return tx.WakeReplications(ctx, shop, time.Now())
			}))
			h.until("it is whole again", func() bool { st := h.copies("eu"); return st.Whole == 1 && len(st.Behind) == 0 })
		})
		t.Run("what was given up here before it was copied keeps nothing behind", func(t *testing.T) {
			must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				gone := towpath.Replication{Project: shop, Rule: "eu", Release: towpath.DigestOf([]byte("gone")), Since: time.Now()}
				if err := tx.SaveReplication(ctx, gone); err != nil {
					return err
				}
				return tx.WakeReplications(ctx, shop, time.Now())
			}))
			h.until("nothing is behind", func() bool { st := h.copies("eu"); return st.Whole == 1 && len(st.Behind) == 0 })
		})
		t.Run("what is damaged here is repaired from there", func(t *testing.T) {
			path := filepath.Join(h.s.cfg.Data, "blobs", "sha256")
			for _, d := range []towpath.Digest{one.Release, towpath.Digest(m.Layers[0].Digest)} {
				must(t, 0, os.Remove(filepath.Join(path, d.Hex()[:2], d.Hex())))
			}
			found, err := h.svc.Registry.Scrub(t.Context(), towpath.System(), regpkg.ScrubRequest{})
			must(t, 0, err)
			if len(found.Findings) != 2 || found.Findings[0].Harm != regpkg.Missing {
				t.Fatalf("found %+v", found.Findings)
			}
			fixed, err := h.svc.Registry.Scrub(t.Context(), towpath.System(), regpkg.ScrubRequest{Repair: "eu"})
			must(t, 0, err)
			for _, f := range fixed.Findings {
				if !f.Repaired {
					t.Errorf("%s was not repaired: %s", f.Digest, f.Why)
				}
			}
			again, err := h.svc.Registry.Scrub(t.Context(), towpath.System(), regpkg.ScrubRequest{})
			must(t, 0, err)
			if len(again.Findings) != 0 {
				t.Errorf("still %+v", again.Findings)
			}
		})
		t.Run("what can't be repaired from is refused before anything is read", func(t *testing.T) {
			scrub := func(rule towpath.ReplicationName) error {
				_, err := h.svc.Registry.Scrub(t.Context(), towpath.System(), regpkg.ScrubRequest{Repair: rule})
				return err
			}
			message := func(err error) string { m, hint := towpath.PublicMessage(err); return m + ": " + hint }
			if err := scrub("nosuch"); towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(message(err), `"nosuch": there are eu`) {
				t.Errorf("got %v", message(err))
			}
			if err := scrub("ue"); towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(message(err), "did you mean eu?") {
				t.Errorf("got %v", message(err))
			}
			e.down.Store(true)
			defer e.down.Store(false)
			if err := scrub("eu"); towpath.KindOf(err) != towpath.KindUnavailable {
				t.Errorf("got %v", err)
			}
		})
		t.Run("a repository has one writer", func(t *testing.T) {
			if err := h.copyTo(e, "us", ""); towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("got %v", err)
			}
		})
		t.Run("the server's logins are not for everybody", func(t *testing.T) {
			releaser := towpath.Actor{Account: "rel", Token: "t", Grants: []towpath.Grant{{Role: towpath.RoleReleaser}}}
			_, err := h.svc.Replication.Add(t.Context(), releaser, towpath.ReplicationRule{Project: shop, Name: "us", To: "registry.example/shop"})
			if towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("got %v", err)
			}
		})
		t.Run("what was removed copies nothing", func(t *testing.T) {
			must(t, 0, h.svc.Replication.Remove(t.Context(), towpath.System(), shop, "eu", false))
			h.publish("1.1.0", "two")
			h.runs("dev", "1.1.0")
			if code, _ := e.get(t, "manifests/1.1.0", towpath.MediaTypeManifest); code != 404 {
				t.Errorf("1.1.0 is %d there", code)
			}
		})
	})
}

// TestReplication_ToItself: a server does not copy to its own registry, whatever it
// is called.
func TestReplication_ToItself(t *testing.T) {
	h := newHarness(t)
	u, err := url.Parse(h.s.URL())
	must(t, 0, err)
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(u))
	t.Cleanup(proxy.Close)
	for _, host := range []string{u.Host, "localhost:" + u.Port(), strings.TrimPrefix(proxy.URL, "http://")} {
		for _, repository := range []string{"shop", "shop/copies", "another"} {
			_, err := h.svc.Replication.Add(t.Context(), towpath.System(), towpath.ReplicationRule{
				Project: shop, Name: "self", To: host + "/" + repository, PlainHTTP: true,
			})
			if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "this server's own") {
				t.Errorf("%s/%s: %v", host, repository, err)
			}
		}
	}
	other := newHarness(t)
	must(t, 0, h.copyTo(&elsewhere{host: strings.TrimPrefix(other.s.URL(), "http://")}, "other", ""))
}

func TestReplication_OfWhatRuns(t *testing.T) {
	h := newHarness(t)
	e := newElsewhere(t)
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "staging", "not now"))
	must(t, 0, h.copyTo(e, "dr", "staging"))
	h.until("what runs there already is copied", func() bool { return h.copies("dr").Whole == 1 })
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "staging", ""))
	if code, _ := e.get(t, "manifests/1.1.0", towpath.MediaTypeManifest); code != 404 {
		t.Errorf("what does not run in staging is %d there", code)
	}
	h.until("what runs there now is copied", func() bool {
		code, _ := e.get(t, "manifests/1.1.0", towpath.MediaTypeManifest)
		return code == 200
	})
}

func TestReplication_IsAskedFor(t *testing.T) {
	h := newHarness(t)
	e := newElsewhere(t)
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		env, err := tx.LockEnvironment(ctx, shop, "dev")
		if err != nil {
			return err
		}
		env.Rules.Gates.Replicated = []towpath.ReplicationName{"eu"}
		return tx.SaveEnvironment(ctx, env)
	}))
	h.publish("1.1.0", "two")
	h.reason("dev", "1.1.0", towpath.GateReplicated, "there is no such rule")
	must(t, 0, h.copyTo(e, "eu", ""))
	h.publish("1.2.0", "three") // published since there is a rule
	h.runs("dev", "1.2.0")
	h.copiedFirst("eu", "dev", "1.2.0")
}

// copyRegion adds a rule about a region.
func (h *harness) copyRegion(e *elsewhere, name towpath.ReplicationName, r towpath.Region) error {
	_, err := h.svc.Replication.Add(context.Background(), towpath.System(), towpath.ReplicationRule{
		Project: shop, Name: name, To: e.host + "/shop", Region: r, PlainHTTP: true,
	})
	return err
}

// has lists which versions are there.
func (e *elsewhere) has(t *testing.T, versions ...string) (out []string) {
	t.Helper()
	for _, v := range versions {
		if code, _ := e.get(t, "manifests/"+v, towpath.MediaTypeManifest); code == 200 {
			out = append(out, v)
		}
	}
	return out
}

// TestReplication_OfARegion: dev and staging stand in Europe and prod in America,
// until a release moves dev there.
func TestReplication_OfARegion(t *testing.T) {
	h := newHarness(t)
	europe, america := newElsewhere(t), newElsewhere(t)
	h.regions = map[towpath.EnvironmentName]towpath.Region{"dev": "eu-west-1", "staging": "eu-west-1", "prod": "us-east-1"}
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "staging", "not now"))
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	must(t, 0, h.copyRegion(europe, "eu", "eu-west-1"))
	must(t, 0, h.copyRegion(america, "us", "us-east-1"))
	h.until("what both environments of Europe run is there", func() bool { st := h.copies("eu"); return st.Whole == 2 && len(st.Behind) == 0 })
	if there := europe.has(t, "1.0.0", "1.1.0"); len(there) != 2 {
		t.Errorf("Europe has %v", there)
	}
	if there := america.has(t, "1.0.0", "1.1.0"); len(there) != 0 {
		t.Errorf("nothing runs in America, which has %v", there)
	}
	h.regions["dev"] = "us-east-1"
	h.publish("1.2.0", "three")
	h.runs("dev", "1.2.0")
	h.until("what dev runs is where it stands now", func() bool { return slices.Contains(america.has(t, "1.2.0"), "1.2.0") })
	if st := h.copies("eu"); len(europe.has(t, "1.2.0")) > 0 || len(st.Behind) > 0 {
		t.Errorf("what runs in America is copied to Europe: %+v", st)
	}
}

func TestReplication_IsAboutOneThing(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	rule := towpath.ReplicationRule{Project: shop, Name: "eu", To: newElsewhere(t).host + "/shop", PlainHTTP: true}
	for what, change := range map[string]func(r *towpath.ReplicationRule){
		"an environment and a region":    func(r *towpath.ReplicationRule) { r.On, r.Region = "dev", "eu-west-1" },
		"a region with a space":          func(r *towpath.ReplicationRule) { r.Region = "eu west" },
		"an account with a slash":        func(r *towpath.ReplicationRule) { r.Account = "a/b" },
		"the place of those of a region": func(r *towpath.ReplicationRule) { r.Region, r.Place = "eu-west-1", &towpath.PlaceRule{} },
	} {
		r := rule
		change(&r)
		if _, err := h.svc.Replication.Add(t.Context(), towpath.System(), r); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}
