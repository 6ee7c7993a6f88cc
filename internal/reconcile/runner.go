package reconcile

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Reconciler moves what a key names one step: load a snapshot, decide, apply
// one transition. It may be stopped and run again at any point.
type Reconciler interface {
	// Kind is the kind of key in the queue that the reconciler works on.
	Kind() string
	// Reconcile is never called twice at once for a key. The end of ctx asks it
	// to return; what it returns then is not a failure.
	Reconcile(ctx context.Context, key string, now time.Time) (Result, error)
}

// Result says when to come back. The zero Result is done: only a new enqueueing
// brings the key back.
type Result struct{ after time.Duration }

// Done is the result of a key that needs nothing more.
func Done() Result { return Result{} }

// After is the result of a key to be looked at again after d, or earlier when
// it is enqueued.
func After(d time.Duration) Result { return Result{after: max(d, time.Millisecond)} }

// Config says how a [Runner] works. The zero Config is usable.
type Config struct {
	Workers int           // keys worked on at once; default 8
	Lease   time.Duration // how long a dead process keeps a key; default 30 s
	Poll    time.Duration // looks for keys that others enqueued; default 1 s
	Backoff Backoff       // after failures of a key
	Now     func() time.Time
	Log     *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = 8
	}
	if c.Lease <= 0 {
		c.Lease = 30 * time.Second
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
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

// Runner works off a queue with one reconciler per kind.
type Runner struct {
	cfg         Config
	reconcilers map[string]Reconciler
	kinds       []string
	claim       func(ctx context.Context, now time.Time, limit int) ([]job, error)
	due         func(ctx context.Context) (time.Time, bool, error)
	wake        chan struct{}
}

// New makes a runner on a queue; [Runner.Run] starts it. read tells the runner
// what a claim of the queue names.
func New[C any](cfg Config, q Queue[C], read func(C) Claim, reconcilers ...Reconciler) (*Runner, error) {
	r := &Runner{cfg: cfg.withDefaults(), reconcilers: map[string]Reconciler{}, wake: make(chan struct{}, 1)}
	for _, rec := range reconcilers {
		kind := rec.Kind()
		if _, ok := r.reconcilers[kind]; ok || kind == "" {
			return nil, towpath.E(towpath.KindInternal, "reconcile.new", "two reconcilers have the kind %q", kind)
		}
		r.reconcilers[kind] = rec
		r.kinds = append(r.kinds, kind)
	}
	r.claim = func(ctx context.Context, now time.Time, limit int) ([]job, error) {
		claims, err := q.Claim(ctx, r.kinds, now, r.cfg.Lease, limit)
		jobs := make([]job, len(claims))
		for i, c := range claims {
			jobs[i] = newJob(q, c, read(c))
		}
		return jobs, err
	}
	r.due = func(ctx context.Context) (time.Time, bool, error) { return q.Due(ctx, r.kinds) }
	return r, nil
}

// Wake makes the runner look at the queue now. It never blocks: call it after
// the commit of a transaction that enqueued something.
func (r *Runner) Wake() { signal(r.wake) }

// Run works until ctx is done, waits for the reconcilers to return, gives their
// unfinished keys back, and returns nil. An error of the queue is logged and
// backed off from.
func (r *Runner) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, r.cfg.Workers)
	failures := 0
	for ctx.Err() == nil {
		free := r.cfg.Workers - len(slots)
		jobs, wait, err := r.take(ctx, free)
		if err != nil && ctx.Err() == nil {
			failures++
			wait = r.cfg.Backoff.Delay(failures)
			r.cfg.Log.WarnContext(ctx, "the queue can't be read", "failures", failures, "retry_in", wait, "error", err)
		} else {
			failures = 0
		}
		for _, j := range jobs {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots; r.Wake() }()
				r.work(ctx, j)
			})
		}
		if len(jobs) == 0 || len(jobs) == free {
			sleep(ctx, wait, r.wake)
		}
	}
	return nil
}

// RunOnce works off what is due, one key after the other, until nothing is due,
// and returns how many rounds that took. It is for tests and for tools that
// drain a queue.
func (r *Runner) RunOnce(ctx context.Context) (rounds int, err error) {
	for ctx.Err() == nil {
		jobs, err := r.claim(ctx, r.cfg.Now(), 1)
		if err != nil || len(jobs) == 0 {
			return rounds, err
		}
		r.work(ctx, jobs[0])
		rounds++
	}
	return rounds, context.Cause(ctx)
}

// take claims up to free keys and says how long to wait when there is nothing
// to take: until the next one is due, at most Poll.
func (r *Runner) take(ctx context.Context, free int) ([]job, time.Duration, error) {
	if free == 0 {
		return nil, r.cfg.Poll, nil
	}
	now := r.cfg.Now()
	jobs, err := r.claim(ctx, now, free)
	if err != nil || len(jobs) > 0 {
		return jobs, r.cfg.Poll, err
	}
	due, ok, err := r.due(ctx)
	if err != nil || !ok {
		return nil, r.cfg.Poll, err
	}
	return nil, min(max(due.Sub(now), time.Millisecond), r.cfg.Poll), nil
}
