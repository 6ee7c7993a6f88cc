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

// Config is of a router's process.
type Config struct {
	Dir string // made when it is missing
	// Replace takes the listeners over from the router that serves the folder.
	Replace bool
	Now     func() time.Time
}

// Main is the router's process: it serves the folder's routes until ctx ends or
// another router has replaced it and its last request is answered. Only one
// serves a folder; a second one that does not replace it returns an error of
// kind locked. It logs to standard error.
func Main(ctx context.Context, cfg Config) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the router's folder can't be made").On(cfg.Dir).WithCause(err)
	}
	from := lockFolder
	if cfg.Replace {
		from = takeOver
	}
	e, err := from(ctx, cfg.Dir)
	if err != nil {
		return err
	}
	defer e.close()
	srv, err := newServer(cfg.Dir, newShared(log, cfg.Now), e)
	if err != nil {
		return err
	}
	defer srv.close(closeGrace)
	if err := e.listen(cfg.Dir); err != nil {
		return err
	}
	log.Info("router serves", "dir", cfg.Dir, "pid", os.Getpid(), "generation", srv.generation)
	return srv.run(ctx)
}

// run answers on the control socket until ctx ends or another router has
// replaced this one, which then finishes what it has begun.
func (s *server) run(ctx context.Context) error {
	s.begin()
	working, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	background.Go(func() { s.openRest(working) })
	background.Go(func() { s.watchPredecessor(working) })
	control := &http.Server{Handler: controlHandler(s), ReadHeaderTimeout: headerTimeout}
	broken := make(chan error, 1)
	go func() { broken <- control.Serve(s.estate.control) }()
	select {
	case err := <-broken:
		if !s.isReplaced() {
			return towpath.E(towpath.KindInternal, "router.serve", "the control socket broke").On(s.dir).WithCause(err)
		}
		stop()
		s.linger(ctx)
	case <-ctx.Done():
	}
	_ = control.Close() // whoever asks is answered by another router, or by none
	return nil
}

// begin tells the router before, if there is one, that this one serves. When
// nobody hears it the other has died since it let go, and all is this one's.
func (s *server) begin() {
	if s.estate.from == nil {
		return
	}
	if err := s.estate.from.out.Encode(word{"serving"}); err != nil {
		s.log.Warn("the router before is gone", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = s.estate.from
}

// estate is what belongs to a folder's router and may be handed on: the lock,
// the control socket, the listeners.
type estate struct {
	lock      *os.File
	control   *net.UnixListener
	listeners map[handed]net.Listener // that a router before opened
	from      *predecessor            // nil: there was none
}

// handed names a listener.
type handed struct {
	Route  string `json:"route"`
	Listen string `json:"listen"`
}

// lockFolder is the estate of a router that has no predecessor.
func lockFolder(_ context.Context, dir string) (*estate, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "router.start", "the router's lock can't be opened").On(dir).WithCause(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, towpath.E(towpath.KindLocked, "router.start", "another router serves this folder").On(dir).WithCause(err)
	}
	return &estate{lock: lock}, nil
}

// listen opens the control socket, unless it was handed on, and names this
// process in the lock.
func (e *estate) listen(dir string) error {
	if err := writePID(e.lock); err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the router's lock can't be written").On(dir).WithCause(err)
	}
	if e.control != nil {
		return nil
	}
	socket, err := chooseSocket(dir)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "no place for the control socket").On(dir).WithCause(err)
	}
	_ = os.Remove(socket) // of a router that was killed; the lock says it is dead
	e.control, err = net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "router.start", "the control socket can't be opened").On(socket).WithCause(err)
	}
	return nil
}

// close lets go of everything. The lock ends with the last process that has it.
func (e *estate) close() {
	if e.control != nil {
		_ = e.control.Close()
	}
	for _, ln := range e.listeners {
		_ = ln.Close()
	}
	if e.from != nil {
		_ = e.from.conn.Close()
	}
	_ = e.lock.Close()
}

// writePID names the process in its lock, for people and tests.
func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// errReplaced is what a router answers that has handed its estate on.
var errReplaced = errors.New("another router has taken over")
