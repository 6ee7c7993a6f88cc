package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"

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
	var into io.Writer = io.MultiWriter(content, sum)
	if expected.Algorithm() == towpath.SHA512 {
		name = towpath.NewHash(towpath.SHA512)
		into = io.MultiWriter(into, name)
	}
	if _, err := copyLimited(ctx, into, r, limit); err != nil {
		return "", 0, err
	}
	got := towpath.DigestSum(expected.Algorithm(), name)
	if expected != "" && got != expected {
		return "", 0, towpath.E(towpath.KindInvalid, op, "the content has digest %s, not %s", got, expected).
			On(string(expected)).WithHint("it was changed or cut off on its way: send it again")
	}
	if err := s.send(ctx, got, content, sum); err != nil {
		return "", 0, s.fail(op, "blob "+string(got)+" can't be written", err)
	}
	return got, content.size, nil
}

// send writes a blob whose content was checked.
func (s *S3) send(ctx context.Context, d towpath.Digest, content *spool, sum hash.Hash) error {
	lock := s.lock(d)
	if content.size > s.cfg.PartSize {
		return s.sendParts(ctx, s.keyOf(d), content, func(complete func() error) error {
			lock.RLock()
			defer lock.RUnlock()
			return complete()
		})
	}
	lock.RLock()
	defer lock.RUnlock()
	return s.write(ctx, s.keyOf(d), content.section(0, content.size), content.size, sum.Sum(nil), nil)
}

// emptySum is the SHA-256 of no bytes.
var emptySum = sha256.New().Sum(nil)

// write writes an object in one request, which the service refuses when the
// bytes that arrive have not the sum. It is sent again as often as need be:
// that changes nothing.
func (s *S3) write(ctx context.Context, key string, r io.ReadSeeker, size int64, sum []byte, condition func(*minio.PutObjectOptions)) error {
	o := minio.PutObjectOptions{UserMetadata: map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum)}}
	if condition != nil {
		condition(&o)
	}
	_, err := s.client.PutObject(ctx, s.cfg.Bucket, key, r, size, "", hex.EncodeToString(sum), o)
	return err
}

// tagKey is the metadata by which an upload in parts is known again.
const tagKey = "Towpath-Upload"

// sendParts writes an object in parts, none of which is seen before the last
// step, which named wraps. When that step's answer was lost, the tag tells
// whether it was done.
func (s *S3) sendParts(ctx context.Context, key string, content *spool, named func(complete func() error) error) (err error) {
	tag := rand.Text()
	id, err := s.client.NewMultipartUpload(ctx, s.cfg.Bucket, key, minio.PutObjectOptions{UserMetadata: map[string]string{tagKey: tag}})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // Sweep gets what stays
			_ = s.client.AbortMultipartUpload(context.WithoutCancel(ctx), s.cfg.Bucket, key, id)
		}
	}()
	size := max(s.cfg.PartSize, (content.size+s3MaxParts-1)/s3MaxParts)
	parts := make([]minio.CompletePart, (content.size+size-1)/size)
	g, partCtx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range parts {
		g.Go(func() error {
			from := int64(i) * size
			n := min(size, content.size-from)
			sum := sha256.New()
			if _, err := io.Copy(sum, content.section(from, n)); err != nil {
				return err
			}
			part, err := s.client.PutObjectPart(partCtx, s.cfg.Bucket, key, id, i+1, content.section(from, n), n,
				minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum.Sum(nil))})
			parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: part.ETag}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return named(func() error {
		_, err := s.client.CompleteMultipartUpload(ctx, s.cfg.Bucket, key, id, parts, minio.PutObjectOptions{})
		if err == nil {
			return nil
		}
		if o, statErr := s.client.StatObject(ctx, s.cfg.Bucket, key, minio.StatObjectOptions{}); statErr == nil && o.UserMetadata[tagKey] == tag {
			return nil
		}
		return err
	})
}
