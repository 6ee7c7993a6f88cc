package ocidist

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// restMost is how much of a body that nobody read is read before the answer, in
// bytes, so that the connection can be used again. [net/http] has the same bound.
const restMost = 256 << 10

// pace ends a request whose client sends or takes nothing for a while; how long it
// takes as a whole does not matter: blobs are large. A deadline holds only while
// the body is read or the answer is written: left behind, one for reading would end
// the work that follows. What the server does after end has one too.
//
// The request is a copy: by the body that it made, the server knows whether a client
// still waits to be told that it may send one.
func (h *Handler) pace(w http.ResponseWriter, req *http.Request) (_ http.ResponseWriter, paced *http.Request, end func()) {
	p := &pace{control: http.NewResponseController(w), now: h.cfg.Now, idle: h.cfg.Idle}
	p.writeBy(time.Time{})
	paced = req.WithContext(req.Context())
	body := &pacedReader{ReadCloser: req.Body, pace: p}
	paced.Body = body
	return &pacedWriter{ResponseWriter: w, pace: p, rest: sync.OnceFunc(func() { body.rest(w.Header(), req) })}, paced, p.last
}

// pace is what the body and the answer of a request share.
type pace struct {
	control *http.ResponseController
	now     func() time.Time
	idle    time.Duration
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
	began, whole atomic.Bool // something of the body was asked for; it was read to its end
}

// Read implements [io.Reader].
func (p *pacedReader) Read(b []byte) (int, error) {
	p.began.Store(true)
	p.readBy(p.now().Add(p.idle))
	defer p.readBy(time.Time{})
	n, err := p.ReadCloser.Read(b)
	if err == io.EOF {
		p.whole.Store(true)
	}
	return n, err
}

// rest reads what nobody read of the body. Over HTTP/1.1 the server would do so while
// it writes the answer. As soon as a body is whole it waits for the first byte of the
// next request, by the same deadline: a client that takes an answer slowly would
// lose it. What isn't whole then must not be taken for a request, so the connection
// ends with the answer. So it does, and the server sees to that, when the client
// waits to be told that it may send the body.
func (p *pacedReader) rest(answer http.Header, req *http.Request) {
	if req.ProtoMajor != 1 || req.Body == nil || req.Body == http.NoBody || p.whole.Load() {
		return
	}
	if req.Header.Get("Expect") != "" && !p.began.Load() {
		return
	}
	if _, err := io.CopyN(io.Discard, p, restMost+1); !errors.Is(err, io.EOF) {
		answer.Set("Connection", "close")
	}
}

type pacedWriter struct {
	http.ResponseWriter
	*pace
	rest func() // once, before anything is answered
}

// WriteHeader implements [http.ResponseWriter].
func (p *pacedWriter) WriteHeader(status int) {
	p.rest()
	p.ResponseWriter.WriteHeader(status)
}

// Write implements [io.Writer].
func (p *pacedWriter) Write(b []byte) (int, error) {
	p.rest()
	p.writeBy(p.now().Add(p.idle))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
