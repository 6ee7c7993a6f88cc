package router

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

const defaultStall = route.DefaultStall

// body is what a client sends: bounded, and given up when it stops coming. It
// outlives neither its request nor, since closing it does nothing, an attempt
// that came to nothing.
type body struct {
	from   io.ReadCloser
	x      *exchange
	readBy func(time.Time) error // sets the deadline of reading

	mu      sync.Mutex
	left    int64     // bytes; negative: no bound
	reading bool      // the client is waited for
	came    time.Time // the last that came of it
	touched bool      // it was read from, and can't be sent again
	ended   bool      // it was read to its end
	done    bool      // the exchange is over
	problem error     // why it broke off
}

var (
	errTooLarge = errors.New("the body is larger than the route allows")
	errStalled  = errors.New("the body stopped coming")
)

// guard is the request with its exchange, its body under the route's limits.
// The server's own request stays as it is: by its body the server knows whether
// the connection can carry another one.
func (x *exchange) guard(r *http.Request) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return r
	}
	limit := orDefault(x.plan.traffic.Limits.MaxBody, route.DefaultMaxBody)
	rc := http.NewResponseController(x.ResponseWriter)
	x.body = &body{from: r.Body, x: x, readBy: rc.SetReadDeadline, left: limit}
	r.Body = x.body
	return r
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	return b.end(p, n, err)
}

func (b *body) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return http.ErrBodyReadAfterClose
	}
	if b.problem != nil {
		return b.problem
	}
	if b.ended {
		return io.EOF
	}
	b.touched, b.reading = true, true
	_ = b.readBy(b.x.shared.now().Add(b.x.stall))
	return nil
}

func (b *body) end(p []byte, n int, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if n > 0 || !errors.Is(err, io.EOF) { // to learn that there is no more takes no time of the client's
		b.came = b.x.shared.now()
	}
	if b.done {
		return 0, http.ErrBodyReadAfterClose
	}
	_ = b.readBy(time.Time{})
	if b.left >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.problem = errTooLarge
			return 0, b.problem
		}
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.problem, err = errStalled, errStalled
	case errors.Is(err, io.EOF):
		b.ended = true
	case err != nil:
		b.problem = err
	}
	if b.x.copy != nil {
		b.x.copy.add(p[:n], err)
	}
	return n, err
}

// Close implements [io.Closer] and leaves closing to the exchange.
func (b *body) Close() error { return nil }

// closeLinger is how long what a client still sends is read and dropped after
// its answer, so that the answer is not lost with the connection.
const closeLinger = 500 * time.Millisecond

// finish ends the body with its exchange, and not later: the server must not
// find anybody reading it.
func (b *body) finish() {
	if b == nil || !b.finishing() || b.x.status == http.StatusSwitchingProtocols {
		return
	}
	if b.x.http2 {
		_ = b.from.Close()
		return
	}
	if b.x.status > 0 {
		_ = b.x.FlushError()
	}
	_ = b.readBy(b.x.shared.now().Add(closeLinger))
	_ = b.from.Close()
}

// finishing marks the end and reports whether something may be left.
func (b *body) finishing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.x.copy.giveUp()
	return !b.ended
}

// open reports whether some of the body is to come.
func (b *body) open() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended
}

// moved is when the last of the body came, or that the client is waited for to
// send more.
func (b *body) moved() (came time.Time, client bool) {
	if b == nil {
		return time.Time{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.came, b.reading
}

// state says whether the body was read from, and why it broke off.
func (b *body) state() (touched bool, problem error) {
	if b == nil {
		return false, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.touched, b.problem
}

func orDefault[T int64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
