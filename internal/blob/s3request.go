package blob

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// retry does something until it succeeds or trying again is of no use. All
// requests go through it, and the library repeats none.
func (s *S3) retry(ctx context.Context, do func() error) error {
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := do()
		if err == nil || try >= s.cfg.Tries || !s.passing(ctx, err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)):
			wait = min(2*wait, 2*time.Second)
		}
	}
}

// passing reports whether the same request may succeed later: it was cut off,
// or damaged on its way, or the service is at its limits.
func (s *S3) passing(ctx context.Context, err error) bool {
	var r minio.ErrorResponse
	var cert *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil || errors.As(err, &cert):
		return false
	case !errors.As(err, &r):
		return true
	}
	switch r.Code {
	case "RequestTimeout", "IncompleteBody", "XAmzContentSHA256Mismatch", "BadDigest",
		// These may come with status 200: what takes long has begun to answer by then.
		"InternalError", "ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite":
		return true
	case "AuthorizationHeaderMalformed", minio.InvalidRegion:
		return r.Region != "" && s.cfg.Region == "" // the library has found out now
	}
	switch r.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// head looks at an object.
func (s *S3) head(ctx context.Context, key string) (o minio.ObjectInfo, err error) {
	err = s.retry(ctx, func() (err error) {
		o, err = s.client.StatObject(ctx, s.cfg.Bucket, key, minio.StatObjectOptions{})
		return err
	})
	return o, err
}

// get begins to read an object.
func (s *S3) get(ctx context.Context, key string, opts minio.GetObjectOptions) (body io.ReadCloser, o minio.ObjectInfo, header http.Header, err error) {
	err = s.retry(ctx, func() (err error) {
		body, o, header, err = s.client.GetObject(ctx, s.cfg.Bucket, key, opts)
		return err
	})
	return body, o, header, err
}

// remove removes an object; one that is not there is removed already.
func (s *S3) remove(ctx context.Context, key string) error {
	err := s.retry(ctx, func() error {
		return s.client.RemoveObject(ctx, s.cfg.Bucket, key, minio.RemoveObjectOptions{})
	})
	if missing(err) {
		return nil
	}
	return err
}

// abort gives an upload in parts up; one that is not there is given up already.
func (s *S3) abort(ctx context.Context, key, id string) error {
	err := s.retry(ctx, func() error { return s.client.AbortMultipartUpload(ctx, s.cfg.Bucket, key, id) })
	if missing(err) {
		return nil
	}
	return err
}

// emptySum is the SHA-256 of no bytes.
var emptySum = sha256.New().Sum(nil)

// write writes an object in one request, which the service refuses when the
// bytes that arrive have not the sum. It is sent again as often as need be:
// that changes nothing.
func (s *S3) write(ctx context.Context, key string, content io.ReaderAt, size int64, sum []byte, condition func(*minio.PutObjectOptions)) error {
	o := minio.PutObjectOptions{
		UserMetadata:         map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum)},
		DisableContentSha256: true, // of each chunk: the whole has its sum
	}
	if condition != nil {
		condition(&o)
	}
	return s.retry(ctx, func() error {
		_, err := s.client.PutObject(ctx, s.cfg.Bucket, key, body(content, 0, size), size, "", hex.EncodeToString(sum), o)
		return err
	})
}

// body is a part of a content for one request. The library could rewind it and
// send it again, perhaps while a connection that was given up still reads it;
// so it can't be rewound, and each request has one of its own.
func body(content io.ReaderAt, from, n int64) io.Reader {
	return struct{ io.Reader }{io.NewSectionReader(content, from, n)}
}

// etagKey is where a request's context has the ETag that it depends on.
type etagKey struct{}

// ifMatch makes the requests of a context depend on an ETag. The library can't
// say that of a removal.
func ifMatch(ctx context.Context, etag string) context.Context {
	return context.WithValue(ctx, etagKey{}, etag)
}

// conditional adds the ETag that requests depend on. They are signed by then,
// which signs nothing but what was there.
type conditional struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (c conditional) RoundTrip(r *http.Request) (*http.Response, error) {
	if etag, ok := r.Context().Value(etagKey{}).(string); ok {
		r = r.Clone(r.Context())
		r.Header.Set("If-Match", `"`+etag+`"`)
	}
	return c.next.RoundTrip(r)
}
