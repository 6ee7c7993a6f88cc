package reconcile

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait after failures in a row: Base, doubled with each,
// at most Cap, less up to half at random so that many don't come back at once.
type Backoff struct {
	Base time.Duration // default 500 ms
	Cap  time.Duration // default 1 min
}

func (b Backoff) withDefaults() Backoff {
	if b.Base <= 0 {
		b.Base = 500 * time.Millisecond
	}
	if b.Cap <= 0 {
		b.Cap = time.Minute
	}
	b.Cap = max(b.Cap, b.Base)
	return b
}

// Delay is the wait after failures in a row, of which there was at least one.
// It lies between half of the nominal delay and all of it.
func (b Backoff) Delay(failures int) time.Duration {
	nominal := b.Cap
	if shift := max(failures-1, 0); shift < 32 && b.Base<<shift < b.Cap {
		nominal = b.Base << shift
	}
	return nominal/2 + rand.N(nominal/2+1)
}

// sleep waits for d, for a signal on wake, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
	}
}
