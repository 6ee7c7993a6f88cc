package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// statusRow is what HTTP makes of a kind of error.
type statusRow struct {
	status int
	title  string
}

// statuses has a row for every kind.
func statuses() map[towpath.Kind]statusRow {
	return map[towpath.Kind]statusRow{
		towpath.KindInvalid:         {http.StatusUnprocessableEntity, "The request is not valid"},
		towpath.KindUnauthenticated: {http.StatusUnauthorized, "A valid token is needed"},
		towpath.KindForbidden:       {http.StatusForbidden, "Not allowed"},
		towpath.KindNotFound:        {http.StatusNotFound, "Not found"},
		towpath.KindConflict:        {http.StatusConflict, "Something stands in the way"},
		towpath.KindLocked:          {http.StatusLocked, "Somebody else is at it"},
		towpath.KindDenied:          {http.StatusConflict, "A gate said no"},
		towpath.KindExhausted:       {http.StatusTooManyRequests, "A limit was reached"},
		towpath.KindUnavailable:     {http.StatusServiceUnavailable, "Not available now"},
		towpath.KindInternal:        {http.StatusInternalServerError, "Internal error"},
	}
}

// problemOf is what a client may see of err.
func problemOf(err error, requestID string) *api.Problem {
	var p *api.Problem
	if errors.As(err, &p) {
		return p
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		p := newProblem(towpath.KindExhausted, requestID, "the request's body has more than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
		p.Status = http.StatusRequestEntityTooLarge
		p.Hint = "send less, or raise the server's limit"
		return p
	}
	var e *towpath.Error
	if !errors.As(err, &e) && errors.Is(err, context.DeadlineExceeded) {
		p := newProblem(towpath.KindUnavailable, requestID, "the server did not finish in time")
		p.Hint = "try again; a change that was made is not made twice"
		return p
	}
	detail, hint := towpath.PublicMessage(err)
	p = newProblem(towpath.KindOf(err), requestID, detail)
	p.Hint = hint
	if e != nil {
		p.Fields = e.Fields
	}
	return p
}

func newProblem(kind towpath.Kind, requestID, detail string) *api.Problem {
	row, ok := statuses()[kind]
	if !ok {
		kind, row = towpath.KindInternal, statuses()[towpath.KindInternal]
	}
	return &api.Problem{
		Type: "urn:towpath:error:" + string(kind), Title: row.title, Status: row.status,
		Detail: detail, Kind: kind, RequestID: requestID,
	}
}

// problem logs err and makes it presentable.
func (r *router) problem(ctx context.Context, err error) *api.Problem {
	p := problemOf(err, requestID(ctx))
	level := slog.LevelDebug
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // who asked has hung up
	case p.Kind == towpath.KindInternal:
		level = slog.LevelError
	case p.Kind == towpath.KindUnavailable:
		level = slog.LevelWarn
	}
	r.cfg.Log.LogAttrs(ctx, level, "request failed", slog.String("request", p.RequestID),
		slog.String("kind", string(p.Kind)), slog.Any("error", err))
	return p
}

// fail answers with a problem, unless the answer has begun.
func (r *router) fail(w http.ResponseWriter, req *http.Request, err error) {
	p := r.problem(req.Context(), err)
	if t, ok := w.(*tracked); ok && t.status != 0 {
		return
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="towpath"`)
	}
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", api.ProblemType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// problemTransformer turns what huma says of a request that it could not read
// into a problem. The values sent are left out: one may be a secret.
func problemTransformer(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	kind := towpath.KindInvalid
	detail := m.Detail
	switch {
	case m.Status >= http.StatusInternalServerError:
		kind, detail = towpath.KindInternal, "internal error"
	case m.Status == http.StatusRequestEntityTooLarge:
		kind = towpath.KindExhausted
	}
	p := newProblem(kind, requestID(ctx.Context()), detail)
	p.Status = m.Status
	p.Hint = "the API is described at " + api.Base + "/openapi.json"
	var said []string
	for _, e := range m.Errors {
		if p.Fields == nil {
			p.Fields = map[string]string{}
		}
		p.Fields[e.Location] = e.Message
		said = append(said, strings.TrimPrefix(e.Location+": ", ": ")+e.Message)
	}
	if len(said) > 0 && kind == towpath.KindInvalid {
		p.Detail = "the request is not valid: " + strings.Join(said, "; ")
	}
	return p, nil
}
