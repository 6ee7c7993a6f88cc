package router

import (
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
	left    int64 // bytes; negative: no bound
	touched bool  // it was read from, and can't be sent again
	ended   bool  // it was read to its end
	done    bool  // the exchange is over
	problem error // why it broke off
}

var (
	errTooLarge = errors.New("the body is larger than the route allows")
	errStalled  = errors.New("the body stopped coming")
)

// guard puts a request's body under its limits.
func (x *exchange) guard(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return
	}
	limit := orDefault(x.plan.traffic.Limits.MaxBody, route.DefaultMaxBody)
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		_ = rc.EnableFullDuplex() // an instance may answer while the client still sends
	}
	x.body = &body{from: r.Body, x: x, readBy: rc.SetReadDeadline, left: limit}
	r.Body = x.body
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
	b.touched = true
	_ = b.readBy(b.x.shared.now().Add(b.x.stall))
	return nil
}

func (b *body) end(p []byte, n int, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
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

// finish ends the body with its exchange, and not later: the server must not
// find anybody reading it. What is left is read and dropped, for as long as the
// client may stall; it has its answer by then.
func (b *body) finish() {
	if b == nil || !b.finishing() {
		return
	}
	if b.x.status > 0 {
		_ = b.x.FlushError()
	}
	_ = b.readBy(b.x.shared.now().Add(b.x.stall))
	_ = b.from.Close()
	_ = b.readBy(time.Time{})
}

// finishing marks the end and reports whether something may be left.
func (b *body) finishing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.x.copy.giveUp()
	return !b.ended
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
