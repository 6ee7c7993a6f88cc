package router

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// closeGrace is how long a router that is told to stop waits for requests.
const closeGrace = 10 * time.Second

// Main is the router's process: it serves the folder's routes until ctx ends.
// Only one serves a folder; a second one returns an error of kind locked. It
// logs to standard error.
func Main(ctx context.Context, dir string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the router's folder can't be made").On(dir).WithCause(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the router's lock can't be opened").On(dir).WithCause(err)
	}
	defer lock.Close() // the lock ends with the process
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return towpath.E(towpath.KindLocked, "router.start", "another router serves this folder").On(dir).WithCause(err)
	}
	if err := writePID(lock); err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the router's lock can't be written").On(dir).WithCause(err)
	}
	srv, err := newServer(dir, log)
	if err != nil {
		return err
	}
	defer srv.close(closeGrace)
	ctx, cancel := context.WithCancel(ctx)
	var opening sync.WaitGroup
	opening.Go(func() { srv.openRest(ctx) })
	defer opening.Wait()
	defer cancel()
	socket, err := chooseSocket(dir)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "no place for the control socket").On(dir).WithCause(err)
	}
	_ = os.Remove(socket) // of a router that was killed; the lock says it is dead
	ln, err := net.Listen("unix", socket)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the control socket can't be opened").On(socket).WithCause(err)
	}
	log.Info("router serves", "dir", dir, "pid", os.Getpid(), "generation", srv.generation)
	control := &http.Server{Handler: controlHandler(srv), ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() { _ = control.Close() })
	defer stop()
	if err := control.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return towpath.E(towpath.KindInternal, "router.serve", "the control socket broke").On(socket).WithCause(err)
	}
	return nil
}

// writePID names the process in its lock, for people and tests.
func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// maxChange bounds a change, in bytes.
const maxChange = 1 << 20

// answer is what the control socket says: a status or an error.
type answer struct {
	Status  *route.Status `json:"status,omitempty"`
	Kind    towpath.Kind  `json:"kind,omitempty"`
	Message string        `json:"message,omitempty"`
	Hint    string        `json:"hint,omitempty"`
}

func controlHandler(s *server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		st := s.Status()
		_ = json.NewEncoder(w).Encode(answer{Status: &st})
	})
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		var c route.Change
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxChange)).Decode(&c); err != nil || c.Route == "" {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(answer{Kind: towpath.KindInvalid, Message: "the change can't be read"})
			return
		}
		st, err := s.Apply(c)
		if err != nil {
			s.log.Warn("change refused", "route", c.Route, "operation", c.Operation, "error", err)
			m, hint := towpath.PublicMessage(err)
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(answer{Kind: towpath.KindOf(err), Message: m, Hint: hint})
			return
		}
		_ = json.NewEncoder(w).Encode(answer{Status: &st})
	})
	return mux
}
