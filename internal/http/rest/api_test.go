package rest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// answer is what a server said.
type answer struct {
	*http.Response
	body []byte
}

func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if got := a.Header.Get("Content-Type"); got != api.ProblemType {
		t.Fatalf("content type %q of %s", got, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// request is one request to the API, authenticated unless it says otherwise.
type request struct {
	method, path, body string
	header             map[string]string
	anonymous          bool
}

func send(t *testing.T, s *apitest.Server, r request) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.URL+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if !r.anonymous {
		req.Header.Set("Authorization", "Bearer "+apitest.Token)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, body}
}

func TestNew(t *testing.T) {
	deps := func() rest.Deps {
		return rest.Deps{Services: apitest.NewWorld().Services(), Idempotency: apitest.NewIdempotency(), Metrics: prometheus.NewRegistry()}
	}
	cfg := rest.Config{Version: "v1", Now: fixed}
	t.Run("refuses a route without a policy", func(t *testing.T) {
		d := deps()
		d.Mounts = []rest.Mount{{Pattern: "GET /open", Handler: http.NotFoundHandler()}}
		if _, err := rest.New(cfg, d); err == nil || !strings.Contains(err.Error(), "GET /open") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("refuses to start without a service", func(t *testing.T) {
		d := deps()
		d.Services.Audit = nil
		if _, err := rest.New(cfg, d); err == nil {
			t.Fatal("it started")
		}
	})
	t.Run("starts when all have one", func(t *testing.T) {
		if _, err := rest.New(cfg, deps()); err != nil {
			t.Fatal(err)
		}
	})
}

// operations calls f for every operation of the served description.
func operations(t *testing.T, s *apitest.Server, f func(method, path string, op map[string]any)) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(send(t, s, request{method: http.MethodGet, path: "/api/v1/openapi.json", anonymous: true}).body, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths) < 25 {
		t.Fatalf("only %d paths are described", len(doc.Paths))
	}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			f(strings.ToUpper(method), path, op)
		}
	}
}

func TestEveryRoute(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld())
	public := map[string]bool{"/api/v1/server": true}
	fill := strings.NewReplacer("{digest}", string(towpath.DigestOf(nil)), "{", "", "}", "")
	operations(t, s, func(method, path string, op map[string]any) {
		t.Run(method+" "+path+" wants a token", func(t *testing.T) {
			got := send(t, s, request{method: method, path: fill.Replace(path), anonymous: true})
			if public[path] {
				if got.StatusCode != http.StatusOK || op["security"] != nil {
					t.Fatalf("%d, security %v", got.StatusCode, op["security"])
				}
				return
			}
			if got.StatusCode != http.StatusUnauthorized || op["security"] == nil {
				t.Fatalf("%d, security %v", got.StatusCode, op["security"])
			}
			if got.Header.Get("WWW-Authenticate") == "" {
				t.Error("it does not say how to authenticate")
			}
		})
	})
	if n := s.Called("promotions.Hold") + s.Called("releases.PutBlob"); n != 0 {
		t.Errorf("%d calls reached a use case without a token", n)
	}
}

func TestOpenAPI(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld())
	golden := filepath.Join("..", "..", "..", "docs", "openapi.json")
	got, err := s.API.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("is the description in docs", func(t *testing.T) {
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("docs/openapi.json is stale; run: go test ./internal/http/rest -run TestOpenAPI -update")
		}
	})
	t.Run("is served as JSON and YAML", func(t *testing.T) {
		for _, ext := range []string{"json", "yaml"} {
			a := send(t, s, request{method: http.MethodGet, path: "/api/v1/openapi." + ext, anonymous: true})
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/openapi+"+ext || !bytes.Contains(a.body, []byte("3.1.0")) {
				t.Errorf("%s: %d %s", ext, a.StatusCode, a.Header.Get("Content-Type"))
			}
		}
	})
	t.Run("describes our problems, not huma's", func(t *testing.T) {
		if bytes.Contains(got, []byte("ErrorModel")) || !bytes.Contains(got, []byte(`"#/components/schemas/Problem"`)) {
			t.Error("the errors described are not those sent")
		}
	})
}
