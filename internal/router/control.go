package router

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// maxChange bounds a change, in bytes.
const maxChange = 1 << 20

// answer is what the control socket says: what was asked for, or an error.
type answer struct {
	Status   *route.Status   `json:"status,omitempty"`
	Snapshot *route.Snapshot `json:"snapshot,omitempty"`
	Drained  *route.Drained  `json:"drained,omitempty"`
	Kind     towpath.Kind    `json:"kind,omitempty"`
	Message  string          `json:"message,omitempty"`
	Hint     string          `json:"hint,omitempty"`
}

// controlHandler is what the control socket serves.
func controlHandler(s *server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		st := s.Status()
		say(w, answer{Status: &st})
	})
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, _ *http.Request) {
		snap := s.snapshot(readSnapshot)
		say(w, answer{Snapshot: &snap})
	})
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		var c route.Change
		if !read(w, r, &c) || c.Route == "" {
			refuse(w, http.StatusBadRequest, towpath.E(towpath.KindInvalid, "router.apply", "the change can't be read"))
			return
		}
		st, err := s.Apply(c)
		if err != nil {
			s.log.Warn("change refused", "route", c.Route, "operation", c.Operation, "error", err)
			refuse(w, http.StatusConflict, err)
			return
		}
		say(w, answer{Status: &st})
	})
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) {
		var d route.Drain
		if !read(w, r, &d) {
			refuse(w, http.StatusBadRequest, towpath.E(towpath.KindInvalid, "router.drain", "what to drain can't be read"))
			return
		}
		done, err := s.drain(r.Context(), d)
		if err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		say(w, answer{Drained: &done})
	})
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(newCollector(s))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /handover", s.handOver)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.awaitReplaced() {
			refuse(w, http.StatusMisdirectedRequest, errReplaced)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// awaitReplaced reports whether another router is to be asked, once that is
// decided.
func (s *server) awaitReplaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isReplaced()
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, maxChange)).Decode(into) == nil
}

func say(w http.ResponseWriter, a answer) { _ = json.NewEncoder(w).Encode(a) } // who asked may be gone

func refuse(w http.ResponseWriter, status int, err error) {
	if errors.Is(err, errReplaced) {
		status = http.StatusMisdirectedRequest // the one that is to be asked has the same socket
	}
	m, hint := towpath.PublicMessage(err)
	w.WriteHeader(status)
	say(w, answer{Kind: towpath.KindOf(err), Message: m, Hint: hint})
}
