package rest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// router is the [http.ServeMux] that every request passes through, in this
// order: request ID and security headers; measure and recover; match; limits;
// authenticate; idempotency; handler. It takes no route whose policy was not
// declared.
type router struct {
	cfg     Config
	deps    Deps
	mux     *http.ServeMux
	metrics *metrics
	rules   map[string]route // by pattern
	faults  []error
}

func newRouter(cfg Config, deps Deps) (*router, error) {
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	return &router{cfg: cfg, deps: deps, mux: http.NewServeMux(), metrics: m, rules: map[string]route{}}, nil
}

// declare states the rules of a route that is handled later.
func (r *router) declare(rt route) route {
	rt = rt.withDefaults(r.cfg)
	r.rules[rt.muxPattern()] = rt
	return rt
}

// handle declares and handles a route.
func (r *router) handle(rt route, h http.HandlerFunc) {
	r.declare(rt)
	r.HandleFunc(rt.muxPattern(), h)
}

// HandleFunc implements huma's Mux.
func (r *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	rt, ok := r.rules[pattern]
	if !ok || (rt.policy != Public && rt.policy != Authenticated) {
		r.faults = append(r.faults, towpath.E(towpath.KindInternal, "rest.route", "the route has no policy").
			On(pattern).WithHint("declare it as public or authenticated"))
		return
	}
	r.mux.HandleFunc(pattern, r.guard(rt, h))
}

func (r *router) err() error { return errors.Join(r.faults...) }

// ServeHTTP implements [http.Handler].
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	id := acceptRequestID(req, r.cfg.Now)
	req = req.WithContext(context.WithValue(req.Context(), requestIDKey{}, id))
	setHeaders(w, id)
	t := &tracked{ResponseWriter: w}
	_, pattern := r.mux.Handler(req)
	// What has no route has nothing else that limits it.
	r.limit(w, r.cfg.Timeout)
	done := r.metrics.begin(r.cfg.Now())
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares with
				panic(p)
			}
			r.recovered(t, req, p)
		}
		done(r.cfg.Now(), pattern, t.status)
	}()
	if pattern == "" {
		r.unmatched(t, req)
		return
	}
	r.mux.ServeHTTP(t, req)
}

// unmatched says whether the path or the method is wrong.
func (r *router) unmatched(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := req.Clone(req.Context())
		other.Method = m
		if _, pattern := r.mux.Handler(other); pattern != "" {
			allowed = append(allowed, m)
		}
	}
	e := towpath.E(towpath.KindNotFound, "rest.route", "nothing is served at %s", req.URL.Path)
	if len(allowed) == 0 || slices.Contains(allowed, req.Method) {
		r.fail(w, req, e.WithHint("the API is described at /api/v1/openapi.json"))
		return
	}
	p := newProblem(towpath.KindInvalid, requestID(req.Context()), "the method "+req.Method+" is not served at "+req.URL.Path)
	p.Status = http.StatusMethodNotAllowed
	p.Hint = "use " + strings.Join(allowed, ", ")
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	r.fail(w, req, p)
}

// limit sets the deadlines of a request's connection, which another had before. What
// the server does after the handler is held to them too: over HTTP/1.1 it reads the
// rest of the body before it sends an answer. A writer without deadlines, as in tests,
// has none to set.
func (r *router) limit(w http.ResponseWriter, timeout time.Duration) {
	control, until := http.NewResponseController(w), r.cfg.Now().Add(timeout)
	_ = control.SetReadDeadline(until)
	_ = control.SetWriteDeadline(until.Add(time.Second))
}

// guard applies a route's rules around its handler.
func (r *router) guard(rt route, h http.HandlerFunc) http.HandlerFunc {
	if rt.mutates() {
		h = r.once(rt, h)
	}
	return func(w http.ResponseWriter, req *http.Request) {
		if rt.unbounded {
			control := http.NewResponseController(w)
			_ = control.SetReadDeadline(time.Time{})
			_ = control.SetWriteDeadline(time.Time{})
			defer r.limit(w, rt.timeout)
		} else {
			ctx, cancel := context.WithTimeout(req.Context(), rt.timeout)
			defer cancel()
			req = req.WithContext(ctx)
			r.limit(w, rt.timeout)
			req.Body = http.MaxBytesReader(w, req.Body, rt.maxBody)
		}
		if rt.policy == Authenticated {
			actor, err := r.authenticate(req)
			if err != nil {
				r.fail(w, req, err)
				return
			}
			req = req.WithContext(context.WithValue(req.Context(), actorKey{}, actor))
		}
		h(w, req)
	}
}
