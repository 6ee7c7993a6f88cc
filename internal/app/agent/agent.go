// Package agent wires the agent: its client of the server, the runners of the
// kinds that it can run, and the processes that outlive it. It decides nothing.
// Start reading at New.
package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/router"
	"github.com/towpath/towpath/internal/towpath"
)

// Config says where an agent works.
type Config struct {
	Data       string // folder of the journal, the files and what runs
	Place      towpath.PlaceName
	TrustedKey string // the server's; empty: the first one it shows
	// ReleaseKeys are public keys in PEM: nothing runs that none of them signed.
	// Empty: the server's word for what counts is enough.
	ReleaseKeys []string
	Log         *slog.Logger
}

// New makes an agent that talks through a client.
func New(cfg Config, client agent.Client) (*agent.Agent, error) {
	processes, _, err := runners(&cfg)
	if err != nil {
		return nil, err
	}
	released, err := agent.NewVerified(cfg.ReleaseKeys)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return agent.New(agent.Config{
		Dir: cfg.Data, Name: host, Place: cfg.Place, Now: time.Now, TrustedKey: cfg.TrustedKey,
		Extract: extract, Released: released, ObserveEvery: 2 * time.Second,
	}, client, []kind.Runner{processes}, cfg.Log)
}

// runners makes the run halves that this binary has.
func runners(cfg *Config) (*run.Runner, *router.Client, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, nil, towpath.E(towpath.KindInternal, "agent.start", "the path of this program is unknown").WithCause(err)
	}
	if cfg.Data, err = filepath.Abs(cfg.Data); err != nil {
		return nil, nil, towpath.E(towpath.KindInvalid, "agent.start", "the agent's folder has no absolute path").WithCause(err)
	}
	routes, err := router.NewClient(router.ClientConfig{
		Dir: filepath.Join(cfg.Data, "router"), Executable: executable, Args: []string{"router"},
	}, cfg.Log)
	if err != nil {
		return nil, nil, err
	}
	processes, err := run.New(run.Config{
		Dir: filepath.Join(cfg.Data, "run"), Executable: executable, ShimArgs: []string{"shim"}, Getenv: os.Getenv, Now: time.Now,
	}, routes, cfg.Log)
	return processes, routes, err
}

// Stop ends everything that runs in an agent's folder, and its router, and
// keeps what is known of it: the next agent in the folder starts again what had
// traffic. The agent itself must have ended; one that works is an error of kind
// locked.
func Stop(ctx context.Context, cfg Config) error {
	if _, err := os.Stat(cfg.Data); errors.Is(err, os.ErrNotExist) {
		return nil // no agent has ever worked here
	}
	unlock, err := lock(cfg.Data)
	if err != nil {
		return err
	}
	defer unlock()
	processes, routes, err := runners(&cfg)
	if err != nil {
		return err
	}
	err = processes.Halt(ctx)
	st, statusErr := routes.Status(ctx)
	if statusErr != nil || st.PID <= 0 {
		return err // none runs
	}
	p, findErr := os.FindProcess(st.PID)
	if findErr == nil {
		findErr = p.Signal(syscall.SIGTERM)
	}
	return errors.Join(err, findErr)
}

// lock keeps agents out of a folder, as an agent does itself.
func lock(dir string) (unlock func(), err error) {
	const op = "agent.stop"
	f, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the agent's lock can't be opened").On(dir).WithCause(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, towpath.E(towpath.KindLocked, op, "an agent works in this folder, and would start again what is stopped").On(dir).
			WithHint("end it first: Ctrl-C in the terminal of `towpath dev` or `towpath agent`")
	}
	return func() { _ = f.Close() }, nil
}

// extract unpacks a layer within the limits of a release, read-only.
func extract(ctx context.Context, r io.Reader, dest *os.Root) error {
	_, err := oci.Extract(ctx, r, dest, oci.ExtractOptions{Limits: oci.DefaultLimits(), ReadOnly: true, Sync: true})
	return err
}
