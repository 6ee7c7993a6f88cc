package rest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// checkTimeout is how long one check of readiness may take.
const checkTimeout = 3 * time.Second

func (a *API) healthRoutes() {
	a.router.handle(route{pattern: "GET /healthz", policy: Public}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	a.router.handle(route{pattern: "GET /readyz", policy: Public}, a.readyz)
	policy := Authenticated
	if a.cfg.PublicMetrics {
		policy = Public
	}
	metrics := promhttp.HandlerFor(a.deps.Metrics, promhttp.HandlerOpts{DisableCompression: true})
	a.router.handle(route{pattern: "GET /metrics", policy: policy}, metrics.ServeHTTP)
}

// readyz answers 200 while the server can answer reads, and says what is wrong
// in either case: a server that can't write must not be taken away from those
// who read.
func (a *API) readyz(w http.ResponseWriter, req *http.Request) {
	out := api.Readiness{Status: api.Ready, Checks: make([]api.CheckResult, 0, len(a.deps.Checks))}
	for _, c := range a.deps.Checks {
		result := a.check(req.Context(), c)
		out.Checks = append(out.Checks, result)
		switch {
		case result.OK:
		case c.Critical:
			out.Status = api.Down
		case out.Status == api.Ready:
			out.Status = api.Degraded
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if out.Status == api.Down {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (a *API) check(ctx context.Context, c Check) api.CheckResult {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := c.Run(ctx)
	if err == nil {
		return api.CheckResult{Name: c.Name, OK: true}
	}
	a.cfg.Log.WarnContext(ctx, "a check of readiness failed", slog.String("check", c.Name), slog.Any("error", err))
	message, hint := towpath.PublicMessage(err)
	return api.CheckResult{Name: c.Name, Message: message, Hint: hint}
}
