package router

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// ClientConfig says where a router is and how to start it.
type ClientConfig struct {
	Dir string // of the router; made when it is missing
	// Executable and Args start the router's process; Dir is appended to Args.
	Executable string
	Args       []string
	Env        []string // of the process; it needs none
}

// Client talks to the router of a folder, and starts it when none runs.
type Client struct {
	cfg  ClientConfig
	log  *slog.Logger
	http *http.Client
	mu   sync.Mutex // one start at a time
	seen bool       // that the router is of this program, or does not want to be
}

// NewClient starts nothing; the first Apply or Ensure does.
func NewClient(cfg ClientConfig, logger *slog.Logger) (*Client, error) {
	if cfg.Dir == "" || cfg.Executable == "" {
		return nil, towpath.E(towpath.KindInvalid, "router.client", "the router needs a folder and an executable")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "router.client", "the router's folder has no absolute path").On(cfg.Dir).WithCause(err)
	}
	cfg.Dir = dir
	c := &Client{cfg: cfg, log: logger}
	c.http = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // a router that was replaced must not be heard of any more
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			p, err := socketPath(cfg.Dir)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, "unix", p)
		},
	}}
	return c, nil
}

// Bounds of waiting for the router.
const (
	controlTimeout = 30 * time.Second
	startTimeout   = 15 * time.Second
	startPoll      = 20 * time.Millisecond
	startPause     = 50 * time.Millisecond // before a router that ended at once is started again; doubles
)

// Apply makes a change and returns once it is on disk and in force, starting
// the router if none runs. It may be repeated.
func (c *Client) Apply(ctx context.Context, change route.Change) (route.Status, error) {
	if err := c.Ensure(ctx); err != nil {
		return route.Status{}, err
	}
	a, err := c.ask(ctx, "apply", controlTimeout, change)
	if err != nil {
		return route.Status{}, err
	}
	return *a.Status, nil
}

// Status asks the running router; none running is an error of kind
// unavailable.
func (c *Client) Status(ctx context.Context) (route.Status, error) {
	a, err := c.ask(ctx, "status", controlTimeout, nil)
	if err != nil {
		return route.Status{}, err
	}
	return *a.Status, nil
}

// Snapshot reads what the running router has counted. The series of revisions
// that left are shown once more, and are gone then.
func (c *Client) Snapshot(ctx context.Context) (route.Snapshot, error) {
	a, err := c.ask(ctx, "snapshot", controlTimeout, nil)
	if err != nil {
		return route.Snapshot{}, err
	}
	return *a.Snapshot, nil
}

// Drain waits until no request is under way to a revision that gets no new
// ones, at most as long as it says, and returns how many are left. A revision
// that may get new ones is an error of kind conflict.
func (c *Client) Drain(ctx context.Context, d route.Drain) (route.Drained, error) {
	a, err := c.ask(ctx, "drain", d.Wait+controlTimeout, d)
	if err != nil {
		return route.Drained{}, err
	}
	return *a.Drained, nil
}

// Ensure starts the router, detached from this process, unless one runs. The
// first time it replaces one that runs another program: after an upgrade.
func (c *Client) Ensure(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := c.Status(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return c.startNew(ctx)
	}
	if !c.seen && st.Build != buildOf(c.cfg.Executable) {
		if err := c.replace(ctx, st); err != nil {
			c.log.WarnContext(ctx, "the router of another version goes on", "pid", st.PID, "error", err)
		}
	}
	c.seen = true
	return nil
}

// Replace starts a router that takes over from the one that runs. No connection
// is refused and no request is lost: the old one finishes what it has begun.
// When it fails the old one goes on as before.
func (c *Client) Replace(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return c.replace(ctx, st)
}

func (c *Client) replace(ctx context.Context, old route.Status) error {
	ended, err := c.start(replaceFlag)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		st, err := c.Status(ctx)
		if err == nil && st.PID != old.PID {
			c.log.InfoContext(ctx, "router replaced", "pid", st.PID, "was", old.PID, "generation", st.Generation)
			return nil
		}
		select {
		case <-ctx.Done():
		case <-ended:
		case <-tick.C:
			continue
		}
		return towpath.E(towpath.KindUnavailable, "router.replace", "the new router did not take over").On(c.cfg.Dir).WithCause(err).
			WithHint("see %s; the old one goes on", filepath.Join(c.cfg.Dir, logFile))
	}
}

// replaceFlag follows the folder when the router is to replace another one.
const replaceFlag = "--replace"

// startNew starts a router where none runs. One that was killed a moment ago may
// still hold the lock, so that the one started here leaves again: it is started
// once more then.
func (c *Client) startNew(ctx context.Context) error {
	ended, err := c.start()
	if err != nil {
		return err
	}
	c.seen = true
	var again <-chan time.Time
	pause := startPause
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		st, err := c.Status(ctx)
		if err == nil {
			c.log.InfoContext(ctx, "router started", "pid", st.PID, "generation", st.Generation)
			return nil
		}
		select {
		case <-ctx.Done():
			return towpath.E(towpath.KindUnavailable, "router.start", "the router does not come up").On(c.cfg.Dir).WithCause(err).
				WithHint("see %s", filepath.Join(c.cfg.Dir, logFile))
		case <-ended:
			again, ended = time.After(pause), nil
			pause *= 2
		case <-again:
			again = nil
			if ended, err = c.start(); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}

// maxLog is the size from which a new router starts a new log, in bytes.
const maxLog = 4 << 20

// start starts the process in a session of its own, so that nothing that ends
// this process ends it. The channel closes when the process ends.
func (c *Client) start(flags ...string) (<-chan struct{}, error) {
	fail := func(err error) (<-chan struct{}, error) {
		return nil, towpath.E(towpath.KindUnavailable, "router.start", "the router's process can't be started").On(c.cfg.Dir).WithCause(err)
	}
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return fail(err)
	}
	logPath := filepath.Join(c.cfg.Dir, logFile)
	if fi, err := os.Stat(logPath); err == nil && fi.Size() > maxLog {
		_ = os.Rename(logPath, logPath+".1")
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	cmd := exec.Command(c.cfg.Executable, slices.Concat(c.cfg.Args, []string{c.cfg.Dir}, flags)...)
	cmd.Dir, cmd.Env = "/", c.cfg.Env
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would pass on ours
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // reaps it, should it end before us
	return ended, nil
}

// ask puts a question to the router: a POST if it comes with something, else a
// GET. The answer has what was asked for. A router that was replaced says so,
// and whoever replaced it has the socket then.
func (c *Client) ask(ctx context.Context, path string, limit time.Duration, with any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for range maxReplaced {
		a, replaced, err := c.askOnce(ctx, path, with)
		if !replaced {
			return a, err
		}
	}
	return answer{}, towpath.E(towpath.KindUnavailable, "router."+path, "the router was replaced again and again").On(c.cfg.Dir)
}

// maxReplaced bounds how often a question is put again.
const maxReplaced = 5

func (c *Client) askOnce(ctx context.Context, path string, with any) (a answer, replaced bool, err error) {
	op := "router." + path
	method, body := http.MethodGet, io.Reader(nil)
	if with != nil {
		b, err := json.Marshal(with)
		if err != nil {
			return a, false, towpath.E(towpath.KindInternal, op, "the question can't be encoded").WithCause(err)
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://router/"+path, body)
	if err != nil {
		return a, false, towpath.E(towpath.KindInternal, op, "the request can't be made").WithCause(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, false, towpath.E(towpath.KindUnavailable, op, "the router can't be reached").On(c.cfg.Dir).WithCause(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusMisdirectedRequest {
		return a, true, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return a, false, towpath.E(towpath.KindUnavailable, op, "the router's answer can't be read").WithCause(err)
	}
	if a.Status == nil && a.Snapshot == nil && a.Drained == nil {
		return a, false, &towpath.Error{Kind: a.Kind, Op: op, Message: a.Message, Hint: a.Hint}
	}
	return a, false, nil
}
