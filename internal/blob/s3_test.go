package blob_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/blobtest"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

var buckets atomic.Int64

// newS3 makes a store in a new bucket, or in one that is there.
func newS3(t testing.TB, server *s3test.Server, bucket string, change func(*blob.S3Config)) (*blob.S3, blob.S3Config) {
	t.Helper()
	if bucket == "" {
		bucket = server.Bucket(t, fmt.Sprintf("bucket-%d", buckets.Add(1)))
	}
	cfg := blob.S3Config{
		Endpoint: server.URL, Region: s3test.Region, Bucket: bucket, Prefix: "some/prefix", PathStyle: true,
		Credentials: server.Credentials(), Spool: t.TempDir(),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := blob.NewS3(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, cfg
}

func keyOf(prefix string, d towpath.Digest) string {
	return prefix + "/" + d.Algorithm() + "/" + d.Encoded()[:2] + "/" + d.Encoded()
}

// conforms runs the suite on stores whose objects are files of the server.
func conforms(t *testing.T, server *s3test.Server) {
	configs := map[blob.Store]blob.S3Config{}
	blobtest.Run(t, blobtest.Subject{
		New: func(t *testing.T) blob.Store {
			s, cfg := newS3(t, server, "", nil)
			configs[s] = cfg
			return s
		},
		Damage: func(t *testing.T, s blob.Store, d towpath.Digest) {
			cfg := configs[s]
			path := server.Path(cfg.Bucket, keyOf(cfg.Prefix, d))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestS3_conformance(t *testing.T) {
	server := s3test.Start(t)
	t.Run("on a good day", func(t *testing.T) { conforms(t, server) })
	t.Run("when every tenth request goes wrong", func(t *testing.T) {
		var n atomic.Int64
		faults := []s3test.Fault{
			s3test.Answer(http.StatusServiceUnavailable, "SlowDown"), s3test.LoseAnswer, s3test.CutAnswer(100), s3test.CutRequest(100),
		}
		server.Break(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			i := n.Add(1)
			if strings.Count(r.URL.Path, "/") == 2 && r.Method == "PUT" { // the test makes a bucket
				next.ServeHTTP(w, r)
				return
			}
			if i%10 == 0 {
				faults[i/10%int64(len(faults))](w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
		defer server.Break(nil)
		conforms(t, server)
		t.Logf("%d requests", n.Load())
	})
}
