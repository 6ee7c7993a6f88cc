package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// UploadID names an upload: a random UUID.
type UploadID string

// Upload is a blob that comes in pieces. A piece is on disk before it is
// recorded, and recorded before it is acknowledged; so an upload goes on after
// a restart of the server where it was.
type Upload struct {
	ID         UploadID               `json:"id"`
	Repository towpath.RepositoryName `json:"repository"`
	Size       int64                  `json:"size"` // bytes that came
	Pieces     []blob.Piece           `json:"pieces,omitempty"`
	Expires    time.Time              `json:"expires"`
}

// Span is which bytes of the whole a request brings, when it says so.
type Span struct {
	Given    bool
	From, To int64 // To is of the last byte
}

// newUploadID mints a UUID of version 4.
func newUploadID() UploadID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return UploadID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// Begin begins an upload.
func (s *Service) Begin(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName) (Upload, error) {
	const op = "registry.upload"
	if err := allowed(op, actor, access.RegistryPush, r); err != nil {
		return Upload{}, err
	}
	now := s.cfg.Now()
	u := Upload{ID: newUploadID(), Repository: r, Expires: now.Add(s.cfg.UploadTTL)}
	return u, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := open(ctx, tx, op, r, now); err != nil {
			return err
		}
		n, err := tx.CountUploads(ctx, r.Project())
		if err != nil {
			return err
		}
		if n >= s.cfg.MaxUploads {
			return fail(TooManyRequests, op, "the project has %d uploads in progress", n).On(string(r)).
				WithHint("wait until they end or expire, or cancel them")
		}
		return tx.InsertUpload(ctx, u)
	})
}

// Status is how far an upload is.
func (s *Service) Status(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id UploadID) (Upload, error) {
	if err := allowed("registry.upload", actor, access.RegistryPush, r); err != nil {
		return Upload{}, err
	}
	return s.upload(ctx, r, id)
}

var uploadPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// upload reads an upload that has not expired.
func (s *Service) upload(ctx context.Context, r towpath.RepositoryName, id UploadID) (Upload, error) {
	if !uploadPattern.MatchString(string(id)) {
		return Upload{}, unknownUpload(id)
	}
	var u Upload
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		u, err = tx.Upload(ctx, id)
		return err
	})
	if towpath.KindOf(err) == towpath.KindNotFound || err == nil && (u.Repository != r || s.cfg.Now().After(u.Expires)) {
		return Upload{}, unknownUpload(id)
	}
	return u, err
}

func unknownUpload(id UploadID) error {
	return fail(BlobUploadUnknown, "registry.upload", "there is no such upload").On(shown(string(id))).
		WithHint("it was ended, cancelled or has expired: look whether the blob is there, or begin again")
}

// Append adds the next piece to an upload. What came before a connection broke
// is kept; the upload that is returned says how far it is, with any error.
func (s *Service) Append(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id UploadID, span Span, body io.Reader) (Upload, error) {
	u, err := s.Status(ctx, actor, r, id)
	if err != nil {
		return u, err
	}
	if err := s.next(u, span); err != nil {
		return u, err
	}
	if len(u.Pieces) >= s.cfg.MaxPieces {
		return u, fail(TooManyRequests, "registry.upload", "the upload has %d pieces already", len(u.Pieces)).WithHint("send larger ones")
	}
	src := &source{r: body}
	piece, err := s.staging.Add(ctx, string(id), src, s.cfg.MaxBlob-u.Size)
	if err != nil && (src.err == nil || piece.Size == 0) {
		return u, src.blame(err, s.cfg.MaxBlob)
	}
	if piece.Size == 0 {
		return u, nil
	}
	if want := span.To - span.From + 1; span.Given && (piece.Size > want || src.err == nil && piece.Size < want) {
		return u, errors.Join(fail(SizeInvalid, "registry.upload", "the piece was announced with %d bytes and has %d", want, piece.Size),
			s.staging.Remove(ctx, []blob.Piece{piece}))
	}
	failpoint.Hit("registry.upload.stored")
	// What came is kept even when the client is gone.
	ctx = context.WithoutCancel(ctx)
	was := u
	u.Pieces, u.Size, u.Expires = append(slices.Clip(u.Pieces), piece), was.Size+piece.Size, s.cfg.Now().Add(s.cfg.UploadTTL)
	saveErr := s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.SaveUpload(ctx, u, was.Size) })
	switch {
	case towpath.KindOf(saveErr) == towpath.KindConflict:
		return was, errors.Join(as(saveErr, towpath.KindConflict, OutOfOrder, "registry.upload", "another request added to the upload at the same time"),
			s.staging.Remove(ctx, []blob.Piece{piece}))
	case saveErr != nil: // the record may name the piece all the same: when none does, Sweep removes it
		return was, saveErr
	}
	failpoint.Hit("registry.upload.recorded")
	return u, src.blame(err, s.cfg.MaxBlob)
}

// next makes sure that a span begins where the upload ends.
func (s *Service) next(u Upload, span Span) error {
	const op = "registry.upload"
	switch {
	case span.Given && span.From != u.Size:
		return fail(OutOfOrder, op, "the piece begins at byte %d, and %d is the next one", span.From, u.Size).
			On(string(u.ID)).WithHint("ask for the status of the upload and go on from there")
	case span.Given && span.To >= s.cfg.MaxBlob:
		return fail(TooLarge, op, "the blob has more than %d bytes", s.cfg.MaxBlob)
	}
	return nil
}

// Finish ends an upload, with a last piece or without: the whole must have the
// digest. When it has not, the upload stays as it was.
func (s *Service) Finish(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id UploadID, d towpath.Digest, span Span, body io.Reader) error {
	const op = "registry.upload"
	u, err := s.Status(ctx, actor, r, id)
	if err != nil {
		return err
	}
	if err := checkDigest(op, d); err != nil {
		return err
	}
	if err := s.next(u, span); err != nil {
		return err
	}
	before := s.staging.Open(ctx, u.Pieces)
	defer before.Close()
	if err := s.put(ctx, d, before, body); err != nil {
		return err
	}
	if err := s.link(ctx, r, d, id); err != nil {
		return err
	}
	_ = s.staging.Remove(context.WithoutCancel(ctx), u.Pieces) // the blob is there; Sweep removes what stays
	return nil
}

// Cancel gives an upload up.
func (s *Service) Cancel(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id UploadID) error {
	u, err := s.Status(ctx, actor, r, id)
	if err != nil {
		return err
	}
	return s.drop(ctx, u)
}

func (s *Service) drop(ctx context.Context, u Upload) error {
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.DeleteUpload(ctx, u.ID)
		return err
	})
	if err != nil {
		return err
	}
	return s.staging.Remove(context.WithoutCancel(ctx), u.Pieces)
}

// expiring is how many uploads one pass of [Service.Expire] gives up.
const expiring = 100

// Expire gives up uploads whose time is over, and bytes of those that nobody
// knows; again: there may be more.
func (s *Service) Expire(ctx context.Context) (again bool, err error) {
	now := s.cfg.Now()
	var old []Upload
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		old, err = tx.ExpiredUploads(ctx, now, expiring)
		return err
	})
	for _, u := range old {
		if err == nil {
			err = s.drop(ctx, u)
		}
	}
	if err != nil || len(old) == expiring {
		return err == nil, err
	}
	_, err = s.staging.Sweep(ctx, now.Add(-s.cfg.UploadTTL), func(id string) (bool, error) {
		known := true
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
			_, err := tx.Upload(ctx, UploadID(id))
			known = err == nil
			if towpath.KindOf(err) == towpath.KindNotFound {
				err = nil
			}
			return err
		})
		return known, err
	})
	return false, err
}

// source remembers the error of what a client sends: the disk is not to blame
// for it.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// blame says what is wrong with err in terms of the upload.
func (s *source) blame(err error, limit int64) error {
	const op = "registry.upload"
	switch {
	case err == nil:
		return nil
	case s.err != nil:
		return fail(BlobUploadInvalid, op, "the content ended early or came too slowly").
			WithHint("ask for the status of the upload and go on from there").WithCause(s.err)
	case errors.Is(err, blob.ErrLimit):
		return fail(TooLarge, op, "the blob has more than %d bytes", limit).WithHint("make it smaller, or raise the server's limit")
	}
	return err
}
