package blob

import (
	"context"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/towpath"
)

// s3Resumes is how often a reader goes on, after broken connections that did
// not yield a byte.
const s3Resumes = 5

// s3Reader reads an object, over as many connections as it takes.
type s3Reader struct {
	ctx   context.Context
	store *S3
	op    string
	key   string
	seen  minio.ObjectInfo // when it was opened
	size  int64
	at    int64         // bytes read
	body  io.ReadCloser // nil: there is no connection
	idle  int           // connections since the last byte
}

// read opens an object. Its reader yields exactly the bytes of the size, of the
// one content that was there when it was opened, or an error.
func (s *S3) read(ctx context.Context, op, key string) (*s3Reader, int64, error) {
	body, o, _, err := s.get(ctx, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, s.fail(op, key+" can't be read", err)
	}
	return &s3Reader{ctx: ctx, store: s, op: op, key: key, seen: o, size: o.Size, body: body}, o.Size, nil
}

// Read reads on.
func (r *s3Reader) Read(p []byte) (int, error) {
	for {
		switch {
		case r.at == r.size:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.body == nil {
			if err := r.resume(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.at)])
		if r.at += int64(n); n > 0 {
			r.idle = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		_ = r.Close() // it is broken
		if r.idle++; r.idle > s3Resumes {
			return 0, r.store.fail(r.op, r.key+" can't be read: the connection breaks again and again", err)
		}
	}
}

// resume asks for the rest.
func (r *s3Reader) resume() error {
	var o minio.GetObjectOptions
	err := o.SetRange(r.at, 0)
	if err == nil {
		err = o.SetMatchETag(r.seen.ETag)
	}
	if r.at == 0 { // a range that begins at 0 is the first byte alone
		o = minio.GetObjectOptions{}
		err = o.SetMatchETag(r.seen.ETag)
	}
	var header http.Header
	if err == nil {
		r.body, _, header, err = r.store.get(r.ctx, r.key, o)
	}
	switch {
	case failedPrecondition(err):
		return towpath.E(towpath.KindUnavailable, r.op, "%s was written anew while it was read", r.key).WithHint("read it again").WithCause(err)
	case err != nil:
		return r.store.fail(r.op, r.key+" can't be read", err)
	case r.at > 0 && header.Get("Content-Range") == "":
		_ = r.Close() // it would begin from the start
		return towpath.E(towpath.KindUnavailable, r.op, "the object store does not read on where a connection broke").WithHint("read it again")
	}
	return nil
}

// Close closes the connection.
func (r *s3Reader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}
