package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Task is something that runs until its context is done.
type Task struct {
	Name string
	Run  func(ctx context.Context) error
}

// SupervisorConfig says how a [Supervisor] restarts tasks. The zero value is
// usable.
type SupervisorConfig struct {
	Backoff Backoff
	// Settled is how long a task must have run for its earlier failures to be
	// forgotten; default 1 min.
	Settled time.Duration
	Log     *slog.Logger
}

// Supervisor runs tasks side by side, starts one that ended again after a
// while, and stops all of them together.
type Supervisor struct {
	cfg   SupervisorConfig
	tasks []Task
}

// NewSupervisor makes a supervisor; [Supervisor.Run] starts the tasks.
func NewSupervisor(cfg SupervisorConfig, tasks ...Task) *Supervisor {
	cfg.Backoff = cfg.Backoff.withDefaults()
	if cfg.Settled <= 0 {
		cfg.Settled = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{cfg: cfg, tasks: tasks}
}

// Run returns nil once ctx is done and every task has returned.
func (s *Supervisor) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, task := range s.tasks {
		running.Go(func() { s.keep(ctx, task) })
	}
	running.Wait()
	return nil
}

// keep runs one task again and again. A task that returns before ctx is done
// has failed, whatever it returned.
func (s *Supervisor) keep(ctx context.Context, task Task) {
	failures := 0
	for ctx.Err() == nil {
		start := time.Now()
		_, err := safely(func() (struct{}, error) { return struct{}{}, task.Run(ctx) })
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Cause(ctx)) && !errors.Is(err, ctx.Err()) {
				s.cfg.Log.WarnContext(ctx, "task ended with an error while stopping", "task", task.Name, "error", err)
			}
			return
		}
		if err == nil {
			err = towpath.E(towpath.KindInternal, "supervisor", "the task returned before it was stopped").On(task.Name)
		}
		if time.Since(start) >= s.cfg.Settled {
			failures = 0
		}
		failures++
		delay := s.cfg.Backoff.Delay(failures)
		s.cfg.Log.ErrorContext(ctx, "task failed", "task", task.Name, "failures", failures, "restart_in", delay, "error", err)
		sleep(ctx, delay, nil)
	}
}
