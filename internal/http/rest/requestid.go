package rest

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type requestIDKey struct{}

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// acceptRequestID is the client's request ID when it is harmless in logs,
// otherwise a new one.
func acceptRequestID(req *http.Request, now func() time.Time) string {
	if id := req.Header.Get(api.HeaderRequestID); requestIDPattern.MatchString(id) {
		return id
	}
	return towpath.NewID[string]("req", now())
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// setHeaders: answers are for programs that hold a token. Nothing may frame,
// sniff, cache or read them across origins.
func setHeaders(w http.ResponseWriter, id string) {
	h := w.Header()
	h.Set(api.HeaderRequestID, id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
