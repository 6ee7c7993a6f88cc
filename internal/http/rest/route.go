package rest

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Policy says who gets through to a route. What they may do there is the use
// case's decision.
type Policy int

// The policies. There is no default.
const (
	noPolicy      Policy = iota
	Public               // anybody
	Authenticated        // whoever has a valid token
)

// route declares one route.
type route struct {
	id, method, path string // path is below [api.Base]
	tag, summary     string
	policy           Policy
	status           int           // of success; 0 is 200, or 204 without a body
	maxBody          int64         // bytes; 0 is [Config.MaxBody]
	timeout          time.Duration // 0 is [Config.Timeout]
	// exempt: a request other than GET that needs no idempotency key, because
	// it changes nothing or is idempotent by itself.
	exempt bool
	// secret: the answer must not be stored for a repetition.
	secret bool
	// unbounded: the handler sets its own time limits.
	unbounded bool
	// pattern overrides method and path, for routes outside of the API.
	pattern string
}

func (r route) muxPattern() string {
	if r.pattern != "" {
		return r.pattern
	}
	return r.method + " " + api.Base + r.path
}

// withDefaults fills in the limits.
func (r route) withDefaults(c Config) route {
	if r.maxBody <= 0 {
		r.maxBody = c.MaxBody
	}
	if r.timeout <= 0 {
		r.timeout = c.Timeout
	}
	if r.mutates() {
		r.timeout = min(r.timeout, longestChange)
	}
	return r
}

func (r route) operation(schemas huma.Registry) huma.Operation {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: api.Base + r.path, Summary: r.summary, Tags: []string{r.tag},
		DefaultStatus: r.status, MaxBodyBytes: r.maxBody, BodyReadTimeout: r.timeout,
		Responses: map[string]*huma.Response{"default": {
			Description: "Problem",
			Content: map[string]*huma.MediaType{api.ProblemType: {
				Schema: schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem"),
			}},
		}},
	}
	if r.policy == Authenticated {
		op.Security = []map[string][]string{{"token": {}}}
	}
	if r.mutates() {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: api.HeaderIdempotencyKey, In: "header", Required: true,
			Description: "Chosen by the client, at most 128 printable characters. A repetition with the same key and body gets the stored answer.",
			Schema:      &huma.Schema{Type: huma.TypeString},
		})
	}
	return op
}

func (r route) mutates() bool {
	switch r.method {
	case "", http.MethodGet, http.MethodHead:
		return false
	}
	return !r.exempt
}

// register declares a route with a JSON answer.
func register[I, O any](a *API, r route, h func(context.Context, towpath.Actor, *I) (O, error)) {
	type answer struct{ Body O }
	r = a.router.declare(r)
	huma.Register(a.huma, r.operation(a.huma.OpenAPI().Components.Schemas), func(ctx context.Context, in *I) (*answer, error) {
		out, err := h(ctx, Actor(ctx), in)
		if err != nil {
			return nil, a.router.problem(ctx, err)
		}
		return &answer{out}, nil
	})
}

// registerDone declares a route whose success has nothing to say.
func registerDone[I any](a *API, r route, h func(context.Context, towpath.Actor, *I) error) {
	r = a.router.declare(r)
	huma.Register(a.huma, r.operation(a.huma.OpenAPI().Components.Schemas), func(ctx context.Context, in *I) (*struct{}, error) {
		if err := h(ctx, Actor(ctx), in); err != nil {
			return nil, a.router.problem(ctx, err)
		}
		return nil, nil
	})
}

// registerRaw declares a route that reads or writes by itself. describe adds
// what huma can't see to its description. An error is answered unless the
// handler has begun to answer.
func registerRaw(a *API, r route, describe func(*huma.Operation), h func(http.ResponseWriter, *http.Request, towpath.Actor) error) {
	r = a.router.declare(r)
	op := r.operation(a.huma.OpenAPI().Components.Schemas)
	describe(&op)
	a.huma.OpenAPI().AddOperation(&op)
	a.huma.Adapter().Handle(&op, func(ctx huma.Context) {
		req, w := humago.Unwrap(ctx)
		if err := h(w, req, Actor(req.Context())); err != nil {
			a.router.fail(w, req, err)
		}
	})
}
