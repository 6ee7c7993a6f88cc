package oci_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func subject() oci.Blob {
	return oci.Blob{Digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Size: 7}
}

// TestAttachBundle has the manifest that cosign 3.1.3 pushes, member by member,
// in canonical order.
func TestAttachBundle(t *testing.T) {
	created := time.Date(2026, 11, 20, 13, 0, 0, 5, time.FixedZone("CET", 3600))
	a, err := oci.AttachBundle(subject(), "https://sigstore.dev/cosign/sign/v1", []byte("bundle"), created)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1",` +
		`"org.opencontainers.image.created":"2026-11-20T12:00:00Z"},"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json",` +
		`"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},` +
		`"layers":[{"digest":"` + string(towpath.DigestOf([]byte("bundle"))) + `","mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":6}],` +
		`"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,` +
		`"subject":{"digest":"` + string(subject().Digest) + `","mediaType":"application/vnd.oci.image.manifest.v1+json","size":7}}`
	if string(a.Manifest) != want || a.Digest != towpath.DigestOf(a.Manifest) {
		t.Fatalf("%s\n%s", a.Manifest, want)
	}
	t.Run("comes with every blob that it names", func(t *testing.T) { named(t, a) })
}

func TestAttachSBOM(t *testing.T) {
	a, err := oci.AttachSBOM(subject(), []byte(`{"bomFormat":"CycloneDX"}`))
	if err != nil {
		t.Fatal(err)
	}
	named(t, a)
	if a.ArtifactType != "application/vnd.cyclonedx+json" || len(a.Annotations) > 0 {
		t.Fatalf("%+v", a)
	}
	if again, err := oci.AttachSBOM(subject(), []byte(`{"bomFormat":"CycloneDX"}`)); err != nil || again.Digest != a.Digest {
		t.Fatalf("%v, %v", again, err)
	}
}

// named checks an attachment's manifest against what comes with it.
func named(t *testing.T, a oci.Attachment) {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(a.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.ArtifactType != a.ArtifactType || m.Subject.Digest != "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" || !maps.Equal(m.Annotations, a.Annotations) {
		t.Fatalf("%s", a.Manifest)
	}
	for i, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if towpath.DigestOf(a.Blobs[i]) != towpath.Digest(d.Digest) || int64(len(a.Blobs[i])) != d.Size {
			t.Errorf("%+v is not %q", d, a.Blobs[i])
		}
	}
	if len(m.Layers)+1 != len(a.Blobs) || !bytes.Equal(a.Blobs[0], []byte("{}")) {
		t.Errorf("%d blobs", len(a.Blobs))
	}
}

func TestAttach_refusesNothing(t *testing.T) {
	if _, err := oci.AttachSBOM(subject(), nil); towpath.KindOf(err) != towpath.KindInternal {
		t.Error(err)
	}
	if _, err := oci.AttachSBOM(oci.Blob{}, []byte("x")); towpath.KindOf(err) != towpath.KindInternal {
		t.Error(err)
	}
}
