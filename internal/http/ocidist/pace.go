package ocidist

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// pace ends a request whose client sends or takes nothing for a while; how long it
// takes as a whole does not matter: blobs are large. A deadline holds only while
// the body is read or the answer is written: left behind, one for reading would end
// the work that follows. What the server does after end has one too: over HTTP/1.1
// it reads what nobody read of the body before it sends an answer.
func (h *Handler) pace(w http.ResponseWriter, req *http.Request) (_ http.ResponseWriter, end func()) {
	p := &pace{control: http.NewResponseController(w), now: h.cfg.Now, idle: h.cfg.Idle}
	p.whole.Store(req.Body == nil || req.Body == http.NoBody)
	req.Body = &pacedReader{req.Body, p}
	p.writeBy(time.Time{})
	return &pacedWriter{w, p}, p.last
}

// pace is what the body and the answer of a request share.
type pace struct {
	control *http.ResponseController
	now     func() time.Time
	idle    time.Duration
	whole   atomic.Bool // the body was read to its end
}

// Errors are of writers without deadlines, which tests have.
func (p *pace) readBy(until time.Time)  { _ = p.control.SetReadDeadline(until) }
func (p *pace) writeBy(until time.Time) { _ = p.control.SetWriteDeadline(until) }

// last sets the deadlines of reading what is left of the body and of writing
// something then.
func (p *pace) last() {
	now := p.now()
	p.readBy(now.Add(p.idle))
	p.writeBy(now.Add(2 * p.idle))
}

type pacedReader struct {
	io.ReadCloser
	*pace
}

// Read implements [io.Reader].
func (p *pacedReader) Read(b []byte) (int, error) {
	p.readBy(p.now().Add(p.idle))
	defer p.readBy(time.Time{})
	n, err := p.ReadCloser.Read(b)
	if err == io.EOF {
		p.whole.Store(true)
	}
	return n, err
}

type pacedWriter struct {
	http.ResponseWriter
	*pace
}

// Write implements [io.Writer]. The first one may read the rest of the body.
func (p *pacedWriter) Write(b []byte) (int, error) {
	if p.whole.Load() {
		p.writeBy(p.now().Add(p.idle))
	} else {
		p.last()
		defer p.readBy(time.Time{})
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
