package blob

import (
	"context"
	"io"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Store is a store of blobs. Implementations are safe for concurrent use, also
// by several processes, and pass the suite in towpathtest/blobtest.
type Store interface {
	// Put stores what r yields and returns its digest and size in bytes. When
	// it returns nil the blob MUST survive a crash of the machine; before that
	// nothing of it is visible under its digest. Putting what is there already
	// succeeds and heals a damaged copy.
	//
	// With a non-empty expected digest, other content is refused (KindInvalid),
	// and the blob is named by the algorithm of that digest; otherwise by SHA-256.
	// More than limit bytes are refused (KindExhausted); limit must be positive.
	Put(ctx context.Context, expected towpath.Digest, r io.Reader, limit int64) (towpath.Digest, int64, error)

	// Open reads a blob of the returned size. The reader MUST return an error
	// of KindInternal instead of the last bytes when the content does not have
	// the digest: a caller that reaches io.EOF has read the whole, right blob.
	// What was read before io.EOF must not be acted upon; see [ReadAll] and
	// [OpenVerified].
	Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error)

	// Stat is what the store knows of a blob without reading it.
	Stat(ctx context.Context, d towpath.Digest) (Info, error)

	// Touch makes a blob as young as one that is put now, for a caller that
	// need not put it because it is there. One that is not there is not-found.
	Touch(ctx context.Context, d towpath.Digest, now time.Time) error

	// Delete removes a blob; one that is not there is removed already.
	Delete(ctx context.Context, d towpath.Digest) error

	// DeleteOlder removes a blob unless it was put or touched at or after a
	// time, and reports whether it did.
	DeleteOlder(ctx context.Context, d towpath.Digest, before time.Time) (bool, error)

	// Sweep removes what writers that died before a time left behind, and says
	// how much that was. Nothing in it was ever acknowledged.
	Sweep(ctx context.Context, before time.Time) (int, error)

	// Walk calls visit for every blob in the order of digests until it returns
	// an error, which Walk returns. Blobs put or deleted meanwhile may be seen
	// or not.
	Walk(ctx context.Context, visit func(Info) error) error
}

// Info is a blob as the store lists it.
type Info struct {
	Digest  towpath.Digest
	Size    int64     // bytes
	Written time.Time // when it was last put or touched
}

// ReadAll returns a blob of at most limit bytes after its digest was checked.
func ReadAll(ctx context.Context, s Store, d towpath.Digest, limit int64) (_ []byte, err error) {
	r, size, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, tooLarge("blob.read", limit).On(string(d))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, readError("blob.read", d, err)
	}
	// The check of an empty blob comes with io.EOF.
	if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return nil, readError("blob.read", d, err)
	}
	return b, nil
}

// OpenVerified reads a blob once to check its digest and then opens it, for
// callers that act on bytes as they come. The returned reader checks again.
func OpenVerified(ctx context.Context, s Store, d towpath.Digest) (io.ReadCloser, int64, error) {
	r, _, err := s.Open(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	_, err = io.Copy(io.Discard, r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, 0, readError("blob.open", d, err)
	}
	return s.Open(ctx, d)
}
