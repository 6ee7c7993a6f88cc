package replicate

import (
	"context"
	"errors"
	"hash"
	"io"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// checked reads content and fails, before its last byte, unless it is what a
// descriptor says.
type checked struct {
	ctx  context.Context
	r    io.Reader
	d    v1.Descriptor
	sum  hash.Hash
	left int64
}

func check(ctx context.Context, r io.Reader, d v1.Descriptor) *checked {
	return &checked{ctx: ctx, r: r, d: d, sum: towpath.NewHash(towpath.Digest(d.Digest).Algorithm()), left: d.Size}
}

// Read implements [io.Reader].
func (c *checked) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if c.left == 0 {
		return 0, c.end()
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.left -= int64(n)
	switch {
	case c.left == 0: // the last bytes are held back until all are compared
		if err := c.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, nil
	case err == io.EOF:
		return 0, damaged(c.d, "it has %d bytes too few", c.left)
	}
	return n, err
}

// end is [io.EOF] of content that is right.
func (c *checked) end() error {
	if n, err := io.ReadFull(c.r, make([]byte, 1)); n > 0 {
		return damaged(c.d, "it has more than %d bytes", c.d.Size)
	} else if err != io.EOF {
		return err
	}
	if got := towpath.DigestSum(towpath.Digest(c.d.Digest).Algorithm(), c.sum); got != towpath.Digest(c.d.Digest) {
		return damaged(c.d, "the digest of what is there is %s", got)
	}
	return io.EOF
}

// damaged is content that is not what its name says.
func damaged(d v1.Descriptor, format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindInvalid, "replicate.read", "the content is damaged: "+format, args...).On(string(d.Digest)).
		WithHint("take it from its origin again")
}

// ReadBlob reads a blob of at most limit bytes and compares it.
func ReadBlob(ctx context.Context, src Source, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, exceeded("replicate.read", "the content has more than %d bytes", limit).On(string(d.Digest))
	}
	r, err := src.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(ctx, r, d)
}

// readAll reads something small.
func readAll(ctx context.Context, r io.Reader, d v1.Descriptor) ([]byte, error) {
	return io.ReadAll(check(ctx, r, d))
}

// compare makes sure that bytes are what a descriptor says.
func compare(d v1.Descriptor, b []byte) error {
	if int64(len(b)) != d.Size {
		return damaged(d, "it has %d bytes, not %d", len(b), d.Size)
	}
	h := towpath.NewHash(towpath.Digest(d.Digest).Algorithm())
	h.Write(b)
	if got := towpath.DigestSum(towpath.Digest(d.Digest).Algorithm(), h); got != towpath.Digest(d.Digest) {
		return damaged(d, "the digest of what is there is %s", got)
	}
	return nil
}
