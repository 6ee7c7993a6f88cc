package ocidist

import (
	"io"
	"net/http"
	"time"
)

// pace ends a request whose client sends nothing for a while; how long it takes
// as a whole does not matter: blobs are large. A deadline for writing outlives
// its request: so there is none when a request begins and when it has ended.
func (h *Handler) pace(w http.ResponseWriter, req *http.Request) (end func()) {
	control := http.NewResponseController(w)
	p := &paced{body: req.Body, extend: func() { _ = control.SetReadDeadline(h.cfg.Now().Add(h.cfg.Idle)) }} // tests have writers without deadlines
	p.extend()
	req.Body = p
	end = func() { _ = control.SetWriteDeadline(time.Time{}) } // likewise
	end()
	return end
}

type paced struct {
	body   io.ReadCloser
	extend func()
}

// Read implements [io.Reader].
func (p *paced) Read(b []byte) (int, error) {
	p.extend()
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
	_ = p.control.SetWriteDeadline(p.now().Add(p.idle)) // tests have writers without deadlines
	return p.w.Write(b)
}
