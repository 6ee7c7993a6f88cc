package registry_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/store"
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

// TestService_Referrers_memory: a list takes no more memory for what it leaves to
// the next page, however much that has, from before there was a limit.
func TestService_Referrers_memory(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		subject := towpath.DigestOf([]byte("s"))
		if err := w.push(about(subject, "first", "one")); err != nil {
			t.Fatal(err)
		}
		const n, large = 30, 2 << 20
		for i := range n {
			err := w.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveArtifact(ctx, towpath.Artifact{
					Repository: repo, Digest: towpath.HashOf(fmt.Sprint(i)), MediaType: "application/x", ArtifactType: "x/y", Size: 7, Subject: subject,
					Annotations: map[string]string{"a": strings.Repeat("x", large)},
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		seen, last := 0, towpath.Digest("")
		for {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			page, more, err := w.Referrers(t.Context(), w.ana, repo, subject, "", last)
			runtime.ReadMemStats(&after)
			if err != nil || len(page) == 0 {
				t.Fatal(page, err)
			}
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 40 {
				t.Fatalf("a page of %d took %d MiB", len(page), got)
			}
			seen, last = seen+len(page), page[len(page)-1].Digest
			if !more {
				break
			}
		}
		if seen != n+1 {
			t.Fatalf("the pages have %d, want %d", seen, n+1)
		}
	})
}
