package reconcile_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// memory is a queue for tests of time, in which no database may wait; the
// durable one is tested where it is.
type memory struct {
	mu      sync.Mutex
	entries map[string]*entry
	fence   int64
	broken  error // what Claim and Renew answer
	silent  bool  // Renew says nothing
	log     []string
}

type entry struct {
	due, until time.Time
	fence, gen int64
	attempts   int
}

type claim struct {
	key        string
	fence, gen int64
	attempts   int
}

func readClaim(c claim) reconcile.Claim {
	return reconcile.Claim{Kind: "k", Key: c.key, Fence: c.fence, Attempts: c.attempts}
}

func newMemory() *memory { return &memory{entries: map[string]*entry{}} }

func (m *memory) enqueue(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok {
		e = &entry{}
		m.entries[key] = e
	}
	e.gen++
	e.due = time.Now()
}

func (m *memory) history() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

func (m *memory) breakWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *memory) Claim(_ context.Context, _ []string, now time.Time, lease time.Duration, limit int) (out []claim, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range m.entries {
		if len(out) < limit && m.broken == nil && !e.due.After(now) && !e.until.After(now) {
			m.fence++
			e.fence, e.until = m.fence, now.Add(lease)
			out = append(out, claim{key, e.fence, e.gen, e.attempts})
		}
	}
	return out, m.broken
}

func (m *memory) Due(context.Context, []string) (due time.Time, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		at := e.due
		if e.until.After(at) {
			at = e.until
		}
		if !ok || at.Before(due) {
			due, ok = at, true
		}
	}
	return due, ok, m.broken
}

// end records an outcome of a claim that still holds.
func (m *memory) end(c claim, outcome string, change func(e *entry)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[c.key]
	if !ok || e.fence != c.fence {
		return towpath.E(towpath.KindLocked, "memory", "lost")
	}
	m.log = append(m.log, outcome+" "+c.key)
	e.until = time.Time{}
	change(e)
	return nil
}

func (m *memory) Renew(ctx context.Context, c claim, now time.Time, lease time.Duration) error {
	if m.silent {
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[c.key]
	if m.broken != nil {
		return m.broken
	}
	if !ok || e.fence != c.fence {
		return towpath.E(towpath.KindLocked, "memory", "lost")
	}
	e.until = now.Add(lease)
	return nil
}

func (m *memory) Done(_ context.Context, c claim, now time.Time) error {
	return m.end(c, "done", func(e *entry) {
		if e.attempts, e.due = 0, now; e.gen == c.gen {
			delete(m.entries, c.key)
		}
	})
}

func (m *memory) Snooze(_ context.Context, c claim, now time.Time, after time.Duration) error {
	return m.end(c, "snooze", func(e *entry) { e.attempts, e.due = 0, now.Add(after) })
}

func (m *memory) Fail(_ context.Context, c claim, now time.Time, after time.Duration, _ string) error {
	return m.end(c, "fail", func(e *entry) { e.attempts, e.due = e.attempts+1, now.Add(after) })
}

func (m *memory) Release(_ context.Context, c claim) error {
	return m.end(c, "release", func(*entry) {})
}
