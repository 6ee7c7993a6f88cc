package sqldb

import (
	"context"
	"sync"
	"time"
)

// writeCheckName is the lease that nobody holds and every check writes.
const writeCheckName = "check/writes"

// Bounds of a check: whoever asks more often is told what the last one said.
const (
	writeCheckEvery   = time.Second
	writeCheckTimeout = 3 * time.Second
)

// WriteCheck finds out whether a database takes writes by writing one row, always
// the same. Anybody may ask: it writes once a second at most.
type WriteCheck struct {
	db *DB

	mu   sync.Mutex
	last time.Time
	said error
}

// NewWriteCheck makes one; it writes nothing yet.
func NewWriteCheck(db *DB) *WriteCheck { return &WriteCheck{db: db} }

// Run fails when the database takes no writes now.
func (c *WriteCheck) Run(ctx context.Context, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.last); !c.last.IsZero() && since >= 0 && since < writeCheckEvery {
		return c.said
	}
	// What it says is said to others too: it must not depend on who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeCheckTimeout)
	defer cancel()
	_, c.said = c.db.Exec(ctx, `INSERT INTO lease (name, owner, fence, until) VALUES ($1, '', 1, 0)
		ON CONFLICT (name) DO UPDATE SET fence = lease.fence + 1`, writeCheckName)
	c.last = now
	return c.said
}
