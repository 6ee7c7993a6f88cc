package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// DefaultStall is for how long a registry may move nothing: it is also what it
// has to put a large blob together when all of it was sent.
const DefaultStall = 5 * time.Minute

// errStalled ends a request of which nothing moves any more.
var errStalled = errors.New("nothing moves")

// patient ends requests to a registry that takes the connection and then says
// nothing, which would hold up whoever asks for as long as it likes.
type patient struct {
	next  http.RoundTripper
	stall time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := &stallWatch{stall: p.stall, ctx: ctx, timer: time.AfterFunc(p.stall, func() { cancel(errStalled) })}
	req = req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sending{req.Body, watch}
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		watch.timer.Stop()
		cancel(nil)
		return nil, watch.explained(err)
	}
	watch.timer.Stop()
	resp.Body = &receiving{resp.Body, watch, cancel}
	return resp, nil
}

// stallWatch is the clock of one request.
type stallWatch struct {
	stall time.Duration
	ctx   context.Context
	timer *time.Timer
}

// explained is the error of a request, which nobody cancelled if it has stalled.
func (w *stallWatch) explained(err error) error {
	if err == nil || errors.Is(err, io.EOF) || !errors.Is(context.Cause(w.ctx), errStalled) {
		return err
	}
	return fmt.Errorf("%w for %s", errStalled, w.stall)
}

// sending is the body of a request: that it is read says that it goes on.
type sending struct {
	io.ReadCloser
	watch *stallWatch
}

// Read implements [io.Reader]. The time that our own side takes is not the
// registry's.
func (s *sending) Read(p []byte) (int, error) {
	s.watch.timer.Stop()
	n, err := s.ReadCloser.Read(p)
	s.watch.timer.Reset(s.watch.stall)
	return n, err
}

// receiving is the body of an answer. Nobody waits for it but while reading.
type receiving struct {
	io.ReadCloser
	watch  *stallWatch
	cancel context.CancelCauseFunc
}

// Read implements [io.Reader].
func (r *receiving) Read(p []byte) (int, error) {
	r.watch.timer.Reset(r.watch.stall)
	n, err := r.ReadCloser.Read(p)
	r.watch.timer.Stop()
	return n, r.watch.explained(err)
}

// Close implements [io.Closer].
func (r *receiving) Close() error {
	err := r.ReadCloser.Close()
	r.watch.timer.Stop()
	r.cancel(nil)
	return err
}
