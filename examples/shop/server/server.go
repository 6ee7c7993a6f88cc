// Package server runs the shop's HTTP servers: it listens at $PORT, answers
// /healthz, misbehaves as the files in the behaviour folder say, and ends on
// SIGTERM when the requests it has are answered.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is one component of the shop.
type Server struct {
	Name    string
	Version string
	root    string // of the component's files
}

// New reads what the server is from the files beside its bin folder; a program
// that is in none, as with `go run`, takes the working directory.
func New(name string) (*Server, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, root: "."}
	if bin := filepath.Dir(exe); filepath.Base(bin) == "bin" {
		s.root = filepath.Dir(bin)
	}
	version, err := os.ReadFile(filepath.Join(s.root, "VERSION"))
	s.Version = strings.TrimSpace(string(version))
	return s, err
}

// Run answers requests until the process is told to end.
func (s *Server) Run(answer http.HandlerFunc) error {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil)).With("server", s.Name, "version", s.Version)
	if _, ok := s.behaviour("crash"); ok {
		return errors.New("it was told to crash")
	}
	if text, ok := s.behaviour("slow-start"); ok {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("slow-start: %w", err)
		}
		time.Sleep(d)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if _, ok := s.behaviour("ignore-term"); ok {
		ctx = context.WithoutCancel(ctx)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Getenv("PORT")))
	if err != nil {
		return err
	}
	web := &http.Server{Handler: s.handler(answer), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("ending")
	last, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer done()
	return web.Shutdown(last)
}

func (s *Server) handler(answer http.HandlerFunc) http.Handler {
	_, unhealthy := s.behaviour("unhealthy")
	_, fail := s.behaviour("fail")
	_, failSome := s.behaviour("fail-some")
	_, wrongSome := s.behaviour("wrong-some")
	var asked, right, wrong atomic.Int64
	_, hangSome := s.behaviour("hang-some")
	_, deadlock := s.behaviour("deadlock")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if unhealthy {
			http.Error(w, "unhealthy", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE shop_answers_total counter\nshop_answers_total{answer=\"right\"} %d\nshop_answers_total{answer=\"wrong\"} %d\n",
			right.Load(), wrong.Load())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Shop-Version", s.Version)
		if fail || failSome && asked.Add(1)%2 == 0 {
			http.Error(w, "failing", http.StatusInternalServerError)
			return
		}
		if hangSome && asked.Add(1)%2 == 0 {
			<-r.Context().Done() // until whoever asked gives up
			return
		}
		if wrongSome && asked.Add(1)%2 == 0 { // no error that a proxy could count
			wrong.Add(1)
			fmt.Fprintln(w, "what was the question?")
			return
		}
		right.Add(1)
		answer(w, r)
	})
	if deadlock {
		return stuck(mux)
	}
	return mux
}

// stuck answers nothing any more, not even at /healthz, once it got ten requests.
func stuck(h http.Handler) http.Handler {
	var asked atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			asked.Add(1)
		}
		if asked.Load() >= 10 {
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	})
}

// behaviour reads a file that makes the server misbehave.
func (s *Server) behaviour(name string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(s.root, "behaviour", name))
	return strings.TrimSpace(string(b)), err == nil
}
