package server

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// uploaded brings a blob to a project as ana, who may do everything.
func (h *harness) uploaded(p towpath.ProjectName, b []byte) towpath.Digest {
	h.t.Helper()
	must(h.t, 0, h.svc.Releases.PutBlob(context.Background(), h.ana, p, towpath.DigestOf(b), bytes.NewReader(b)))
	return towpath.DigestOf(b)
}

// naming is a release of the shop whose only layer is a blob that nobody
// uploads with it.
func (h *harness) naming(version string, layer towpath.Digest, size int) release.PublishRequest {
	h.t.Helper()
	h.repo.WriteFile("api/what", version)
	commit := h.repo.CommitAs(gittest.Ana, version)
	enc, err := oci.Encode(&towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: shop,
		Components: []towpath.ReleaseComponent{{
			Name: "api", Kind: towpath.KindProcess, Layer: layer, Size: int64(size),
			Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute}, Drift: towpath.DriftReport,
		}},
	})
	must(h.t, 0, err)
	h.uploaded(shop, enc.Content)
	return release.PublishRequest{
		Project: shop, Manifest: enc.Manifest, Provenance: statement(enc.Digest, version), Commit: commit, Ref: "main", Version: version,
	}
}

// What a release names its project's repository has from then on, for all who
// pull from there. So it names only what its publisher could pull, or brought:
// digest and size of another project's bytes, which are in its manifests, give
// nobody the bytes, and no answer tells them from bytes that are nowhere.
func TestServer_ReleasesNameOnlyWhatTheirPublisherMayPull(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		const billing = "billing"
		_, err := h.svc.Projects.Register(ctx, h.ana, billing, h.repo.Dir)
		must(t, 0, err)
		mal := towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
		both := towpath.Actor{Account: "bea", Token: "tok_2", Grants: append(mal.Grants, towpath.Grant{Role: towpath.RoleViewer, Project: billing})}
		secret := []byte("files of billing")
		theirs := h.uploaded(billing, secret)
		pushed := []byte("pushed to billing's registry")
		c := h.registryAs("ana", towpath.RoleReleaser, towpath.RoleViewer)
		c.PushBlobTo("billing/api", "sha256", pushed)
		nowhere := []byte("files of nobody")

		publish := func(a towpath.Actor, r release.PublishRequest) error {
			_, err := h.svc.Releases.Publish(ctx, a, r)
			return err
		}
		// refused takes an answer without the digest that it is about.
		refused := func(t *testing.T, d towpath.Digest, err error) string {
			t.Helper()
			if towpath.KindOf(err) != towpath.KindNotFound {
				t.Fatalf("%v", err)
			}
			message, hint := towpath.PublicMessage(err)
			return strings.ReplaceAll(fmt.Sprint(message, hint), string(d), "it")
		}
		has := func(a towpath.Actor, d towpath.Digest) error {
			_, err := h.svc.Releases.HasBlob(ctx, a, shop, d)
			return err
		}
		unseen := func(t *testing.T, d towpath.Digest) {
			t.Helper()
			c.ExpectCode(c.Do("GET", c.Repo("blobs/"+string(d)), nil), 404, "BLOB_UNKNOWN")
		}

		t.Run("asking for it is answered as for what is nowhere", func(t *testing.T) {
			want := refused(t, towpath.DigestOf(nowhere), has(mal, towpath.DigestOf(nowhere)))
			for _, b := range [][]byte{secret, pushed} {
				if got := refused(t, towpath.DigestOf(b), has(mal, towpath.DigestOf(b))); got != want {
					t.Errorf("%s; not %s", got, want)
				}
			}
		})
		t.Run("naming it as a layer is refused, whatever its size", func(t *testing.T) {
			gone := towpath.DigestOf(nowhere)
			want := refused(t, gone, publish(mal, h.naming("0.1.0", gone, len(nowhere))))
			for i, size := range []int{len(secret), len(secret) + 1} {
				r := h.naming(fmt.Sprintf("0.1.%d", i+1), theirs, size)
				if got := refused(t, theirs, publish(mal, r)); got != want {
					t.Errorf("%s; not %s", got, want)
				}
			}
			refused(t, towpath.DigestOf(pushed), publish(mal, h.naming("0.1.3", towpath.DigestOf(pushed), len(pushed))))
			unseen(t, theirs)
		})
		t.Run("nor is it the content of a release", func(t *testing.T) {
			r := h.naming("0.2.0", h.uploaded(shop, []byte("mine")), len("mine"))
			m, err := oci.ParseManifest(r.Manifest)
			must(t, 0, err)
			r.Manifest = bytes.Replace(bytes.Replace(r.Manifest, []byte(m.Config.Digest), []byte(theirs), 1),
				fmt.Appendf(nil, `"size":%d`, m.Config.Size), fmt.Appendf(nil, `"size":%d`, len(secret)), 1)
			r.Provenance = statement(towpath.DigestOf(r.Manifest), "0.2.0")
			refused(t, theirs, publish(mal, r))
		})
		t.Run("nor evidence", func(t *testing.T) {
			one := h.publish("1.0.0", "one")
			manifest := must3(readBlob(ctx, h, one.Release))(t)
			r := release.PublishRequest{
				Project: shop, Manifest: manifest, Provenance: statement(one.Release, "1.0.0"), Commit: one.Commit, Ref: one.Ref, Version: one.Version,
			}
			// The evidence is of billing, and so is only what it names.
			bill, err := oci.AttachSBOM(oci.Blob{Digest: one.Release, Size: int64(len(manifest))}, []byte("a bill of billing"))
			must(t, 0, err)
			var blobs []towpath.Digest
			for _, b := range bill.Blobs {
				blobs = append(blobs, h.uploaded(billing, b))
			}
			r.Evidence = []towpath.Digest{h.uploaded(billing, bill.Manifest)}
			refused(t, bill.Digest, publish(mal, r))
			h.uploaded(shop, bill.Manifest)
			refused(t, blobs[0], publish(mal, r))
			unseen(t, blobs[len(blobs)-1])
			for _, b := range bill.Blobs {
				h.uploaded(shop, b)
			}
			must(t, 0, publish(mal, r))
		})
		t.Run("whoever has the bytes uploads them, and the store keeps them once", func(t *testing.T) {
			if err := h.svc.Releases.PutBlob(ctx, mal, shop, theirs, strings.NewReader("something else!!")); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%v", err)
			}
			refused(t, theirs, has(mal, theirs))
			must(t, 0, h.svc.Releases.PutBlob(ctx, mal, shop, theirs, bytes.NewReader(secret)))
			must(t, 0, has(mal, theirs))
			must(t, 0, publish(mal, h.naming("1.1.0", theirs, len(secret))))
			c.Expect(c.Do("GET", c.Repo("blobs/"+string(theirs)), nil), 200)
		})
		t.Run("whoever may pull it there names it without bringing it", func(t *testing.T) {
			d := towpath.DigestOf(pushed)
			must(t, 0, publish(both, h.naming("1.2.0", d, len(pushed))))
			c.Expect(c.Do("GET", c.Repo("blobs/"+string(d)), nil), 200)
			must(t, 0, has(mal, d)) // it is the shop's now
			asked := h.uploaded(billing, []byte("asked for, then named"))
			must(t, 0, has(both, asked))
			must(t, 0, publish(mal, h.naming("1.3.0", asked, len("asked for, then named"))))
		})
		t.Run("nothing is stored for a project that is not there", func(t *testing.T) {
			everywhere := towpath.Actor{Account: "rel", Token: "tok_3", Grants: []towpath.Grant{{Role: towpath.RoleReleaser}}}
			err := h.svc.Releases.PutBlob(ctx, everywhere, "nobody", towpath.DigestOf(nowhere), bytes.NewReader(nowhere))
			if _, hint := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(hint, "project register") {
				t.Errorf("%v", err)
			}
			if _, err := h.s.agents.blobs.Stat(ctx, towpath.DigestOf(nowhere)); towpath.KindOf(err) != towpath.KindNotFound {
				t.Errorf("%v", err)
			}
		})
	})
}
