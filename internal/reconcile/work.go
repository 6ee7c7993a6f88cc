package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// errLost ends the context of a reconciler whose claim somebody else has now.
var errLost = errors.New("the claim of this key was lost")

// recordTimeout bounds how long a stopping process tries to record an outcome.
const recordTimeout = 5 * time.Second

// work runs one claimed key and records the outcome.
func (r *Runner) work(ctx context.Context, j job) {
	log := r.cfg.Log.With("kind", j.Kind, "key", j.Key)
	inner, cancel := context.WithCancelCause(context.WithValue(ctx, claimKey{}, j.Claim))
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		r.keep(inner, j, cancel)
	}()
	result, err := safely(func() (Result, error) {
		return r.reconcilers[j.Kind].Reconcile(inner, j.Key, r.cfg.Now())
	})
	lost := errors.Is(context.Cause(inner), errLost)
	cancel(nil)
	<-renewing
	if lost {
		log.WarnContext(ctx, "the claim was lost while working on it")
		return
	}

	// The outcome is recorded even when ctx is done: it has happened.
	record, done := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer done()
	if recordErr := r.record(record, ctx.Err() != nil, j, result, err); recordErr != nil {
		log.WarnContext(ctx, "the outcome was not recorded; the key runs again", "error", recordErr)
	}
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "reconcile failed", "attempts", j.Attempts+1, "error", err)
	}
}

// record writes the outcome of a round to the queue. Cancellation is never a
// failure of the work.
func (r *Runner) record(ctx context.Context, stopping bool, j job, result Result, err error) error {
	now := r.cfg.Now()
	switch {
	case err != nil && stopping:
		return j.release(ctx)
	case err != nil:
		return j.fail(ctx, now, r.cfg.Backoff.Delay(j.Attempts+1), err.Error())
	case result.after > 0:
		return j.snooze(ctx, now, result.after)
	default:
		return j.done(ctx, now)
	}
}

// keep renews the claim until ctx is done. When it is lost, or could not be
// renewed before it ended, the reconciler is stopped.
func (r *Runner) keep(ctx context.Context, j job, stop context.CancelCauseFunc) {
	until := r.cfg.Now().Add(r.cfg.Lease)
	for {
		sleep(ctx, r.cfg.Lease/3, nil)
		if ctx.Err() != nil {
			return
		}
		now := r.cfg.Now()
		err := r.renew(ctx, j, now, until)
		switch {
		case err == nil:
			until = now.Add(r.cfg.Lease)
		case ctx.Err() != nil:
			return
		case towpath.KindOf(err) == towpath.KindLocked || !r.cfg.Now().Before(until):
			stop(errLost)
			return
		}
	}
}

// renew asks no longer than the claim lasts: a queue that says nothing must not
// keep a reconciler at what somebody else has by then.
func (r *Runner) renew(ctx context.Context, j job, now, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, until.Sub(now))
	defer cancel()
	return j.renew(ctx, now, r.cfg.Lease)
}
