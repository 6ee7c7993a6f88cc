package reconcile

import (
	"context"
	"log/slog"
	"time"
)

// LoopConfig says how often a [Loop] passes.
type LoopConfig struct {
	Name     string
	Interval time.Duration // between passes when nobody wakes it; default 1 s
	// Rest is how long it waits after a pass that left nothing, even when it is
	// woken: what comes meanwhile is done together. Default: not at all.
	Rest    time.Duration
	Backoff Backoff // after errors
	Now     func() time.Time
	Log     *slog.Logger
}

func (c LoopConfig) withDefaults() LoopConfig {
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Backoff = c.Backoff.withDefaults()
	return c
}

// Pass is one round of a [Loop]. again asks for the next one at once: there
// was more to do than one round takes.
type Pass func(ctx context.Context, now time.Time) (again bool, err error)

// Loop repeats a pass.
type Loop struct {
	cfg  LoopConfig
	pass Pass
	wake chan struct{}
}

// NewLoop makes a loop; [Loop.Run] starts it.
func NewLoop(cfg LoopConfig, pass Pass) *Loop {
	return &Loop{cfg: cfg.withDefaults(), pass: pass, wake: make(chan struct{}, 1)}
}

// Wake asks for a pass soon. It never blocks and may be called at any time.
func (l *Loop) Wake() { signal(l.wake) }

// Run passes until ctx is done and then returns nil. An error of a pass is
// logged and backed off from; a pass that panics is one that failed.
func (l *Loop) Run(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		again, err := safely(func() (bool, error) { return l.pass(ctx, l.cfg.Now()) })
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			delay := l.cfg.Backoff.Delay(failures)
			l.cfg.Log.WarnContext(ctx, "pass failed", "loop", l.cfg.Name, "failures", failures, "retry_in", delay, "error", err)
			sleep(ctx, delay, nil)
		case again:
			failures = 0
		default:
			failures = 0
			sleep(ctx, l.cfg.Rest, nil)
			sleep(ctx, l.cfg.Interval, l.wake)
		}
	}
	return nil
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
