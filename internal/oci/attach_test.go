package oci_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func subject() oci.Blob {
	return oci.Blob{Digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Size: 7}
}

// TestAttachBundle has what the manifests say that cosign 3.1.3 pushes, in our
// canonical form. Theirs has another, see [TestParseAttachment_ofOthers].
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
		"another schema":         {`"schemaVersion":2`, `"schemaVersion":1`},
		"an index":               {`"mediaType":"` + towpath.MediaTypeManifest + `","schema`, `"mediaType":"application/vnd.oci.image.index.v1+json","schema`},
		"a release":              {`"artifactType":"` + oci.MediaTypeSBOM + `"`, `"artifactType":"` + towpath.ArtifactTypeRelease + `"`},
		"a release's content":    {`application/vnd.oci.empty.v1+json`, towpath.MediaTypeReleaseContent},
		"a type without end":     {oci.MediaTypeSBOM + `"`, oci.MediaTypeSBOM + strings.Repeat("x", 300) + `"`},
		"no subject":             {`"subject":`, `"annotations":{},"ignored":`},
		"a digest of nobody":     {string(subject.Digest), "sha256:short"},
		"what is elsewhere":      {`"layers":[{`, `"layers":[{"urls":["https://example.com"],`},
		"what need not be there": {`"mediaType":"` + oci.MediaTypeSBOM + `"`, `"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar"`},
		"nor at Docker's":        {`"mediaType":"` + oci.MediaTypeSBOM + `"`, `"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"`},
		"a config of that type":  {`application/vnd.oci.empty.v1+json`, `application/vnd.example.nondistributable`},
		"no layers":              {`"layers":[{`, `"layers":[],"ignored":[{`},
		"many layers":            {`"layers":[{`, `"layers":[` + strings.Repeat("{},", 16) + `{`},
		"a name that is twice":   {`"schemaVersion":2`, `"schemaVersion":2,"subject":{}`},
		"one in another case":    {`"schemaVersion":2`, `"schemaVersion":2,"ſubject":{}`},
		"one twice, deeper":      {`"layers":[{`, `"layers":[{"digest":"",`},
		"what is nested deep":    {`"schemaVersion":2`, `"schemaVersion":2,"more":` + strings.Repeat("[", 16) + strings.Repeat("]", 16)},
		"something after it":     {`"size":9}}`, `"size":9}}{}`},
		"what is no JSON":        {`{`, `{{`},
		"another type of value":  {`"schemaVersion":2`, `"schemaVersion":"2"`},
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

// ofOthers are manifests of evidence that others write, about sha256:bed6….
var ofOthers = map[string]struct {
	manifest, artifactType string
	content                int
}{
	"cosign 3.1.3": {
		manifest: `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,` +
			`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"},` +
			`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":659,"digest":"sha256:9e8168929ab7fe41c41b854429f11b65779b0537b4b5792dd46238c623d8350d"}],` +
			`"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-11-21T22:57:15Z"},` +
			`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":509,"digest":"sha256:bed627e612d77321bd4ad4dca41140b795263fa4deba85fc32e402094bd4d10b"},` +
			`"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`,
		artifactType: oci.MediaTypeBundle, content: 1,
	},
	"the layout before OCI 1.1": {
		manifest: `{"schemaVersion":2,"config":{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":2,` +
			`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},` +
			`"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":659,"digest":"sha256:9e8168929ab7fe41c41b854429f11b65779b0537b4b5792dd46238c623d8350d"}],` +
			`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":509,"digest":"sha256:bed627e612d77321bd4ad4dca41140b795263fa4deba85fc32e402094bd4d10b"}}`,
		artifactType: oci.MediaTypeBundle, content: 1,
	},
	"oras attach, of two files": {
		manifest: `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.cyclonedx+json",` +
			`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},` +
			`"layers":[{"mediaType":"application/json","digest":"sha256:9e8168929ab7fe41c41b854429f11b65779b0537b4b5792dd46238c623d8350d","size":659,"annotations":{"org.opencontainers.image.title":"a.json"}},` +
			`{"mediaType":"application/json","digest":"sha256:b94f84289482d159a70ba1d9ba819e43953530ec1ea33b886e4b5dde541f1660","size":671,"annotations":{"org.opencontainers.image.title":"b.json"}}],` +
			`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:bed627e612d77321bd4ad4dca41140b795263fa4deba85fc32e402094bd4d10b","size":509}}`,
		artifactType: oci.MediaTypeSBOM, content: 2,
	},
}

// TestParseAttachment_ofOthers has the bytes that other tools push, in an order
// and with members of their own.
func TestParseAttachment_ofOthers(t *testing.T) {
	for what, x := range ofOthers {
		t.Run("reads "+what, func(t *testing.T) {
			got, err := oci.ParseAttachment([]byte(x.manifest))
			if err != nil {
				t.Fatal(err)
			}
			const about, first = "sha256:bed627e612d77321bd4ad4dca41140b795263fa4deba85fc32e402094bd4d10b", "sha256:9e8168929ab7fe41c41b854429f11b65779b0537b4b5792dd46238c623d8350d"
			if got.Subject != about || got.ArtifactType != x.artifactType || len(got.Content()) != x.content || got.Content()[0].Digest != first {
				t.Errorf("got %+v", got)
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
	for _, x := range ofOthers {
		f.Add([]byte(x.manifest))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := oci.ParseAttachment(b)
		if err == nil && (!a.Subject.Valid() || len(a.Content()) == 0 || a.ArtifactType == "") {
			t.Errorf("%s is %+v", b, a)
		}
	})
}
