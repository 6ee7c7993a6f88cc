package agentrpc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Limits of what the two sides read, in bytes.
const (
	maxRequest  = 8 << 20
	maxResponse = 64 << 20
	maxProblem  = 1 << 20
)

// handler serves the calls under /agent/v1/.
type handler struct {
	srv          Server
	authenticate func(*http.Request) (towpath.Actor, error)
	log          *slog.Logger
}

// NewHandler serves the protocol under /agent/v1/. It authenticates each
// request and leaves it to srv to authorise the actor.
func NewHandler(srv Server, authenticate func(*http.Request) (towpath.Actor, error), logger *slog.Logger) http.Handler {
	h := &handler{srv: srv, authenticate: authenticate, log: logger}
	mux := http.NewServeMux()
	handle(h, mux, "hello", srv.Hello)
	handle(h, mux, "claim", h.claim)
	handle(h, mux, "renew", srv.Renew)
	handle(h, mux, "report", func(ctx context.Context, a towpath.Actor, req ReportRequest) (struct{}, error) {
		return struct{}{}, srv.Report(ctx, a, req)
	})
	handle(h, mux, "finish", srv.Finish)
	handle(h, mux, "observe", func(ctx context.Context, a towpath.Actor, req ObserveRequest) (struct{}, error) {
		return struct{}{}, srv.Observe(ctx, a, req)
	})
	handle(h, mux, "count", func(ctx context.Context, a towpath.Actor, req CountRequest) (struct{}, error) {
		return struct{}{}, srv.Count(ctx, a, req)
	})
	handle(h, mux, "sample", func(ctx context.Context, a towpath.Actor, req SampleRequest) (struct{}, error) {
		return struct{}{}, srv.Sample(ctx, a, req)
	})
	mux.HandleFunc("GET "+prefix+"blobs/{digest}", h.blob)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, towpath.E(towpath.KindNotFound, "agent.route", "the agent protocol has no such call").On(r.URL.Path).
			WithHint("server and agent may be of different versions"))
	})
	return mux
}

const prefix = "/agent/v1/"

// handle serves one call: authenticate, decode within the limit, call, encode.
func handle[Req, Resp any](h *handler, mux *http.ServeMux, name string, call func(context.Context, towpath.Actor, Req) (Resp, error)) {
	mux.HandleFunc("POST "+prefix+name, func(w http.ResponseWriter, r *http.Request) {
		actor, err := h.authenticate(r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		var req Req
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		if err := dec.Decode(&req); err != nil {
			h.fail(w, r, badBody(name, err))
			return
		}
		// A long poll outlasts the listener's ordinary write deadline.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		resp, err := call(r.Context(), actor, req)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(resp); err != nil {
			h.log.DebugContext(r.Context(), "answer not delivered to the agent", "call", name, "error", err)
		}
	})
}

func badBody(name string, err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return towpath.E(towpath.KindExhausted, "agent."+name, "the request is larger than %d bytes", tooLarge.Limit)
	}
	return towpath.E(towpath.KindInvalid, "agent."+name, "the request is not the JSON of this call").WithCause(err).
		WithHint("server and agent may be of different versions")
}

func (h *handler) claim(ctx context.Context, actor towpath.Actor, req ClaimRequest) (ClaimResponse, error) {
	req.Wait = min(max(req.Wait, 0), MaxWait)
	req.Max = max(req.Max, 1)
	ops, err := h.srv.Claim(ctx, actor, req)
	return ClaimResponse{Operations: ops}, err
}

func (h *handler) blob(w http.ResponseWriter, r *http.Request) {
	actor, err := h.authenticate(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	digest, err := towpath.ParseDigest(r.PathValue("digest"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	body, size, err := h.srv.OpenBlob(r.Context(), actor, digest)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer body.Close()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if _, err := io.Copy(w, body); err != nil {
		h.log.WarnContext(r.Context(), "blob not delivered to the agent", "digest", digest, "error", err)
		// The header is out: a broken connection is all that says so.
		panic(http.ErrAbortHandler)
	}
}

func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil && towpath.KindOf(err) == towpath.KindInternal {
		h.log.ErrorContext(r.Context(), "agent call failed", "path", r.URL.Path, "error", err)
	}
	writeProblem(w, err)
}

func asError(err error) (*towpath.Error, bool) {
	var e *towpath.Error
	ok := errors.As(err, &e)
	return e, ok
}
