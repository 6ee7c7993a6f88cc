package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/peertest"
)

func TestMirror(t *testing.T) {
	peer := peertest.Start(t, peertest.Distribution())
	onEach(t, func(t *testing.T, h *harness) {
		o := before(t, peer.URL)
		image := pushForeign(t, o.host+"/acme/redis", t.Name(), replicate.Login{})
		h.gates = towpath.GateRules{Mirrored: true}
		h.pins(image.material("redis:7"))
		o.asked.Store(0)
		one := h.publish("1.0.0", "one")
		h.reason("dev", "1.0.0", towpath.GateMirrored, "is mirrored from nowhere: no source covers ")
		if n := o.asked.Load(); n != 0 {
			t.Errorf("a registry that nobody allowed was asked %d times", n)
		}

		o.down.Store(true)
		h.mirrorFrom(o.host + "/acme")
		h.reason("dev", "1.0.0", towpath.GateMirrored, "could not be mirrored yet: the registry answered 503")
		h.until("its lag is known", func() bool {
			st, err := h.svc.Mirror.Status(t.Context(), h.ana, shop)
			must(t, 0, err)
			return st.Behind == 1 && !st.Lag.IsZero() && st.Images[0].Attempts > 1
		})

		o.down.Store(false)
		x := h.untilMirrored(image)
		h.runs("dev", "1.0.0")
		if want := towpath.RepositoryName("shop/mirror/" + strings.ReplaceAll(o.host, ":", "_") + "/acme/redis"); x.Repository != want || x.Manifests != 4 || x.Error != "" {
			t.Errorf("it is %+v, want it in %s", x, want)
		}
		got, err := h.svc.Releases.Get(t.Context(), h.ana, shop, "1.0.0")
		must(t, 0, err)
		if len(got.Images) != 1 || got.Images[0].Name != "redis:7" || got.Images[0].Repository != x.Repository || got.Images[0].Mirrored.IsZero() {
			t.Errorf("the release has %+v", got.Images)
		}
		t.Run("everything of it is here, and what is attached", func(t *testing.T) {
			c := h.registryAs("reader", towpath.RoleViewer)
			c.Target.Repository = string(x.Repository)
			for _, d := range image.manifests {
				a := c.Expect(c.Do("GET", c.Repo("manifests/"+string(d)), nil), 200)
				if towpath.DigestOf(a.Body) != d {
					t.Errorf("%s is something else here", d)
				}
			}
			for _, d := range image.blobs {
				c.Expect(c.Do("GET", c.Repo("blobs/"+string(d)), nil), 200)
			}
			about := c.Expect(c.Do("GET", c.Repo("referrers/"+string(image.digest)), nil), 200)
			if !strings.Contains(string(about.Body), string(image.signature)) {
				t.Errorf("its signature is not listed: %s", about.Body)
			}
		})
		t.Run("another release that pins it asks nobody", func(t *testing.T) {
			o.asked.Store(0)
			o.down.Store(true)
			h.publish("1.1.0", "two")
			h.runs("dev", "1.1.0")
			o.down.Store(false)
			if n := o.asked.Load(); n != 0 {
				t.Errorf("it was asked %d times", n)
			}
		})
		t.Run("it can't be deleted, nor what is about it", func(t *testing.T) {
			for _, d := range []towpath.Digest{image.digest, image.signature, image.manifests[0]} {
				err := h.laterRegistry(h.laterReleases(time.Now()), time.Now()).Delete(t.Context(), h.ana, x.Repository, string(d))
				if err == nil {
					t.Errorf("%s was deleted", d)
				}
			}
		})
		t.Run("it stays as long as a release that pins it, and goes then", func(t *testing.T) { h.outlives(t, image, x, one) })
	})
}

// outlives collects garbage when releases pin an image, and when none does.
func (h *harness) outlives(t *testing.T, image foreign, x mirror.Image, one towpath.Candidate) {
	ctx := t.Context()
	when := time.Now().AddDate(1, 0, 0)
	releases := h.laterReleases(when)
	later := h.laterRegistry(releases, when)
	here := func() (n int) {
		for _, d := range image.manifests {
			if _, err := later.Manifest(ctx, h.ana, x.Repository, string(d)); err == nil {
				n++
			}
		}
		return n
	}
	_, err := later.CollectGarbage(ctx, towpath.System(), registry.Garbage{UntaggedAge: time.Minute})
	must(t, 0, err)
	if n := here(); n != len(image.manifests) {
		t.Fatalf("%d of %d manifests are here while releases pin it", n, len(image.manifests))
	}

	h.pins() // what runs in the end pins nothing
	h.retention = towpath.RetentionRule{Keep: 1, Age: 24 * time.Hour}
	for _, v := range []string{"2.0.0", "2.1.0", "2.2.0"} {
		h.publish(v, v)
		h.runs("staging", v)
	}
	_, err = releases.Collect(ctx, towpath.System(), shop, false)
	must(t, 0, err)
	gone, err := h.svc.Releases.Get(ctx, h.ana, shop, string(one.Release))
	must(t, 0, err)
	if gone.Collected.IsZero() {
		t.Fatalf("release 1.0.0 was not collected")
	}
	dry, err := later.CollectGarbage(ctx, towpath.System(), registry.Garbage{DryRun: true})
	must(t, 0, err)
	if n := here(); n != len(image.manifests) {
		t.Fatalf("%d of %d manifests are here after a dry run", n, len(image.manifests))
	}
	out, err := later.CollectGarbage(ctx, towpath.System(), registry.Garbage{})
	must(t, 0, err)
	if n := here(); n != 0 || len(dry.Projects) != 1 || len(out.Projects) != 1 || out.Projects[0] != dry.Projects[0] || out.Projects[0].Untagged != 3 {
		t.Errorf("%d manifests are still here; given up %+v, the dry run said %+v", n, out.Projects, dry.Projects)
	}
	for _, d := range append(slices.Clone(image.blobs), image.manifests...) {
		if _, err := h.s.agents.blobs.Stat(ctx, d); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("the bytes of %s are still stored: %v", d, err)
		}
	}
	if _, known := h.mirrored(image); known {
		t.Error("it is still listed")
	}
}

// TestMirror_Unasked: a release waits for what a source covers in every
// environment, and for nothing else where none asks.
func TestMirror_Unasked(t *testing.T) {
	peer := peertest.Start(t, peertest.Olareg())
	h := newHarness(t)
	o := before(t, peer.URL)
	image := pushForeign(t, o.host+"/acme/redis", "", replicate.Login{})
	h.pins(image.material("redis:7"))
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0") // no source covers it

	o.down.Store(true)
	h.mirrorFrom(o.host + "/acme")
	h.publish("1.1.0", "two")
	h.reason("dev", "1.1.0", towpath.GateMirrored, "could not be mirrored yet: the registry answered 503")
	o.down.Store(false)
	h.wakeMirror()
	h.runs("dev", "1.1.0")
	if x := h.untilMirrored(image); x.Error != "" {
		t.Errorf("it is %+v", x)
	}
}

// TestMirror_JudgesItsOwnCandidate: who publishes the same content again and says that
// it takes what nobody has shuts no gate for what was published before.
func TestMirror_JudgesItsOwnCandidate(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.staging = towpath.PromotionManual
		h.mirrorFrom("registry.invalid")
		one := h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		nowhere := foreign{repository: "registry.invalid/acme/redis", digest: towpath.DigestOf([]byte("nowhere"))}
		h.pins(nowhere.material("redis:7"))
		if again := h.publish("1.0.1", "one"); again.Release != one.Release || again.ID == one.ID {
			t.Fatalf("published %+v again as %+v", one, again)
		}
		h.until("it is known what that takes", func() bool { _, known := h.mirrored(nowhere); return known })
		h.reason("dev", "1.0.1", towpath.GateMirrored, "redis:7")
		_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Release: "1.0.0", Environment: "staging"})
		must(t, 0, err)
		h.runs("staging", "1.0.0")
	})
}

// TestMirror_ReadsPastWhatIsLost: a release whose provenance is lost is looked up when
// that is back, and keeps no other one waiting.
func TestMirror_ReadsPastWhatIsLost(t *testing.T) {
	ctx := t.Context()
	h := newHarness(t)
	h.gates = towpath.GateRules{Mirrored: true}
	old := h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	statement := must3(readBlob(ctx, h, old.Provenance))(t)
	must(t, 0, h.s.agents.blobs.Delete(ctx, old.Provenance))
	_, err := h.s.db.Exec(ctx, `DELETE FROM candidate_image`)
	must(t, 0, err)

	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	read := func() bool {
		var images towpath.ReleaseImages
		must(t, 0, h.s.store.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			images, err = tx.ImagesOf(ctx, shop, old.Release)
			return err
		}))
		return images.Read(old.ID)
	}
	if read() {
		t.Error("what is lost was read")
	}
	_, _, err = h.s.agents.blobs.Put(ctx, old.Provenance, bytes.NewReader(statement), int64(len(statement)))
	must(t, 0, err)
	h.wakeMirror()
	h.until("what was lost is read", read)
}

// TestMirror_OfOurs mirrors from another server of ours, which wants a login,
// while a third one has no login and says so.
func TestMirror_OfOurs(t *testing.T) {
	other := newHarness(t)
	made, err := other.s.Account(t.Context(), "puller", nil, []towpath.Role{towpath.RoleReleaser, towpath.RoleViewer}, time.Hour)
	must(t, 0, err)
	host := strings.TrimPrefix(other.s.URL(), "http://")
	image := pushForeign(t, host+"/shop/redis", "", replicate.Login{User: "puller", Password: made.Secret})
	auth := filepath.Join(t.TempDir(), "auth.json")
	h := startHarness(t, Config{Data: folder(t), RegistryAuth: auth}, gittest.New(t))
	h.introduce()
	h.pins(image.material("redis:7"))
	h.mirrorFrom(host)
	h.publish("1.0.0", "one")
	h.until("it says that there is no login", func() bool {
		x, _ := h.mirrored(image)
		return strings.Contains(x.Error, "does not know who asks")
	})
	h.stop()
	must(t, 0, os.WriteFile(auth, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("puller:"+made.Secret))), 0o600))
	again := startHarness(t, h.s.cfg, h.repo)
	again.wakeMirror()
	x := again.untilMirrored(image)
	if strings.Contains(fmt.Sprintf("%+v", x), made.Secret) {
		t.Error("the record shows the password")
	}
}

// TestMirror_Tampered has a source that changes a blob, a manifest and the list
// of what is attached on their way.
func TestMirror_Tampered(t *testing.T) {
	peer := peertest.Start(t, peertest.Olareg())
	h := newHarness(t)
	o := before(t, peer.URL)
	h.mirrorFrom(o.host)
	for i, part := range []string{"platform", "signature", "/blobs/", "/manifests/", "/referrers/"} {
		image := pushForeign(t, o.host+"/redis", part, replicate.Login{})
		half := true
		switch part { // what comes before what is damaged gets here
		case "platform":
			part = "/blobs/" + string(image.blobs[3])
		case "signature":
			part = "/blobs/" + string(image.blobs[5])
		default:
			half = false
		}
		o.tamper.Store(&part)
		h.pins(image.material("redis:7"))
		v := fmt.Sprintf("1.%d.0", i)
		h.publish(v, v)
		h.until(part+" is refused", func() bool { x, _ := h.mirrored(image); return x.Error != "" })
		if x, _ := h.mirrored(image); !x.Done.IsZero() {
			t.Errorf("%s: %+v", part, x)
		}
		if half {
			x, _ := h.mirrored(image)
			when := time.Now().AddDate(1, 0, 0)
			later := h.laterRegistry(h.laterReleases(when), when)
			_, err := later.CollectGarbage(t.Context(), towpath.System(), registry.Garbage{UntaggedAge: time.Minute})
			must(t, 0, err)
			if _, err := later.Manifest(t.Context(), h.ana, x.Repository, string(image.manifests[0])); err != nil {
				t.Errorf("what is on its way was given up: %v", err)
			}
		}
		o.tamper.Store(nil)
		h.wakeMirror()
		h.untilMirrored(image)
	}
}

// TestMirror_WithoutASource takes what came with an imported release: it is
// here, and nobody outside can be asked.
func TestMirror_WithoutASource(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("importer", towpath.RoleReleaser, towpath.RoleViewer)
		image := pushForeign(t, strings.TrimPrefix(h.s.URL(), "http://")+"/shop/mirror/registry.example/redis", "", replicate.Login{User: c.Target.User, Password: c.Target.Secret})
		image.repository = "registry.example/redis"
		h.gates = towpath.GateRules{Mirrored: true}
		h.pins(image.material("redis:7"))
		h.publish("1.0.0", "one")
		h.untilMirrored(image)
		h.runs("dev", "1.0.0")
	})
}

// TestMirror_Nameless asks for images when nobody can say which they are.
func TestMirror_Nameless(t *testing.T) {
	h := newHarness(t)
	h.gates = towpath.GateRules{Mirrored: true}
	h.pins(`{"name":"redis:latest","annotations":{"unpinned":true,"kind":"image"}}`, `{"name":"git::x","annotations":{"unpinned":true,"kind":"module"}}`)
	h.publish("1.0.0", "one")
	h.until("the gate denies", func() bool {
		for _, v := range h.verdicts("dev", "1.0.0") {
			if v.Gate == towpath.GateMirrored && v.Outcome == towpath.Deny {
				return strings.Contains(strings.Join(v.Reasons, " "), "redis:latest") && len(v.Reasons) == 1
			}
		}
		return false
	})
}

func (h *harness) verdicts(e towpath.EnvironmentName, version string) (out []towpath.Verdict) {
	h.t.Helper()
	l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop, Environment: e})
	must(h.t, 0, err)
	for _, p := range l.Items {
		if p.Version == version {
			out = append(out, p.Verdicts...)
		}
	}
	return out
}

// TestMirror_CosignVerifiesHere has the real cosign sign an image in a registry
// outside, and verify it in ours once it is mirrored.
func TestMirror_CosignVerifiesHere(t *testing.T) {
	c := cosigntest.New(t)
	peer := peertest.Start(t, peertest.Distribution())
	h := newHarness(t)
	o := before(t, peer.URL)
	image := pushForeign(t, o.host+"/redis", "", replicate.Login{})
	c.Must("generate-key-pair")
	c.Must("sign", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "--yes", o.host+"/redis@"+string(image.digest))
	h.mirrorFrom(o.host)
	h.pins(image.material("redis:7"))
	h.publish("1.0.0", "one")
	x := h.untilMirrored(image)
	o.down.Store(true)
	reader := h.registryAs("reader", towpath.RoleViewer)
	here := strings.TrimPrefix(h.s.URL(), "http://")
	c.Must("login", here, "-u", reader.Target.User, "-p", reader.Target.Secret)
	out := c.Must("verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry", here+"/"+string(x.Repository)+"@"+string(image.digest))
	if !strings.Contains(out, "verified") {
		t.Errorf("cosign says %s", out)
	}
}
