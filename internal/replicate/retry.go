package replicate

import (
	"context"
	"errors"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Config says how places are asked. The zero value will do.
type Config struct {
	Limits   Limits
	Attempts int               // at each thing; default 6
	Backoff  reconcile.Backoff // between them; default 500 ms, at most 20 s
	Parallel int               // blobs at once; default 4
	// Trust is to believe a destination that says that it has a blob, instead
	// of reading the blob from it again.
	Trust bool
	// Left is told what is about something and was left out of a walk, because it
	// can't be read or is more than the limits; nil: then there is no walk. Needed
	// are those that are not left out, and are read before others.
	Left   func(d v1.Descriptor, why error)
	Needed []towpath.Digest
	// Report is told what goes on, from several goroutines; may be nil.
	Report func(Progress)
	// Waits is told before each further attempt; may be nil.
	Waits func(Wait)
}

// Progress is one thing that was dealt with.
type Progress struct {
	Digest towpath.Digest
	Bytes  int64
	What   What
}

// What became of a thing.
type What string

// What becomes of things.
const (
	Copied   What = "copied"
	Present  What = "present"
	Mounted  What = "mounted"
	Compared What = "compared" // at the destination, after the copy
)

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.Attempts <= 0 {
		c.Attempts = 6
	}
	if c.Backoff.Base <= 0 {
		c.Backoff = reconcile.Backoff{Base: 500 * time.Millisecond, Cap: 20 * time.Second}
	}
	if c.Parallel <= 0 {
		c.Parallel = 4
	}
	if c.Report == nil {
		c.Report = func(Progress) {}
	}
	if c.Waits == nil {
		c.Waits = func(Wait) {}
	}
	return c
}

// busy is the cause of an error of a place that says when to come back.
type busy struct {
	error
	after time.Duration
}

func (b busy) Unwrap() error { return b.error }

// maxWait bounds how long a place may have us wait before one attempt.
const maxWait = 2 * time.Minute

// stalls is how often a place may say nothing: to wait for it once more tells
// nobody anything.
const stalls = 2

// again does f until it succeeds, fails for good or was attempted enough.
func (c Config) again(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		stalled := failures >= stalls && errors.Is(err, errStalled)
		if failures >= c.Attempts || stalled || towpath.KindOf(err) != towpath.KindUnavailable {
			return err
		}
		wait := c.Backoff.Delay(failures)
		if b := (busy{}); errors.As(err, &b) {
			wait = max(wait, min(b.after, maxWait))
		}
		why, _ := towpath.PublicMessage(err)
		c.Waits(Wait{Why: why, Next: wait, Attempt: failures + 1, Of: c.Attempts})
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
