package blob_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

func TestS3_Place(t *testing.T) {
	server := s3test.Start(t)
	s, cfg := newS3(t, server, "", nil)
	var ids [8]string
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			other, _ := newS3(t, server, cfg.Bucket, nil)
			var err error
			if ids[i], err = other.Place(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("many came at once, and got %q", ids)
		}
	}
	object := cfg.Prefix + "/towpath-place"
	write := func(bucket, text string) {
		t.Helper()
		_, err := server.Client().PutObject(t.Context(), bucket, object, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Check(t.Context(), ids[0]); err != nil {
		t.Error(err)
	}
	t.Run("another prefix is another place", func(t *testing.T) {
		other, _ := newS3(t, server, cfg.Bucket, func(c *blob.S3Config) { c.Prefix = "" })
		if id, err := other.Place(t.Context()); err != nil || id == ids[0] {
			t.Errorf("got %s, %v", id, err)
		}
	})
	t.Run("a copy of the bucket is refused", func(t *testing.T) {
		copied, copyCfg := newS3(t, server, "", nil)
		write(copyCfg.Bucket, ids[0]+"\ns3://"+cfg.Bucket+"/"+cfg.Prefix+"\n")
		_, err := copied.Place(t.Context())
		hinted(t, err, towpath.KindConflict)
	})
	t.Run("what somebody else wrote there is refused", func(t *testing.T) {
		other, otherCfg := newS3(t, server, "", nil)
		write(otherCfg.Bucket, "hello")
		_, err := other.Place(t.Context())
		hinted(t, err, towpath.KindConflict)
	})
	t.Run("a name whose writing was not heard of is ours", func(t *testing.T) {
		other, _ := newS3(t, server, "", nil)
		server.Break(s3test.Times(1, method("PUT"), s3test.LoseAnswer))
		defer server.Break(nil)
		if id, err := other.Place(t.Context()); err != nil || id == "" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	t.Run("a service that hangs is said to", func(t *testing.T) {
		server.Break(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
		defer server.Break(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		hinted(t, s.Check(ctx, ids[0]), towpath.KindUnavailable)
	})
	t.Run("another bucket under the same name is noticed", func(t *testing.T) {
		write(cfg.Bucket, "OTHER\ns3://"+cfg.Bucket+"/"+cfg.Prefix+"\n")
		hinted(t, s.Check(t.Context(), ids[0]), towpath.KindConflict)
		if err := server.Client().RemoveObject(t.Context(), cfg.Bucket, object, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		hinted(t, s.Check(t.Context(), ids[0]), towpath.KindUnavailable)
	})
	t.Run("there must be a bucket", func(t *testing.T) {
		none, _ := newS3(t, server, "no-such-bucket", nil)
		_, err := none.Place(t.Context())
		hinted(t, err, towpath.KindUnavailable)
		if err == nil || !strings.Contains(err.Error(), "no such bucket") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the credentials must be good", func(t *testing.T) {
		for _, key := range []string{"stranger", s3test.AccessKey} {
			stranger, _ := newS3(t, server, cfg.Bucket, func(c *blob.S3Config) { c.Credentials = credentials.NewStaticV4(key, "guess", "") })
			_, err := stranger.Place(t.Context())
			hinted(t, err, towpath.KindUnavailable)
			if err == nil || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "guess") {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("and there must be some", func(t *testing.T) {
		cfg := cfg
		cfg.Credentials = credentials.NewStaticV4("", "", "")
		_, err := blob.NewS3(t.Context(), cfg)
		hinted(t, err, towpath.KindUnauthenticated)
	})
}

// TestS3Staging holds it against what the one on disk promises.
func TestS3Staging(t *testing.T) {
	server := s3test.Start(t)
	_, cfg := newS3(t, server, "", nil)
	conformsToStaging(t, server.Path(cfg.Bucket, cfg.Prefix+"/uploads"), func() staging {
		s, _ := newS3(t, server, cfg.Bucket, nil)
		return blob.NewS3Staging(s)
	})
	t.Run("a connection to the service that breaks off does not show", func(t *testing.T) {
		store, _ := newS3(t, server, cfg.Bucket, parts)
		s := blob.NewS3Staging(store)
		var pieces []blob.Piece
		var want []byte
		for _, size := range []int{300_000, 6 << 20} {
			server.Break(s3test.Times(1, func(r *http.Request) bool { return r.ContentLength > 0 }, s3test.CutRequest(1000)))
			content := noise(size)
			p, err := s.Add(t.Context(), "u9", bytes.NewReader(content), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			pieces, want = append(pieces, p), append(want, content...)
		}
		server.Break(s3test.Times(3, method("GET"), s3test.CutAnswer(100_000)))
		defer server.Break(nil)
		r := s.Open(t.Context(), pieces)
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
	t.Run("a piece that has another size is refused", func(t *testing.T) {
		store, _ := newS3(t, server, cfg.Bucket, nil)
		s := blob.NewS3Staging(store)
		p, err := s.Add(t.Context(), "u9", strings.NewReader("12345"), 100)
		if err != nil {
			t.Fatal(err)
		}
		p.Size = 4
		_, err = io.ReadAll(s.Open(t.Context(), []blob.Piece{p}))
		hinted(t, err, towpath.KindInternal)
	})
}
