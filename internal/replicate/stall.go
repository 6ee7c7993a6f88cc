package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultStall is for how long a registry may move nothing of a blob: it is also
	// what it has to put a large one together when all of it was sent.
	DefaultStall = 5 * time.Minute
	// DefaultAnswer is how long it may say nothing to a request that has it put
	// nothing together.
	DefaultAnswer = 30 * time.Second
	// quiet is after how long of that people are told.
	quiet = 10 * time.Second
)

// errStalled ends a request of which nothing moves any more.
var errStalled = errors.New("nothing moves")

// patient ends requests to a registry that takes the connection and then says
// nothing, which would hold up whoever asks for as long as it likes.
type patient struct {
	next          http.RoundTripper
	answer, stall time.Duration
	waits         func(Wait)
}

// RoundTrip implements [http.RoundTripper].
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	limit := p.answer
	if ofBlob(req) {
		limit = p.stall
	}
	host := req.URL.Host
	watch := newStallWatch(ctx, limit, func() { cancel(errStalled) }, func(most time.Duration) {
		p.waits(Wait{Host: host, Silent: quiet, Most: most})
	})
	req = req.Clone(ctx)
	body := &sending{ReadCloser: req.Body, watch: watch}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = body
	}
	resp, err := p.next.RoundTrip(req)
	body.answered()
	if err != nil {
		cancel(nil)
		return nil, watch.explained(err)
	}
	watch.limit.Store(int64(p.stall))
	resp.Body = &receiving{resp.Body, watch, cancel}
	return resp, nil
}

// ofBlob reports whether a request has a registry take a blob, or put it together:
// that may take long after all of it was sent.
func ofBlob(req *http.Request) bool {
	upload := strings.Contains(req.URL.Path, "/blobs/uploads/")
	return upload && (req.Method != http.MethodPost || req.URL.RawQuery != "")
}

// stallWatch is the clock of one request.
type stallWatch struct {
	limit atomic.Int64 // a [time.Duration]
	ctx   context.Context
	timer *time.Timer // until it is given up
	hush  *time.Timer // until people are told
}

// newStallWatch starts the clock: silent is told the limit.
func newStallWatch(ctx context.Context, limit time.Duration, stalled func(), silent func(time.Duration)) *stallWatch {
	w := &stallWatch{ctx: ctx, timer: time.AfterFunc(limit, stalled)}
	w.limit.Store(int64(limit))
	w.hush = time.AfterFunc(quiet, func() {
		if most := w.most(); most > quiet {
			silent(most)
		}
	})
	return w
}

func (w *stallWatch) most() time.Duration { return time.Duration(w.limit.Load()) }

// rest stops the clock: nobody waits for the registry.
func (w *stallWatch) rest() {
	w.timer.Stop()
	w.hush.Stop()
}

// begin starts the clock again.
func (w *stallWatch) begin() {
	w.timer.Reset(w.most())
	w.hush.Reset(quiet)
}

// explained is the error of a request, which nobody cancelled if it has stalled.
func (w *stallWatch) explained(err error) error {
	if err == nil || errors.Is(err, io.EOF) || !errors.Is(context.Cause(w.ctx), errStalled) {
		return err
	}
	return fmt.Errorf("%w for %s", errStalled, w.most())
}

// sending is the body of a request: that it is read says that it goes on, until
// there is an answer. The client may read on after that.
type sending struct {
	io.ReadCloser
	watch *stallWatch
	mu    sync.Mutex
	over  bool // guarded by mu
}

// Read implements [io.Reader]. The time that our own side takes is not the
// registry's.
func (s *sending) Read(p []byte) (int, error) {
	s.unanswered((*stallWatch).rest)
	n, err := s.ReadCloser.Read(p)
	s.unanswered((*stallWatch).begin)
	return n, err
}

// unanswered does f while there is no answer.
func (s *sending) unanswered(f func(*stallWatch)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		f(s.watch)
	}
}

// answered stops the clock: what is read of the request now says nothing.
func (s *sending) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.watch.rest()
}

// receiving is the body of an answer. Nobody waits for it but while reading.
type receiving struct {
	io.ReadCloser
	watch  *stallWatch
	cancel context.CancelCauseFunc
}

// Read implements [io.Reader].
func (r *receiving) Read(p []byte) (int, error) {
	r.watch.begin()
	n, err := r.ReadCloser.Read(p)
	r.watch.rest()
	return n, r.watch.explained(err)
}

// Close implements [io.Closer].
func (r *receiving) Close() error {
	err := r.ReadCloser.Close()
	r.watch.rest()
	r.cancel(nil)
	return err
}
