package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/towpath"
)

// placeName is the object that names the place: an ID, made once, and on the
// next line where it was made.
const placeName = "towpath-place"

// Place is the ID of the bucket and prefix, the same for all who use them, and
// another one for a bucket of the same name elsewhere. The first who asks makes
// it. A copy of a bucket says where it was copied from, and is refused: what one
// server took into the one, another would miss in the other.
//
// It is the first request to the service, so its errors are those of a wrong
// configuration.
func (s *S3) Place(ctx context.Context) (string, error) {
	id, err := s.readPlace(ctx)
	if !isNotFound(err) {
		return id, err
	}
	text := rand.Text() + "\n" + s.cfg.name() + "\n"
	sum := sha256.Sum256([]byte(text))
	err = s.write(ctx, s.cfg.key(placeName), strings.NewReader(text), int64(len(text)), sum[:],
		func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") })
	if err != nil && !failedPrecondition(err) { // somebody else was first, or we were and did not hear
		return "", s.fail("blob.place", "the name of the place can't be written", err)
	}
	return s.readPlace(ctx)
}

// Check fails when the place can't be read or is not the one with an ID.
func (s *S3) Check(ctx context.Context, id string) error {
	const op = "blob.place"
	got, err := s.readPlace(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return towpath.E(towpath.KindUnavailable, op, "the object store does not answer in time").
			WithHint("check that the endpoint in --blobs can be reached").WithCause(err)
	case isNotFound(err):
		return towpath.E(towpath.KindUnavailable, op, "the bucket has lost the object %s", placeName).
			WithHint("somebody emptied the bucket, or --blobs leads elsewhere: look before anything is written").WithCause(err)
	case err != nil:
		return err
	case got != id:
		return towpath.E(towpath.KindConflict, op, "the bucket is not the one that the server started with").
			WithHint("somebody replaced the bucket, or its object %s", placeName)
	}
	return nil
}

func (s *S3) readPlace(ctx context.Context) (string, error) {
	const op = "blob.place"
	r, _, err := s.read(ctx, op, s.cfg.key(placeName))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(r, 4<<10))
	if err = errors.Join(err, r.Close()); err != nil {
		return "", s.fail(op, "the name of the place can't be read", err)
	}
	id, rest, _ := strings.Cut(string(text), "\n")
	where, _, whole := strings.Cut(rest, "\n")
	switch {
	case !whole || id == "":
		return "", towpath.E(towpath.KindConflict, op, "the object %s was not written by towpath", placeName).On(s.cfg.name()).
			WithHint("give towpath a prefix of its own in --blobs")
	case where != s.cfg.name():
		return "", towpath.E(towpath.KindConflict, op, "the bucket is a copy of %s", where).On(s.cfg.name()).
			WithHint("use that one; to move here for good, stop all servers and write %s into the second line of the object %s", s.cfg.name(), placeName)
	}
	return id, nil
}
