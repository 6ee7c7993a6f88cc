package replicate

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// FuzzReadLayout reads archives from anybody. Nothing but a refusal or a layout
// whose graphs can be walked and exported comes out.
func FuzzReadLayout(f *testing.F) {
	for _, name := range []string{"small.tar", "index.tar"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	limits := Limits{Manifests: 20, ManifestBytes: 1 << 16, Graph: 1 << 18, Blob: 1 << 18, Files: 50}.withDefaults()
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readArchive(bytes.NewReader(b), int64(len(b)), limits)
		if err != nil {
			refusal(t, err)
			return
		}
		l, err := readLayout(t.Context(), a, limits)
		if err != nil {
			refusal(t, err)
			return
		}
		if _, err := l.Check(t.Context()); err != nil {
			refusal(t, err)
			return
		}
		for _, n := range l.Named() {
			g, err := Walk(t.Context(), l, n.Descriptor, Config{Limits: limits})
			if err != nil {
				refusal(t, err) // two manifests may disagree
				continue
			}
			if _, err := Export(t.Context(), l, g, nil, filepath.Join(t.TempDir(), "again.tar"), Config{Limits: limits}); err != nil {
				t.Error(err)
			}
		}
	})
}

// refusal makes sure that an error is one for people, who did nothing wrong but
// to read what they were given.
func refusal(t *testing.T, err error) {
	var e *towpath.Error
	if !errors.As(err, &e) || (e.Kind != towpath.KindInvalid && e.Kind != towpath.KindExhausted) || e.Hint == "" {
		t.Errorf("got %v", err)
	}
}

// FuzzParse reads manifests from anybody.
func FuzzParse(f *testing.F) {
	f.Add(`{"schemaVersion":2,"config":{"mediaType":"a","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`, false)
	f.Add(`{"schemaVersion":2,"manifests":[],"subject":null}`, true)
	f.Fuzz(func(t *testing.T, body string, index bool) {
		d := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(body), Size: int64(len(body))}
		if index {
			d.MediaType = v1.MediaTypeImageIndex
		}
		n, err := parse(d, []byte(body), DefaultLimits())
		if err != nil {
			refusal(t, err)
			return
		}
		for _, x := range append(n.Blobs, n.Manifests...) {
			if towpath.Digest(x.Digest).Algorithm() == "" || x.Size < 0 {
				t.Errorf("accepted %+v", x)
			}
		}
	})
}
