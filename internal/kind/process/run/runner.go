package run

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Router is the data plane, as the runner uses it.
type Router interface {
	// Apply makes a change and returns once it is durable and in force. It
	// starts the router if none runs.
	Apply(ctx context.Context, c route.Change) (route.Status, error)
	// Status asks the running router; none is an error of kind unavailable.
	Status(ctx context.Context) (route.Status, error)
	// Snapshot reads what the running router has counted; none is an error of
	// kind unavailable.
	Snapshot(ctx context.Context) (route.Snapshot, error)
	// Ensure starts the router if none runs.
	Ensure(ctx context.Context) error
}

// Config says where processes live and how shims are started.
type Config struct {
	Dir string
	// Executable and ShimArgs start a shim; the instance's folder is appended.
	Executable string
	ShimArgs   []string
	// Getenv is the agent's environment, of which processes get PATH, HOME,
	// LANG, TZ and TMPDIR only. The default is [os.Getenv].
	Getenv func(string) string
	Now    func() time.Time
	// Free is the memory that processes can still have, bytes. The default asks
	// the machine, and the control group that this process is in.
	Free func() (int64, error)
}

// Runner runs the process kind.
type Runner struct {
	cfg    Config
	router Router
	log    *slog.Logger
	probes map[route.Protocol]*http.Client

	mu       sync.Mutex
	targets  map[string]chan struct{} // one step at a time on a target
	restarts map[string]restart       // by instance
	mute     map[string]bool          // targets whose instances do not give their metrics

	watch  watch  // of what shares traffic
	pulses pulses // of what has it
}

var (
	_ kind.Runner   = (*Runner)(nil)
	_ kind.Shifter  = (*Runner)(nil)
	_ kind.Repairer = (*Runner)(nil)
	_ kind.Sampler  = (*Runner)(nil)
)

// New makes a runner; it starts nothing.
func New(cfg Config, router Router, logger *slog.Logger) (*Runner, error) {
	if cfg.Dir == "" || cfg.Executable == "" || cfg.Now == nil {
		return nil, towpath.E(towpath.KindInvalid, "process.new", "the process runner needs a folder, an executable and a clock")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "targets"), 0o700)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "instances"), 0o700)
	}
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "process.new", "the folder for processes can't be made").On(cfg.Dir).WithCause(err)
	}
	cfg.Dir = dir
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Free == nil {
		cfg.Free = freeMemory
	}
	return &Runner{
		cfg: cfg, router: router, log: logger, probes: newProbes(),
		targets: map[string]chan struct{}{}, restarts: map[string]restart{}, mute: map[string]bool{},
	}, nil
}

// Kind is what it runs.
func (r *Runner) Kind() towpath.ComponentKind { return towpath.KindProcess }

func (r *Runner) lockOf(target string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.targets[target]
	if !ok {
		l = make(chan struct{}, 1)
		r.targets[target] = l
	}
	return l
}

// lock waits for its turn on a target.
func (r *Runner) lock(ctx context.Context, t towpath.Target) (unlock func(), err error) {
	l := r.lockOf(t.Key())
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tryLock is lock for those who can come back later.
func (r *Runner) tryLock(t towpath.Target) (unlock func(), ok bool) {
	l := r.lockOf(t.Key())
	select {
	case l <- struct{}{}:
		return func() { <-l }, true
	default:
		return nil, false
	}
}

// turn is a target's lock, which who has it may lend.
type turn struct {
	r      *Runner
	target towpath.Target
	unlock func() // nil: it was not got back
}

func (r *Runner) turn(ctx context.Context, t towpath.Target) (*turn, error) {
	unlock, err := r.lock(ctx, t)
	return &turn{r: r, target: t, unlock: unlock}, err
}

// lend lets others have it while f works. When ctx ends before they are done it is
// lost, and so is what f found.
func (x *turn) lend(ctx context.Context, f func() error) error {
	x.end()
	err := f()
	unlock, lost := x.r.lock(ctx, x.target)
	if lost != nil {
		return lost
	}
	x.unlock = unlock
	return err
}

// end is for who has finished, with or without it.
func (x *turn) end() {
	if x.unlock != nil {
		x.unlock()
		x.unlock = nil
	}
}

// Defaults of a spec that leaves them out.
const (
	defaultInterval  = 200 * time.Millisecond
	defaultTimeout   = 2 * time.Second
	defaultDeadline  = 30 * time.Second
	defaultStopGrace = 10 * time.Second
	defaultLogBytes  = 10 << 20
	defaultLogKeep   = 3
)

// specOf reads a rendered spec. One that can't be obeyed is a failure of the
// release.
func specOf(rendered json.RawMessage) (process.Spec, error) {
	var s process.Spec
	if err := json.Unmarshal(rendered, &s); err != nil {
		return s, &kind.Failure{Message: "the rendered settings of the process can't be read: " + err.Error()}
	}
	if len(s.Command) == 0 || s.Listen == "" {
		return s, &kind.Failure{Message: "the rendered settings have no command or no listen address"}
	}
	if s.Protocol != route.HTTP1 && s.Protocol != route.H2C {
		return s, &kind.Failure{Message: fmt.Sprintf("the rendered settings have a protocol that this agent does not know: %q", s.Protocol)}
	}
	s.Instances = max(s.Instances, 1)
	if !s.Health.GRPC {
		s.Health.Path = orElse(s.Health.Path, "/")
	}
	s.Health.Interval = orElse(s.Health.Interval, defaultInterval)
	s.Health.Timeout = orElse(s.Health.Timeout, defaultTimeout)
	s.Health.Deadline = orElse(s.Health.Deadline, defaultDeadline)
	s.StopGrace = orElse(s.StopGrace, defaultStopGrace)
	s.Logs.MaxBytes = orElse(s.Logs.MaxBytes, defaultLogBytes)
	s.Logs.Keep = orElse(s.Logs.Keep, defaultLogKeep)
	return s, nil
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
