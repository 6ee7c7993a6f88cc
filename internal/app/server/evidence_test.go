package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// attached uploads a bill of materials about something.
func (h *harness) attached(subject []byte, bill string) towpath.Digest {
	h.t.Helper()
	a, err := oci.AttachSBOM(oci.Blob{Digest: towpath.DigestOf(subject), Size: int64(len(subject))}, []byte(bill))
	must(h.t, 0, err)
	for _, b := range append(a.Blobs, a.Manifest) {
		must(h.t, 0, h.svc.Releases.PutBlob(context.Background(), h.ana, shop, towpath.DigestOf(b), bytes.NewReader(b)))
	}
	return a.Digest
}

// upload uploads an attachment with one more annotation, "a".
func (h *harness) upload(a oci.Attachment, annotation string) towpath.Digest {
	h.t.Helper()
	var m v1.Manifest
	must(h.t, 0, json.Unmarshal(a.Manifest, &m))
	m.Annotations = map[string]string{"a": annotation}
	manifest, err := oci.Canonical(m)
	must(h.t, 0, err)
	for _, b := range append(a.Blobs, manifest) {
		must(h.t, 0, h.svc.Releases.PutBlob(context.Background(), h.ana, shop, towpath.DigestOf(b), bytes.NewReader(b)))
	}
	return towpath.DigestOf(manifest)
}

func TestServer_EvidenceComesWithItsRelease(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		one := h.publish("1.0.0", "one")
		manifest := must3(readBlob(ctx, h, one.Release))(t)
		publish := func(evidence ...towpath.Digest) error {
			_, err := h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
				Project: shop, Manifest: manifest, Provenance: statement(one.Release, "1.0.0"), Commit: one.Commit, Ref: one.Ref,
				Version: one.Version, Evidence: evidence,
			})
			return err
		}
		bill := h.attached(manifest, `{"bomFormat":"CycloneDX"}`)
		for range 2 { // the second time it is there
			must(t, 0, publish(bill))
		}
		c := h.registryAs("vic", towpath.RoleViewer)
		got := ocitest.JSON[struct {
			Manifests []struct{ Digest, ArtifactType string }
		}](t, c.Expect(c.Do("GET", c.Repo("referrers/"+string(one.Release)+"?artifactType="+url.QueryEscape(oci.MediaTypeSBOM)), nil), 200))
		if len(got.Manifests) != 1 || got.Manifests[0].Digest != string(bill) || got.Manifests[0].ArtifactType != oci.MediaTypeSBOM {
			t.Errorf("referrers: %+v", got)
		}
		pull(c, string(bill))
		h.until("it is recorded, once", func() bool {
			entries, err := h.s.ledger.List(ctx, ledger.Filter{Project: shop, Action: "evidence.attached"})
			must(t, 0, err)
			return len(entries) == 1 && entries[0].Event.Release == one.Release
		})
		t.Run("not what is about something else", func(t *testing.T) {
			if err := publish(h.attached([]byte("something else"), "{}")); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
		t.Run("not what was not uploaded", func(t *testing.T) {
			if err := publish(towpath.DigestOf([]byte("nowhere"))); towpath.KindOf(err) != towpath.KindNotFound {
				t.Errorf("got %v", err)
			}
		})
		t.Run("as much as one request may attach, and no more", func(t *testing.T) {
			const most = 64
			must(t, 0, publish(slices.Repeat([]towpath.Digest{bill}, most)...))
			if err := publish(slices.Repeat([]towpath.Digest{bill}, most+1)...); towpath.KindOf(err) != towpath.KindExhausted {
				t.Errorf("got %v", err)
			}
		})
		t.Run("as many annotations as are listed, and no more", func(t *testing.T) {
			subject := oci.Blob{Digest: one.Release, Size: int64(len(manifest))}
			annotated := func(bytes int) towpath.Digest {
				return h.upload(must3(oci.AttachSBOM(subject, []byte("{}")))(t), strings.Repeat("x", bytes-len(`{"a":""}`)))
			}
			must(t, 0, publish(annotated(towpath.MaxAnnotations)))
			if err := publish(annotated(towpath.MaxAnnotations + 1)); towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "bytes of annotations") {
				t.Errorf("got %v", err)
			}
		})
		t.Run("not what is no evidence", func(t *testing.T) {
			if err := publish(one.Release); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	})
}
