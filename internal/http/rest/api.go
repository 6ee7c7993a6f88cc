package rest

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/towpath/towpath/internal/http/rest/api"
)

// API serves the public API. It is an [http.Handler]; the listener, its TLS
// and its shutdown belong to whoever serves it. Watches end when the base
// context of the server does.
type API struct {
	cfg     Config
	deps    Deps
	router  *router
	huma    huma.API
	watches chan struct{} // one place a watch
}

// New builds the API. It fails when a route has no policy.
func New(cfg Config, deps Deps) (*API, error) {
	if err := validate(cfg, deps); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	a := &API{cfg: cfg, deps: deps, watches: make(chan struct{}, cfg.MaxWatches)}
	r, err := newRouter(cfg, deps)
	if err != nil {
		return nil, err
	}
	a.router = r
	a.huma = humago.New(r, humaConfig())
	for _, routes := range []func(){
		a.projectRoutes, a.releaseRoutes, a.blobRoutes, a.promotionRoutes, a.deploymentRoutes, a.alertRoutes, a.experimentRoutes, a.environmentRoutes,
		a.accountRoutes, a.auditRoutes, a.eventRoutes, a.registryRoutes, a.replicationRoutes, a.mirrorRoutes, a.trustRoutes, a.serverRoutes, a.healthRoutes,
	} {
		routes()
	}
	a.openAPIRoutes()
	for _, m := range deps.Mounts {
		r.handle(route{pattern: m.Pattern, policy: m.Policy, exempt: true, unbounded: true}, m.Handler.ServeHTTP)
	}
	return a, r.err()
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// OpenAPI is the description of the API, OpenAPI 3.1 as indented JSON.
func (a *API) OpenAPI() ([]byte, error) { return json.MarshalIndent(a.huma.OpenAPI(), "", "  ") }

func humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Towpath", Version: "v1",
				Description: "Infrastructure releases, hauled upstream. Every change needs an Idempotency-Key; every error is a Problem.",
			},
			Components: &huma.Components{
				Schemas:         newSchemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{problemTransformer},
	}
}

// openAPIRoutes serves the description, which is written when it is first asked for:
// that takes longer than all other routes do, and few ask.
func (a *API) openAPIRoutes() {
	// They were registered for huma's own errors, which never leave.
	delete(a.huma.OpenAPI().Components.Schemas.Map(), "HumaErrorModel")
	delete(a.huma.OpenAPI().Components.Schemas.Map(), "HumaErrorDetail")
	serve := func(name, contentType string, write func() ([]byte, error)) {
		write = sync.OnceValues(write)
		a.router.handle(route{pattern: "GET " + api.Base + name, policy: Public}, func(w http.ResponseWriter, r *http.Request) {
			body, err := write()
			if err != nil {
				a.router.fail(w, r, err)
				return
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
		})
	}
	serve("/openapi.json", "application/openapi+json", a.OpenAPI)
	serve("/openapi.yaml", "application/openapi+yaml", a.huma.OpenAPI().YAML)
}
