package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/towpath"
)

// Put keeps the content on this machine until its digest is known to be right,
// and only then sends it to the key of its digest. There it is seen at once and
// as a whole or not at all, also when it is sent in parts; the service gets the
// SHA-256 of all it is sent and refuses other bytes; and what it acknowledges
// is durable. It does so even if the key is there: its content may be damaged.
func (s *S3) Put(ctx context.Context, expected towpath.Digest, r io.Reader, limit int64) (towpath.Digest, int64, error) {
	const op = "blob.put"
	if expected != "" {
		if err := valid(op, expected); err != nil {
			return "", 0, err
		}
	}
	if limit <= 0 {
		return "", 0, towpath.E(towpath.KindInternal, op, "a blob was put without a limit")
	}
	content := newSpool(s.cfg.Spool)
	defer content.Close()
	sum := sha256.New()
	name := sum // what the blob is named by
	into := io.MultiWriter(content, sum)
	if expected.Algorithm() == towpath.SHA512 {
		name = towpath.NewHash(towpath.SHA512)
		into = io.MultiWriter(into, name)
	}
	if _, err := s.buffers.copyLimited(ctx, into, r, limit); err != nil {
		return "", 0, err
	}
	got := towpath.DigestSum(expected.Algorithm(), name)
	if expected != "" && got != expected {
		return "", 0, towpath.E(towpath.KindInvalid, op, "the content has digest %s, not %s", got, expected).
			On(string(expected)).WithHint("it was changed or cut off on its way: send it again")
	}
	lock := s.lock(got)
	err := s.send(ctx, s.keyOf(got), content, sum.Sum(nil), func(visible func() error) error {
		lock.RLock()
		defer lock.RUnlock()
		return visible()
	})
	if err != nil {
		return "", 0, s.fail(op, "blob "+string(got)+" can't be written", err)
	}
	return got, content.size, nil
}

// send writes an object of any size with a SHA-256 sum. What makes it visible
// is done within named.
func (s *S3) send(ctx context.Context, key string, content *spool, sum []byte, named func(visible func() error) error) error {
	if content.size > s.cfg.PartSize {
		return s.sendParts(ctx, key, content, named)
	}
	return named(func() error {
		return s.write(ctx, key, content, content.size, sum, nil)
	})
}

// tagKey is the metadata by which an upload in parts is known again.
const tagKey = "Towpath-Upload"

// sendParts writes an object in parts, none of which is seen before the last
// step, which is done within named. When that step's answer was lost, the tag tells
// whether it was done.
func (s *S3) sendParts(ctx context.Context, key string, content *spool, named func(visible func() error) error) (err error) {
	tag, id := rand.Text(), ""
	err = s.retry(ctx, func() (err error) {
		id, err = s.client.NewMultipartUpload(ctx, s.cfg.Bucket, key, minio.PutObjectOptions{UserMetadata: map[string]string{tagKey: tag}})
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // Sweep gets what stays
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = s.abort(ctx, key, id)
		}
	}()
	size := max(s.cfg.PartSize, (content.size+s3MaxParts-1)/s3MaxParts)
	parts := make([]minio.CompletePart, (content.size+size-1)/size)
	// When one fails, those under way are not cut off: the service might still
	// take them in after the upload was aborted.
	var g errgroup.Group
	var failed atomic.Bool
	g.SetLimit(4)
	for i := range parts {
		g.Go(func() (err error) {
			if failed.Load() {
				return nil
			}
			from := int64(i) * size
			parts[i], err = s.sendPart(ctx, key, id, i+1, content, from, min(size, content.size-from))
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return named(func() error {
		err := s.retry(ctx, func() error {
			_, err := s.client.CompleteMultipartUpload(ctx, s.cfg.Bucket, key, id, parts, minio.PutObjectOptions{})
			return err
		})
		if err == nil {
			return nil
		}
		if o, statErr := s.head(ctx, key); statErr == nil && o.UserMetadata[tagKey] == tag {
			return nil
		}
		return err
	})
}

// sendPart sends one part, with its sum.
func (s *S3) sendPart(ctx context.Context, key, id string, number int, content io.ReaderAt, from, n int64) (minio.CompletePart, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(content, from, n)); err != nil {
		return minio.CompletePart{}, err
	}
	o := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum.Sum(nil)), DisableContentSha256: true}
	done := minio.CompletePart{PartNumber: number}
	err := s.retry(ctx, func() error {
		part, err := s.client.PutObjectPart(ctx, s.cfg.Bucket, key, id, number, body(content, from, n), n, o)
		done.ETag = part.ETag
		return err
	})
	return done, err
}
