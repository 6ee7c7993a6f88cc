package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/towpath"
)

// S3Staging keeps what [Staging] keeps in the bucket of an [S3], so that an
// upload that began on one server goes on and ends on another:
//
//	uploads/<upload>.<random>   pieces, which are never changed
type S3Staging struct{ store *S3 }

// NewS3Staging makes a staging area beside the blobs of a store.
func NewS3Staging(s *S3) *S3Staging { return &S3Staging{s} }

// s3PieceTime is how long a piece may take to be sent after who brought it is
// gone.
const s3PieceTime = time.Minute

func (s *S3Staging) keyOf(p Piece) string { return s.store.cfg.key(stagedFolder + p.Name) }

// Add keeps what r yields as a piece of an upload; see [Staging.Add].
func (s *S3Staging) Add(ctx context.Context, upload string, r io.Reader, limit int64) (Piece, error) {
	const op = "blob.stage"
	content := newSpool(s.store.cfg.Spool)
	defer content.Close()
	sum := sha256.New()
	from := &failing{r: r}
	n, err := s.store.buffers.copyLimited(ctx, io.MultiWriter(content, sum), from, limit)
	if n == 0 || err != nil && from.err == nil && ctx.Err() == nil {
		return Piece{}, err
	}
	ctx, cancel := outlive(ctx, s3PieceTime)
	defer cancel()
	p := Piece{Name: upload + "." + rand.Text(), Size: n}
	sent := s.store.send(ctx, s.keyOf(p), content, sum.Sum(nil), func(visible func() error) error { return visible() })
	if sent != nil && ctx.Err() != nil {
		sent = towpath.E(towpath.KindUnavailable, op, "a piece of an upload could not be written in the %s after its connection broke", s3PieceTime).
			WithHint("check the connection to the object store, then send it again").WithCause(sent)
	}
	if sent != nil {
		return Piece{}, s.store.fail(op, "a piece of an upload can't be written", sent)
	}
	return p, err
}

// outlive is a context that ends a while after another one.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(by):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// Open reads pieces one after the other.
func (s *S3Staging) Open(ctx context.Context, pieces []Piece) io.ReadCloser {
	return &pieceReader{ctx: ctx, left: pieces, next: func(p Piece) (io.ReadCloser, error) {
		r, size, err := s.store.read(ctx, "blob.stage", s.keyOf(p))
		switch {
		case isNotFound(err):
			return nil, towpath.E(towpath.KindUnavailable, "blob.stage", "a piece of the upload is lost").
				WithHint("begin the upload again").WithCause(err)
		case err != nil:
			return nil, err
		case size != p.Size:
			return nil, errors.Join(towpath.E(towpath.KindInternal, "blob.stage", "a piece of the upload has %d bytes, not %d", size, p.Size).
				WithHint("begin the upload again"), r.Close())
		}
		return r, nil
	}}
}

// Remove removes pieces; those that are gone are removed already.
func (s *S3Staging) Remove(ctx context.Context, pieces []Piece) error {
	var failed []error
	for _, p := range pieces {
		if err := s.store.remove(ctx, s.keyOf(p)); err != nil {
			failed = append(failed, s.store.fail("blob.stage", "a piece of an upload can't be removed", err))
		}
	}
	return errors.Join(failed...)
}

// Sweep removes the pieces, last written before a time, of uploads that nobody
// knows, and says how many there were; see [Staging.Sweep].
func (s *S3Staging) Sweep(ctx context.Context, before time.Time, known func(upload string) (bool, error)) (int, error) {
	n := 0
	err := s.store.list(ctx, "blob.stage", stagedFolder, func(name string, o minio.ObjectInfo) error {
		piece := strings.TrimPrefix(name, stagedFolder)
		upload, _, ours := strings.Cut(piece, ".")
		if !ours || !o.LastModified.Before(before) {
			return nil
		}
		used, err := known(upload)
		if err != nil || used {
			return err
		}
		if err := s.Remove(ctx, []Piece{{Name: piece}}); err != nil {
			return err
		}
		n++
		return nil
	})
	return n, err
}
