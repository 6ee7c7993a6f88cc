package replicate

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/towpath/towpath/internal/towpath"
)

// heard is what a registry said beside its answers, while something was asked.
type heard struct{ after time.Duration }

type heardKey struct{}

// hearing notes when a registry says to come back later.
type hearing struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (h *hearing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := h.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if said, ok := req.Context().Value(heardKey{}).(*heard); ok {
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
			said.after = time.Duration(min(s, int(maxWait/time.Second))) * time.Second
		}
	}
	return resp, nil
}

// do asks the registry something, and explains its failure.
func (r *Remote) do(ctx context.Context, f func(context.Context) error) error {
	said := &heard{}
	err := f(context.WithValue(ctx, heardKey{}, said))
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return r.failed(err, said.after)
}

// failed sorts what may go better later from what won't. What a registry says
// is not repeated: it may say anything.
func (r *Remote) failed(err error, after time.Duration) error {
	const op = "replicate.remote"
	var known *towpath.Error
	var answer *errcode.ErrorResponse
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	var noTLS tls.RecordHeaderError
	hint := "try again later: what was copied is not copied again"
	later := func(format string, args ...any) error {
		return towpath.E(towpath.KindUnavailable, op, format, args...).On(r.Host()).WithCause(busy{err, after}).WithHint("%s", hint)
	}
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &answer):
		return r.answered(answer, later)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return r.stranger(err)
	case errors.Is(err, errdef.ErrNotFound):
		return towpath.E(towpath.KindNotFound, op, "the registry does not have it").On(r.Host() + "/" + r.Name()).WithCause(err)
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return towpath.E(towpath.KindInvalid, op, "there is no such host").On(r.Host()).WithCause(err).WithHint("check the name of the registry")
	case errors.As(err, &untrusted):
		return towpath.E(towpath.KindInvalid, op, "the registry's certificate is not trusted here").On(r.Host()).WithCause(err).
			WithHint("install its authority's certificate on this machine")
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &noTLS):
		// Where only the message is kept, as of a rule, it says what to do too.
		return towpath.E(towpath.KindInvalid, op, "the registry speaks no TLS, and was not named with --plain-http").On(r.Host()).WithCause(err).
			WithHint("give --plain-http if it is meant to have none (of a rule: remove it and add it again)")
	case network(err):
		if !r.repo.PlainHTTP { // some that have no TLS hang up on it
			hint += "; if it is meant to have no TLS, give --plain-http"
		}
		return later("the registry does not answer")
	}
	return towpath.E(towpath.KindInvalid, op, "the registry did something that registries don't").On(r.Host()).WithCause(err).
		WithHint("look at what its maker says about OCI distribution 1.1")
}

// answered explains an answer that is no success.
func (r *Remote) answered(answer *errcode.ErrorResponse, later func(string, ...any) error) error {
	const op = "replicate.remote"
	where := r.Host() + "/" + r.Name()
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized:
		return r.stranger(answer)
	case code == http.StatusForbidden:
		return towpath.E(towpath.KindForbidden, op, "the registry refuses").On(where).WithCause(answer).
			WithHint("it needs an account that may pull there, and push to write")
	case code == http.StatusNotFound:
		return towpath.E(towpath.KindNotFound, op, "the registry does not have it").On(where).WithCause(answer).
			WithHint("some registries want the repository to be made first")
	case code == http.StatusConflict:
		return towpath.E(towpath.KindConflict, op, "the registry keeps what it has").On(where).WithCause(answer).
			WithHint("the tag may not move there: choose another")
	case code == http.StatusRequestEntityTooLarge:
		return towpath.E(towpath.KindExhausted, op, "the registry refuses something so large").On(where).WithCause(answer).
			WithHint("raise its limit")
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500 && code != http.StatusNotImplemented:
		return later("the registry answered %d", code)
	}
	return towpath.E(towpath.KindInvalid, op, "the registry answered %d", answer.StatusCode).On(where).WithCause(answer).
		WithHint("it may not speak OCI distribution 1.1")
}

// stranger is the error of who is not logged in.
func (r *Remote) stranger(err error) error {
	return towpath.E(towpath.KindUnauthenticated, "replicate.remote", "the registry does not know who asks").On(r.Host() + "/" + r.Name()).WithCause(err).
		WithHint("log in with docker login or oras login, or give --username and --password-stdin")
}

// network reports whether an error is one of a connection.
func network(err error) bool {
	var op net.Error
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, errStalled)
}
