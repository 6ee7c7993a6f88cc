package reconcile

import (
	"context"
	"time"
)

// Queue is the durable queue that a [Runner] works off; C is its claim of one
// key. A claim that was lost to somebody else makes every method but Claim and
// Due fail with [towpath.KindLocked].
type Queue[C any] interface {
	// Claim leases up to limit due keys of the kinds until now + lease.
	Claim(ctx context.Context, kinds []string, now time.Time, lease time.Duration, limit int) ([]C, error)
	// Due is when the next key of the kinds can be claimed.
	Due(ctx context.Context, kinds []string) (due time.Time, ok bool, err error)
	// Renew extends the lease until now + lease.
	Renew(ctx context.Context, c C, now time.Time, lease time.Duration) error
	// Done ends the key unless it was enqueued again since the claim.
	Done(ctx context.Context, c C, now time.Time) error
	// Snooze makes the key due after a while.
	Snooze(ctx context.Context, c C, now time.Time, after time.Duration) error
	// Fail counts a failure and makes the key due after a while.
	Fail(ctx context.Context, c C, now time.Time, after time.Duration, reason string) error
	// Release gives the key back, unfinished and without blame.
	Release(ctx context.Context, c C) error
}

// Claim is what a [Runner] reads of a queue's claim.
type Claim struct {
	Kind, Key string
	Fence     int64
	Attempts  int // failures in a row so far
}

type claimKey struct{}

// ClaimFrom is the claim under which the context's reconciler runs, so that its
// writes can check the fence; ok is false outside of a [Runner].
func ClaimFrom(ctx context.Context) (c Claim, ok bool) {
	c, ok = ctx.Value(claimKey{}).(Claim)
	return c, ok
}

// job is one claim with its queue, whatever the queue's type of claim.
type job struct {
	Claim
	renew   func(ctx context.Context, now time.Time, lease time.Duration) error
	done    func(ctx context.Context, now time.Time) error
	snooze  func(ctx context.Context, now time.Time, after time.Duration) error
	fail    func(ctx context.Context, now time.Time, after time.Duration, reason string) error
	release func(ctx context.Context) error
}

func newJob[C any](q Queue[C], c C, claim Claim) job {
	return job{
		Claim: claim,
		renew: func(ctx context.Context, now time.Time, lease time.Duration) error {
			return q.Renew(ctx, c, now, lease)
		},
		done:    func(ctx context.Context, now time.Time) error { return q.Done(ctx, c, now) },
		snooze:  func(ctx context.Context, now time.Time, d time.Duration) error { return q.Snooze(ctx, c, now, d) },
		release: func(ctx context.Context) error { return q.Release(ctx, c) },
		fail: func(ctx context.Context, now time.Time, d time.Duration, reason string) error {
			return q.Fail(ctx, c, now, d, reason)
		},
	}
}
