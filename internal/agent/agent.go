package agent

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Client is the server, as the agent sees it. [agentrpc.Client] is one.
type Client interface {
	Hello(ctx context.Context, req agentrpc.HelloRequest) (agentrpc.HelloResponse, error)
	Claim(ctx context.Context, session string, limit int, wait time.Duration) ([]towpath.Operation, error)
	Renew(ctx context.Context, session string, ops []agentrpc.OperationFence) ([]agentrpc.RenewResult, error)
	Report(ctx context.Context, req agentrpc.ReportRequest) error
	Finish(ctx context.Context, req agentrpc.FinishRequest) (agentrpc.FinishStatus, error)
	Observe(ctx context.Context, req agentrpc.ObserveRequest) error
	Count(ctx context.Context, req agentrpc.CountRequest) error
	Sample(ctx context.Context, req agentrpc.SampleRequest) error
	Blob(ctx context.Context, digest towpath.Digest) (io.ReadCloser, error)
}

// Keeper is a runner that holds what has traffic as it is, between operations:
// it starts again what died. Keep runs beside all of the runner's other calls, and
// not beside itself.
type Keeper interface {
	Keep(ctx context.Context) error
}

// Config is an agent's settings.
type Config struct {
	Dir   string // the agent's own: journal, trust, files
	Name  string
	Place towpath.PlaceName
	Now   func() time.Time
	// TrustedKey is the server's verifier key. Empty: the first one that a
	// server shows is kept in <Dir>/trust/server.pub and no other accepted.
	TrustedKey string
	// Extract unpacks a layer into a folder, within limits. It may leave the end
	// of r unread.
	Extract func(ctx context.Context, r io.Reader, dest *os.Root) error
	// Released says whether an operation does what its release holds; see
	// [Verified].
	Released Released

	ClaimWait    time.Duration // of one long poll; 20 s
	ObserveEvery time.Duration // and keep; 5 s
	CountEvery   time.Duration // 1 s
	RetryPause   time.Duration // the first one after an error, doubling to RetryMax, less up to half at random; 200 ms
	RetryMax     time.Duration // 3 s
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.ClaimWait, 20*time.Second)
	set(&c.ObserveEvery, 5*time.Second)
	set(&c.CountEvery, time.Second)
	set(&c.RetryPause, 200*time.Millisecond)
	set(&c.RetryMax, 3*time.Second)
	return c
}

// Agent runs operations in one place.
type Agent struct {
	cfg     Config
	client  Client
	runners map[towpath.ComponentKind]kind.Runner
	log     *slog.Logger

	// Of Run.
	journal   *journal
	files     *files
	session   string
	connected atomic.Bool   // Hello has succeeded once
	heartbeat atomic.Int64  // nanoseconds
	paced     chan struct{} // when a server has said another heartbeat
	trusted   atomic.Pointer[trustedKey]
	outbox    *outbox
	look      chan struct{} // keep now, and observe then
	kept      chan struct{} // observe now
	count     chan struct{} // count now
	sample    atomic.Int64  // how often to sample, nanoseconds; 0: not at all
	shared    atomic.Bool   // traffic is shared
	work      sync.WaitGroup
	mu        sync.Mutex
	running   map[string]*running // by target
}

type trustedKey struct {
	text     string
	verifier note.Verifier
}

// New makes an agent with the runners of the kinds that it can run.
func New(cfg Config, client Client, runners []kind.Runner, logger *slog.Logger) (*Agent, error) {
	if cfg.Dir == "" || cfg.Place == "" || cfg.Now == nil || cfg.Extract == nil || cfg.Released == nil {
		return nil, towpath.E(towpath.KindInvalid, "agent.new", "an agent needs a folder, a place, a clock, an extractor and a check of releases")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "agent.new", "the agent's folder has no absolute path").On(cfg.Dir).WithCause(err)
	}
	cfg.Dir = dir
	a := &Agent{
		cfg: cfg.withDefaults(), client: client, runners: map[towpath.ComponentKind]kind.Runner{}, log: logger,
		look: make(chan struct{}, 1), paced: make(chan struct{}, 1), kept: make(chan struct{}, 1), count: make(chan struct{}, 1), running: map[string]*running{}, outbox: newOutbox(),
	}
	for _, r := range runners {
		a.runners[r.Kind()] = r
	}
	return a, nil
}

// Run works until ctx ends. What it was doing then stays in the journal and
// goes on with the next Run. Only one agent works in a folder. When the server
// refuses the agent, Run finishes what is under way and returns an error of
// kind unauthenticated or forbidden.
func (a *Agent) Run(ctx context.Context) error {
	if err := makeDir(blob.OS{}, a.cfg.Dir); err != nil {
		return towpath.E(towpath.KindUnavailable, "agent.run", "the agent's folder can't be made").On(a.cfg.Dir).WithCause(err)
	}
	unlock, err := lockDir(a.cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	// First what a crash has left is removed: the journal can't be opened on a disk that is full of it.
	if a.files, err = openFiles(filepath.Join(a.cfg.Dir, "files"), a.client, a.cfg.Extract, a.cfg.Now); err != nil {
		return err
	}
	if a.journal, err = openJournal(blob.OS{}, filepath.Join(a.cfg.Dir, "journal"), a.cfg.Now); err != nil {
		return err
	}
	defer a.journal.close()
	if err := a.loadTrust(); err != nil {
		return err
	}
	a.session = towpath.NewID[string]("ses", a.cfg.Now())
	a.connected.Store(false) // of a Run before this one
	a.collectFiles()

	g, loops := errgroup.WithContext(ctx)
	g.Go(func() error { return a.sessionLoop(loops) })
	g.Go(func() error { return a.renewLoop(loops) })
	g.Go(func() error { return a.outboxLoop(loops) })
	g.Go(func() error { return a.keepLoop(loops) })
	g.Go(func() error { return a.observeLoop(loops) })
	g.Go(func() error { return a.countLoop(loops) })
	g.Go(func() error { return a.sampleLoop(loops) })
	err = g.Wait()
	a.work.Wait()
	if ctx.Err() != nil {
		return nil // the loops end with ctx
	}
	return err
}

// lockDir keeps a second agent out of the folder for as long as this process
// lives.
func lockDir(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, "agent.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "agent.run", "the agent's lock can't be opened").On(path).WithCause(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, towpath.E(towpath.KindLocked, "agent.run", "another agent works in this folder").On(dir).WithCause(err).
			WithHint("stop it, or give this one a folder of its own")
	}
	return func() { _ = f.Close() }, nil
}

// tries are failures in a row.
type tries struct {
	backoff  reconcile.Backoff
	failures int
}

func (a *Agent) newTries() *tries {
	return &tries{backoff: reconcile.Backoff{Base: a.cfg.RetryPause, Cap: a.cfg.RetryMax}}
}

// failed is how long to wait before the next one.
func (t *tries) failed() time.Duration {
	t.failures++
	return t.backoff.Delay(t.failures)
}

// pause returns the cause when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
