package ocidist

import (
	"io"
	"net/http"
	"time"
)

// pace ends a request whose client sends nothing for a while; how long it takes
// as a whole does not matter: blobs are large. A deadline holds only while the
// body is read: left behind, one for reading would end the work that follows,
// and one for writing the next request.
func (h *Handler) pace(w http.ResponseWriter, req *http.Request) (end func()) {
	control := http.NewResponseController(w)
	// Errors are of writers without deadlines, which tests have.
	set := func(at time.Time) { _ = control.SetReadDeadline(at) }
	req.Body = &paced{body: req.Body, begin: func() { set(h.cfg.Now().Add(h.cfg.Idle)) }, end: func() { set(time.Time{}) }}
	end = func() { _ = control.SetWriteDeadline(time.Time{}) }
	end()
	return end
}

type paced struct {
	body       io.ReadCloser
	begin, end func()
}

// Read implements [io.Reader].
func (p *paced) Read(b []byte) (int, error) {
	p.begin()
	defer p.end()
	return p.body.Read(b)
}

// Close implements [io.Closer].
func (p *paced) Close() error { return p.body.Close() }

// pacedWriter is the same for what a client takes.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
	idle    time.Duration
}

func (h *Handler) pacedWriter(w http.ResponseWriter) *pacedWriter {
	return &pacedWriter{w: w, control: http.NewResponseController(w), now: h.cfg.Now, idle: h.cfg.Idle}
}

// Write implements [io.Writer].
func (p *pacedWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(p.now().Add(p.idle)) // likewise
	return p.w.Write(b)
}
