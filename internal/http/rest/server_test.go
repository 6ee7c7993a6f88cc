package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestRequestID(t *testing.T) {
	w := apitest.NewWorld()
	s := apitest.New(t, w)
	for _, tt := range []struct {
		name, sent string
		kept       bool
	}{
		{"accepts a harmless one", "ci-42.a_B", true},
		{"replaces one that would break a log", "a\tb", false},
		{"replaces one that is too long", strings.Repeat("x", 65), false},
		{"mints one when there is none", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := send(t, s, request{method: http.MethodGet, path: "/api/v1/me", header: map[string]string{api.HeaderRequestID: tt.sent}})
			got := a.Header.Get(api.HeaderRequestID)
			if (got == tt.sent) != tt.kept || got == "" {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("reaches the use case with the actor", func(t *testing.T) {
		send(t, s, request{method: http.MethodGet, path: "/api/v1/projects", header: map[string]string{api.HeaderRequestID: "r-1"}})
		w.Do(func(w *apitest.World) {
			if w.Last.RequestID != "r-1" || w.Last.Account != "ana" {
				t.Errorf("got %+v", w.Last)
			}
		})
	})
}

func TestHeaders(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld())
	a := send(t, s, request{method: http.MethodGet, path: "/api/v1/me", header: map[string]string{"Origin": "https://elsewhere.example"}})
	t.Run("keeps browsers and caches away", func(t *testing.T) {
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
	})
	t.Run("allows no other origin", func(t *testing.T) {
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

func TestReadyz(t *testing.T) {
	ok := rest.Check{Name: "ledger", Run: func(context.Context) error { return nil }}
	broken := rest.Check{Name: "write", Run: func(context.Context) error {
		return towpath.E(towpath.KindUnavailable, "db", "the database can't be written").WithHint("make room").WithCause(errors.New("s3cret"))
	}}
	critical := broken
	critical.Critical = true
	for _, tt := range []struct {
		name   string
		checks []rest.Check
		code   int
		status api.ReadinessStatus
	}{
		{"is ready when all is well", []rest.Check{ok}, 200, api.Ready},
		{"goes on to serve reads when it can't write, and says so", []rest.Check{ok, broken}, 200, api.Degraded},
		{"is down without what it can't do without", []rest.Check{critical, ok}, 503, api.Down},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := apitest.New(t, apitest.NewWorld(), func(_ *rest.Config, d *rest.Deps) { d.Checks = tt.checks })
			a := send(t, s, request{method: http.MethodGet, path: "/readyz", anonymous: true})
			var r api.Readiness
			if err := json.Unmarshal(a.body, &r); err != nil {
				t.Fatal(err)
			}
			if a.StatusCode != tt.code || r.Status != tt.status || len(r.Checks) != len(tt.checks) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if tt.status != api.Ready && (!strings.Contains(string(a.body), "make room") || strings.Contains(string(a.body), "s3cret")) {
				t.Errorf("it says %s", a.body)
			}
		})
	}
	t.Run("healthz answers whatever happens", func(t *testing.T) {
		s := apitest.New(t, apitest.NewWorld(), func(_ *rest.Config, d *rest.Deps) { d.Checks = []rest.Check{critical} })
		if a := send(t, s, request{method: http.MethodGet, path: "/healthz", anonymous: true}); a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
	})
}

func TestMetrics(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld())
	send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/status"})
	t.Run("need a token", func(t *testing.T) {
		if a := send(t, s, request{method: http.MethodGet, path: "/metrics", anonymous: true}); a.StatusCode != 401 {
			t.Errorf("%d", a.StatusCode)
		}
	})
	t.Run("are by route, not by path", func(t *testing.T) {
		a := send(t, s, request{method: http.MethodGet, path: "/metrics"})
		if want := `towpath_http_requests_total{route="GET /api/v1/projects/{project}/status",status="200"} 1`; !strings.Contains(string(a.body), want) {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("are public when that is set", func(t *testing.T) {
		s := apitest.New(t, apitest.NewWorld(), func(c *rest.Config, _ *rest.Deps) { c.PublicMetrics = true })
		if a := send(t, s, request{method: http.MethodGet, path: "/metrics", anonymous: true}); a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
	})
}

func TestMount(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(rest.Actor(r.Context()).Account))
	})
	s := apitest.New(t, apitest.NewWorld(), func(_ *rest.Config, d *rest.Deps) {
		d.Mounts = []rest.Mount{{Pattern: "/agent/", Policy: rest.Authenticated, Handler: handler}}
	})
	t.Run("is authenticated like the rest", func(t *testing.T) {
		if a := send(t, s, request{method: http.MethodPost, path: "/agent/hello", anonymous: true}); a.StatusCode != 401 {
			t.Errorf("%d", a.StatusCode)
		}
		if a := send(t, s, request{method: http.MethodPost, path: "/agent/hello"}); a.StatusCode != 200 || string(a.body) != "ana" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}
