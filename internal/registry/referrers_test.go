package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// about is a manifest about a subject with one annotation.
func about(subject towpath.Digest, name, note string) []byte {
	of := ""
	if subject != "" {
		of = fmt.Sprintf(`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":7},`, subject)
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"x/y",%s`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"annotations":{%q:%q}}`,
		of, towpath.DigestOf([]byte("{}")), name, note)
}

func (w *world) push(manifest []byte) error {
	w.t.Helper()
	if err := w.PutBlob(w.t.Context(), w.ana, repo, towpath.DigestOf([]byte("{}")), strings.NewReader("{}")); err != nil {
		w.t.Fatal(err)
	}
	_, err := w.Push(w.t.Context(), w.ana, registry.PushRequest{Repository: repo, Reference: string(towpath.DigestOf(manifest)), Manifest: manifest})
	return err
}

// TestService_Push_annotations: no manifest makes the list of what is about
// something longer than clients read.
func TestService_Push_annotations(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		subject := towpath.DigestOf([]byte("s"))
		if err := w.push(about(subject, "a", strings.Repeat("x", towpath.MaxAnnotations-len(`{"a":""}`)))); err != nil {
			t.Fatal(err)
		}
		wantCode(t, w.push(about(subject, "b", strings.Repeat("x", towpath.MaxAnnotations))), registry.ManifestInvalid)
		// As they are listed, characters that JSON escapes count for what they are.
		wantCode(t, w.push(about(subject, "c", strings.Repeat("<", towpath.MaxAnnotations/2))), registry.ManifestInvalid)
		if err := w.push(about("", "d", strings.Repeat("x", 2*towpath.MaxAnnotations))); err != nil {
			t.Fatalf("what is about nothing is listed nowhere: %v", err)
		}
	})
}
