package blob_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

// BenchmarkStore puts and reads blobs from eight at once: on this disk, and in
// an object store on the same disk, which adds two connections on loopback.
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
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, kind := range []struct {
			name string
			make func(*testing.B) blob.Store
		}{{"disk", disk}, {"s3", s3}} {
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
