package router

import (
	"context"
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

	"github.com/towpath/towpath/internal/towpath"
)

// closeGrace is how long a router that is told to stop waits for requests.
const closeGrace = 10 * time.Second

// Main is the router's process: it serves the folder's routes until ctx ends.
// Only one serves a folder; a second one returns an error of kind locked. It
// logs to standard error.
func Main(ctx context.Context, dir string, now func() time.Time) error {
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
	srv, err := newServer(dir, newShared(log, now))
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
