package rest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// fixed is a clock for what never sets a deadline.
func fixed() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// failing is a world whose method fails.
func failing(method string, err error) *apitest.World {
	w := apitest.NewWorld()
	w.Fail = func(_ context.Context, m string) error {
		if m == method {
			return err
		}
		return nil
	}
	return w
}

func TestProblem_kinds(t *testing.T) {
	statuses := rest.Statuses()
	for _, kind := range towpath.Kinds() {
		t.Run("an error of kind "+string(kind)+" is a problem with its status", func(t *testing.T) {
			status, ok := statuses[kind]
			if !ok {
				t.Fatalf("the kind %s has no row in the table of statuses", kind)
			}
			e := towpath.E(kind, "test", "it is so").On("thing").WithHint("do this").WithCause(errors.New("s3cret cause"))
			e.Fields = map[string]string{"a": "b"}
			s := apitest.New(t, failing("inventory.Status", e))
			a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/status"})
			p := a.problem(t)
			if a.StatusCode != status || p.Status != status {
				t.Errorf("status %d, in the body %d, want %d", a.StatusCode, p.Status, status)
			}
			if p.Kind != kind || p.Type != "urn:towpath:error:"+string(kind) || p.Title == "" {
				t.Errorf("got %+v", p)
			}
			if p.Detail != "it is so (thing)" || p.Hint != "do this" || p.Fields["a"] != "b" {
				t.Errorf("got %+v", p)
			}
			if p.RequestID == "" || p.RequestID != a.Header.Get(api.HeaderRequestID) {
				t.Errorf("request ID %q, in the header %q", p.RequestID, a.Header.Get(api.HeaderRequestID))
			}
			if strings.Contains(string(a.body), "s3cret") {
				t.Errorf("the cause leaks: %s", a.body)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	hold := request{method: http.MethodPost, path: "/api/v1/projects/shop/environments/dev/hold", body: `{}`, header: map[string]string{"Idempotency-Key": "k"}}
	get := request{method: http.MethodGet, path: "/api/v1/projects/shop/status"}
	with := func(r request, change func(*request)) request {
		h := map[string]string{}
		for k, v := range r.header {
			h[k] = v
		}
		r.header = h
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name   string
		world  *apitest.World
		send   request
		status int
		kind   towpath.Kind
		says   string
	}{
		{"an unknown error says nothing", failing("inventory.Status", errors.New("pq: password s3cret")), get, 500, towpath.KindInternal, "internal error"},
		{"a deadline is unavailable", failing("inventory.Status", context.DeadlineExceeded), get, 503, towpath.KindUnavailable, "in time"},
		{"a path that nobody serves", nil, with(get, func(r *request) { r.path = "/api/v1/nothing" }), 404, towpath.KindNotFound, "/api/v1/nothing"},
		{"a method that is not served", nil, with(get, func(r *request) { r.method = http.MethodPut }), 405, towpath.KindInvalid, "PUT"},
		{"a token that is not valid", nil, with(get, func(r *request) { r.header["Authorization"] = "Bearer nope" }), 401, towpath.KindUnauthenticated, "not valid"},
		{"a scheme that is not bearer", nil, with(get, func(r *request) { r.header["Authorization"] = "Basic " + apitest.Token }), 401, towpath.KindUnauthenticated, "no bearer token"},
		{"a token in the query", nil, with(get, func(r *request) { r.anonymous = true; r.path += "?token=" + apitest.Token }), 401, towpath.KindUnauthenticated, "no bearer token"},
		{"an unknown query parameter", nil, with(get, func(r *request) { r.path += "?envrn=dev" }), 422, towpath.KindInvalid, "query.envrn"},
		{"an unknown field", nil, with(hold, func(r *request) { r.body = `{"raeson":"x"}` }), 422, towpath.KindInvalid, "raeson"},
		{"a body that is not JSON", nil, with(hold, func(r *request) { r.body = `{` }), 400, towpath.KindInvalid, "not valid"},
		{"a body of another type", nil, with(hold, func(r *request) { r.header["Content-Type"] = "text/plain" }), 415, towpath.KindInvalid, ""},
		{"a body that is too large", nil, with(hold, func(r *request) { r.body = `{"reason":"` + strings.Repeat("x", 1<<20) + `"}` }), 413, towpath.KindExhausted, "1048576 bytes"},
		{"a limit of a page out of range", nil, with(get, func(r *request) { r.path = "/api/v1/projects/shop/releases?limit=501" }), 422, towpath.KindInvalid, "limit"},
		{"a change without idempotency key", nil, with(hold, func(r *request) { delete(r.header, "Idempotency-Key") }), 400, towpath.KindInvalid, "Idempotency-Key"},
		{"a digest that is none", nil, request{method: http.MethodPut, path: "/api/v1/projects/shop/blobs/md5:1"}, 422, towpath.KindInvalid, "not a digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.world
			if w == nil {
				w = apitest.NewWorld()
			}
			a := send(t, apitest.New(t, w), tt.send)
			p := a.problem(t)
			if a.StatusCode != tt.status || p.Status != tt.status || p.Kind != tt.kind || !strings.Contains(p.Detail, tt.says) {
				t.Errorf("got %d %+v", a.StatusCode, p)
			}
			if strings.Contains(string(a.body), "s3cret") || strings.Contains(string(a.body), apitest.Token) {
				t.Errorf("a secret leaks: %s", a.body)
			}
			if a.StatusCode == http.StatusMethodNotAllowed && !strings.Contains(a.Header.Get("Allow"), "GET") {
				t.Errorf("Allow is %q", a.Header.Get("Allow"))
			}
		})
	}
}

func TestPanic(t *testing.T) {
	w := apitest.NewWorld()
	w.Fail = func(_ context.Context, m string) error {
		if m == "inventory.Status" || m == "promotions.Hold" {
			panic("s3cret")
		}
		return nil
	}
	s := apitest.New(t, w)
	t.Run("is a problem that says nothing", func(t *testing.T) {
		a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/status"})
		if p := a.problem(t); a.StatusCode != 500 || strings.Contains(string(a.body), "s3cret") || p.RequestID == "" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("frees the idempotency key", func(t *testing.T) {
		r := request{method: http.MethodPost, path: "/api/v1/projects/shop/environments/dev/hold", body: `{}`, header: map[string]string{"Idempotency-Key": "k"}}
		send(t, s, r)
		if a := send(t, s, r); a.StatusCode != 500 || s.Called("promotions.Hold") != 2 {
			t.Errorf("%d after %d calls", a.StatusCode, s.Called("promotions.Hold"))
		}
	})
}

// records passes on what is logged.
type records chan slog.Record

func (records) Enabled(context.Context, slog.Level) bool { return true }

func (c records) Handle(_ context.Context, r slog.Record) error { c <- r; return nil }

func (c records) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c records) WithGroup(string) slog.Handler { return c }

func TestProblem_logged(t *testing.T) {
	for name, tt := range map[string]struct {
		hangsUp bool
		want    slog.Level
	}{
		"a fault is an error":                    {want: slog.LevelError},
		"that who asked has hung up is no fault": {hangsUp: true, want: slog.LevelDebug},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			w := apitest.NewWorld()
			w.Fail = func(ctx context.Context, m string) error {
				if m != "inventory.Status" {
					return nil
				}
				if tt.hangsUp {
					hangUp()
					<-ctx.Done()
				}
				return fmt.Errorf("read the status: %w", context.Canceled)
			}
			logged := make(records, 100)
			s := apitest.New(t, w, func(c *rest.Config, _ *rest.Deps) { c.Log = slog.New(logged) })
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/projects/shop/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+apitest.Token)
			if a, err := s.HTTP.Client().Do(req); err == nil {
				_ = a.Body.Close()
			}
			for r := range logged {
				if r.Message == "request failed" {
					if r.Level != tt.want {
						t.Errorf("it was logged as %s", r.Level)
					}
					return
				}
			}
		})
	}
}
