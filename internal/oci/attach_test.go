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

func TestParseAttachment(t *testing.T) {
	subject := oci.Blob{Digest: towpath.DigestOf([]byte("a release")), Size: 9}
	bill, err := oci.AttachSBOM(subject, []byte(`{"bomFormat":"CycloneDX"}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := oci.ParseAttachment(bill.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != subject.Digest || got.ArtifactType != oci.MediaTypeSBOM || len(got.Blobs) != 2 || got.Blobs[1].Digest != towpath.DigestOf(bill.Blobs[1]) {
		t.Errorf("got %+v", got)
	}
	for what, change := range map[string][2]string{
		"an unknown field":   {`"schemaVersion":2`, `"schemaVersion":2,"more":1`},
		"another schema":     {`"schemaVersion":2`, `"schemaVersion":1`},
		"a release":          {`"artifactType":"` + oci.MediaTypeSBOM + `"`, `"artifactType":"` + towpath.ArtifactTypeRelease + `"`},
		"no type":            {`"artifactType":"` + oci.MediaTypeSBOM + `",`, ``},
		"no subject":         {`"subject":`, `"annotations":{},"ignored":`},
		"a digest of nobody": {string(subject.Digest), "sha256:short"},
		"a config":           {`application/vnd.oci.empty.v1+json`, `application/vnd.oci.image.config.v1+json`},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			b := bytes.Replace(bill.Manifest, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(b, bill.Manifest) {
				t.Fatalf("nothing was changed in %s", b)
			}
			if _, err := oci.ParseAttachment(b); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParseAttachment(f *testing.F) {
	bill, err := oci.AttachSBOM(oci.Blob{Digest: towpath.DigestOf([]byte("a release")), Size: 9}, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bill.Manifest)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := oci.ParseAttachment(b)
		if err == nil && (!a.Subject.Valid() || len(a.Blobs) != 2) {
			t.Errorf("%s is %+v", b, a)
		}
	})
}
