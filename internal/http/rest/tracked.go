package rest

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/towpath/towpath/internal/towpath"
)

// tracked remembers the status that was sent; 0 is none yet.
type tracked struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (t *tracked) WriteHeader(status int) {
	if t.status == 0 && status >= http.StatusOK {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (t *tracked) Write(b []byte) (int, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	return t.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// recovered answers a panic of a handler; when the answer has begun it cuts the
// connection, so that the client does not take half an answer for a whole one.
func (r *router) recovered(t *tracked, req *http.Request, p any) {
	r.cfg.Log.ErrorContext(req.Context(), "a handler panicked", slog.String("request", requestID(req.Context())),
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if t.status != 0 {
		panic(http.ErrAbortHandler)
	}
	r.fail(t, req, towpath.E(towpath.KindInternal, "rest.serve", "internal error").
		WithHint("the server's log has the cause under this request's ID").WithCause(fmt.Errorf("panic: %v", p)))
}
