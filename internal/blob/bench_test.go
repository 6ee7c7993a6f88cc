package blob_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

// BenchmarkStore puts and reads blobs from eight at once: on this disk, in an
// object store on the same disk, which adds two connections on loopback, and
// there with the bare client, which neither keeps nor checks anything.
func BenchmarkStore(b *testing.B) {
	disk := func(b *testing.B) blob.Store {
		d, err := blob.NewDisk(blob.DiskConfig{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	s3 := func(b *testing.B) blob.Store {
		s, _ := newS3(b, s3test.Start(b), "", nil)
		return s
	}
	bare := func(b *testing.B) blob.Store {
		server := s3test.Start(b)
		return bareClient{Client: server.Client(), bucket: server.Bucket(b, "bare")}
	}
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, kind := range []struct {
			name string
			make func(*testing.B) blob.Store
		}{{"disk", disk}, {"s3", s3}, {"bare", bare}} {
			b.Run(fmt.Sprintf("Put/%s/%dKiB", kind.name, size>>10), func(b *testing.B) {
				s := kind.make(b)
				b.SetBytes(int64(size))
				b.SetParallelism(4)
				b.ResetTimer()
				var n atomic.Uint64
				b.RunParallel(func(pb *testing.PB) {
					content := noise(size)
					for pb.Next() {
						binary.BigEndian.PutUint64(content, n.Add(1))
						if _, _, err := s.Put(b.Context(), "", bytes.NewReader(content), 1<<30); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
			b.Run(fmt.Sprintf("Open/%s/%dKiB", kind.name, size>>10), func(b *testing.B) {
				s := kind.make(b)
				d, _, err := s.Put(b.Context(), "", bytes.NewReader(noise(size)), 1<<30)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(size))
				b.SetParallelism(4)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r, _, err := s.Open(b.Context(), d)
						if err == nil {
							_, err = io.Copy(io.Discard, r)
							_ = r.Close()
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// bareClient is an object store as it is. It has no more of a store than the
// benchmark uses.
type bareClient struct {
	blob.Store
	*minio.Client
	bucket string
}

func (c bareClient) Put(ctx context.Context, _ towpath.Digest, r io.Reader, _ int64) (towpath.Digest, int64, error) {
	content := r.(*bytes.Reader)
	name := fmt.Sprint(rand.Uint64())
	_, err := c.PutObject(ctx, c.bucket, name, content, content.Size(), minio.PutObjectOptions{DisableMultipart: true})
	return towpath.Digest(name), content.Size(), err
}

func (c bareClient) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	o, err := c.GetObject(ctx, c.bucket, string(d), minio.GetObjectOptions{})
	return o, 0, err
}
