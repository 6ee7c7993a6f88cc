//go:build !race

// The race detector keeps several bytes for each of the program's. `make test`
// measures it.

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
