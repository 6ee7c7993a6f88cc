package agentrpc

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/towpath/towpath/internal/towpath"
)

// verifier passes a blob's bytes on and compares their digest at the end.
type verifier struct {
	body io.ReadCloser
	want towpath.Digest
	sum  hash.Hash
}

func newVerifier(body io.ReadCloser, want towpath.Digest) *verifier {
	return &verifier{body: body, want: want, sum: sha256.New()}
}

// Read reads; the end of a blob with other bytes than promised is an error.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.body.Read(p)
	v.sum.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, towpath.E(towpath.KindUnavailable, "agent.blob", "the blob broke off").On(string(v.want)).WithCause(err)
	}
	if got := towpath.DigestFrom(v.sum.Sum(nil)); got != v.want {
		return n, towpath.E(towpath.KindConflict, "agent.blob", "the server sent other bytes than asked for: %s", got).On(string(v.want)).
			WithHint("the server's store is damaged, or something in between changes what it sends")
	}
	return n, io.EOF
}

// Close closes the connection's body.
func (v *verifier) Close() error { return v.body.Close() }
