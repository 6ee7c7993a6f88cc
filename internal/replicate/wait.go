package replicate

import (
	"fmt"
	"time"
)

// Wait is something that holds a copy up: an attempt that failed and is made
// again, or a request to which nothing is said.
type Wait struct {
	Why string // of an attempt that failed

	Next        time.Duration // until the next attempt
	Attempt, Of int           // which one that is

	Host         string        // that says nothing; empty: an attempt failed
	Silent, Most time.Duration // for how long so far, and at most
}

// String is for people: what is waited for, and for how long.
func (w Wait) String() string {
	if w.Host != "" {
		return fmt.Sprintf("%s has said nothing for %s; a request is given up after %s of that", w.Host, w.Silent, w.Most)
	}
	return fmt.Sprintf("%s; attempt %d of %d follows in %s", w.Why, w.Attempt, w.Of, w.Next.Round(100*time.Millisecond))
}
