package ocidist_test

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// BenchmarkRegistry pushes artifacts of one blob into one repository, each with
// a tag, and pulls them, with eight clients at once; all writes are durable.
func BenchmarkRegistry(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, database := range []string{"SQLite", "PostgreSQL"} {
			b.Run(fmt.Sprintf("%d KiB on %s", size>>10, database), func(b *testing.B) {
				url := ""
				if database == "PostgreSQL" {
					url = pgtest.New(b)
				}
				r := start(b, b.TempDir(), url, nil)
				c := ocitest.NewClient(b, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
				c.HTTP.Transport = &http.Transport{MaxIdleConnsPerHost: 16}
				c.PushBlob([]byte("{}"))
				var n atomic.Int64
				b.Run("push", func(b *testing.B) {
					b.SetParallelism(4) // of two processors: eight
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							pushOne(b, c, newArtifact(b, ocitest.Random(size), fmt.Sprint("t", n.Add(1))))
						}
					})
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "artifacts/s")
				})
				b.Run("pull", func(b *testing.B) {
					b.SetParallelism(4)
					b.RunParallel(func(pb *testing.PB) {
						for i := int64(0); pb.Next(); i++ {
							pullOne(b, c, fmt.Sprint("t", 1+i%n.Load()))
						}
					})
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "artifacts/s")
				})
			})
		}
	}
}

// artifact is one blob, with the manifest that names it and its tag.
type artifact struct {
	content, manifest []byte
	digest, tag       string
}

func newArtifact(b *testing.B, content []byte, tag string) artifact {
	return artifact{content: content, digest: ocitest.Sha256(content), tag: tag, manifest: ocitest.Encode(b, ocitest.Object{
		"schemaVersion": 2, "mediaType": ocitest.TypeManifest, "config": ocitest.Describe(ocitest.TypeEmpty, "sha256", []byte("{}")),
		"layers": []any{ocitest.Describe("application/x", "sha256", content)},
	})}
}

// pushOne only sends: what the client has to compute for it was made before, so
// that it is the registry that is measured.
func pushOne(b *testing.B, c *ocitest.Client, x artifact) {
	begun, err := c.Try("POST", c.Repo("blobs/uploads/"), bytes.NewReader(nil))
	if err != nil || begun.Status != 202 {
		b.Error(begun.Status, err)
		return
	}
	if a, err := c.Try("PUT", c.Location(begun, "digest", x.digest), bytes.NewReader(x.content)); err != nil || a.Status != 201 {
		b.Error(a.Status, err)
		return
	}
	if a, err := c.Try("PUT", c.Repo("manifests/"+x.tag), bytes.NewReader(x.manifest), "Content-Type", ocitest.TypeManifest); err != nil || a.Status != 201 {
		b.Error(a.Status, err)
	}
}

func pullOne(b *testing.B, c *ocitest.Client, tag string) {
	a, err := c.Try("GET", c.Repo("manifests/"+tag), bytes.NewReader(nil), "Accept", ocitest.TypeManifest)
	if err != nil || a.Status != 200 {
		b.Error(a.Status, err)
		return
	}
	m := ocitest.JSON[struct{ Layers []struct{ Digest string } }](b, a)
	if a, err := c.Try("GET", c.Repo("blobs/"+m.Layers[0].Digest), bytes.NewReader(nil)); err != nil || a.Status != 200 {
		b.Error(a.Status, err)
	}
}
