package apitest

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/http/rest"
)

// Token is the secret that the server takes; it is account ana's.
const Token = "twp_apitestapitestapitestapitest123456"

// Server is a running API.
type Server struct {
	*World
	URL         string
	API         *rest.API
	HTTP        *httptest.Server
	Idempotency *Idempotency
}

// New starts a server over a world, until the test ends. Options change its
// configuration before it starts.
func New(t testing.TB, w *World, options ...func(*rest.Config, *rest.Deps)) *Server {
	t.Helper()
	keys := NewIdempotency()
	cfg := rest.Config{
		Version: "v0.0.0-test", Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Heartbeat: 50 * time.Millisecond, Poll: 20 * time.Millisecond,
	}
	deps := rest.Deps{Services: w.Services(), Idempotency: keys, Metrics: prometheus.NewRegistry(), Changed: w.Changed}
	for _, o := range options {
		o(&cfg, &deps)
	}
	api, err := rest.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(api)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return &Server{World: w, URL: s.URL, API: api, HTTP: s, Idempotency: keys}
}
