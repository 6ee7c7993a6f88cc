package agentrpc

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/towpath/towpath/internal/towpath"
)

// problem is an error on the wire (RFC 9457). It carries what is public of a
// [towpath.Error], so that the client makes the same kind of error of it.
type problem struct {
	Title   string            `json:"title"`
	Status  int               `json:"status"`
	Detail  string            `json:"detail"`
	Kind    towpath.Kind      `json:"kind"`
	Subject string            `json:"subject,omitempty"`
	Hint    string            `json:"hint,omitempty"`
	Fields  map[string]string `json:"fields,omitempty"`
}

// statuses is the HTTP status of each kind of error.
var statuses = map[towpath.Kind]int{
	towpath.KindInvalid:         http.StatusBadRequest,
	towpath.KindUnauthenticated: http.StatusUnauthorized,
	towpath.KindForbidden:       http.StatusForbidden,
	towpath.KindNotFound:        http.StatusNotFound,
	towpath.KindConflict:        http.StatusConflict,
	towpath.KindLocked:          http.StatusLocked,
	towpath.KindDenied:          http.StatusPreconditionFailed,
	towpath.KindExhausted:       http.StatusTooManyRequests,
	towpath.KindUnavailable:     http.StatusServiceUnavailable,
	towpath.KindInternal:        http.StatusInternalServerError,
}

func writeProblem(w http.ResponseWriter, err error) {
	kind := towpath.KindOf(err)
	status, ok := statuses[kind]
	if !ok {
		kind, status = towpath.KindInternal, http.StatusInternalServerError
	}
	p := problem{Title: http.StatusText(status), Status: status, Kind: kind}
	if e, ok := asError(err); ok {
		p.Detail, p.Subject, p.Hint, p.Fields = e.Message, e.Subject, e.Hint, e.Fields
	} else {
		p.Detail, p.Hint = towpath.PublicMessage(err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the connection is gone; the client retries
}

// readProblem turns an answer that is not a success back into an error of the
// kind that the server gave. An answer that is no problem+json came from
// something in between: its status decides.
func readProblem(op string, resp *http.Response) error {
	var p problem
	err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p)
	if _, known := statuses[p.Kind]; err == nil && known {
		return &towpath.Error{Kind: p.Kind, Op: op, Subject: p.Subject, Message: p.Detail, Hint: p.Hint, Fields: p.Fields}
	}
	kind := towpath.KindInternal
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		kind = towpath.KindUnauthenticated
	case http.StatusForbidden:
		kind = towpath.KindForbidden
	case http.StatusNotFound:
		kind = towpath.KindNotFound
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		kind = towpath.KindUnavailable
	}
	return towpath.E(kind, op, "the server answered %s", resp.Status).
		WithHint("check that the server's URL is Towpath's and what stands between it and the agent")
}
