package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"hash/fnv"
	"sync"

	"github.com/towpath/towpath/internal/towpath"
)

// Latch is held by many who share it or by one who has it alone, among all
// servers on a database. It ends with the process, however that ends. On
// PostgreSQL it is an advisory lock of a session of its own, so a pooler in
// front of it must not hand sessions around.
type Latch struct {
	db    *DB
	key   int64
	local sync.RWMutex // among the goroutines of this process

	mu      sync.Mutex
	sharers int
	shared  *sql.Conn // the process' one session while anybody shares it
}

// NewLatch makes the latch of a name.
func NewLatch(db *DB, name string) *Latch {
	h := fnv.New64a()
	_, _ = h.Write([]byte("towpath latch " + name))
	return &Latch{db: db, key: int64(h.Sum64())} //nolint:gosec // a hash: any 64 bits will do
}

// Held is a latch that somebody holds.
type Held struct {
	conn    *sql.Conn // nil on SQLite
	release func()
}

// Check fails as locked when the latch was lost with its session: look before
// an effect that relies on it.
func (h *Held) Check(ctx context.Context) error {
	if h.conn == nil {
		return nil
	}
	if err := h.conn.PingContext(ctx); err != nil {
		return towpath.E(towpath.KindLocked, "latch.check", "the lock was lost with the connection to the database").
			WithHint("try again").WithCause(err)
	}
	return nil
}

// Release gives it back. It is called once.
func (h *Held) Release() { h.release() }

// Share waits until nobody has the latch alone, and keeps it so.
func (l *Latch) Share(ctx context.Context) (*Held, error) {
	l.local.RLock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sharers == 0 {
		conn, err := l.lock(ctx, `SELECT pg_advisory_lock_shared($1)`)
		if err != nil {
			l.local.RUnlock()
			return nil, err
		}
		l.shared = conn
	}
	l.sharers++
	return &Held{l.shared, l.unshare}, nil
}

func (l *Latch) unshare() {
	l.mu.Lock()
	if l.sharers--; l.sharers == 0 {
		l.unlock(l.shared, `SELECT pg_advisory_unlock_shared($1)`)
		l.shared = nil
	}
	l.mu.Unlock()
	l.local.RUnlock()
}

// Own waits until nobody holds the latch, and keeps everybody out.
func (l *Latch) Own(ctx context.Context) (*Held, error) {
	l.local.Lock()
	conn, err := l.lock(ctx, `SELECT pg_advisory_lock($1)`)
	if err != nil {
		l.local.Unlock()
		return nil, err
	}
	return &Held{conn, func() {
		l.unlock(conn, `SELECT pg_advisory_unlock($1)`)
		l.local.Unlock()
	}}, nil
}

// lock takes the lock in a session of its own; SQLite has one server, and needs
// none.
func (l *Latch) lock(ctx context.Context, query string) (*sql.Conn, error) {
	if l.db.dialect != Postgres {
		return nil, nil
	}
	conn, err := l.db.write.Conn(ctx)
	if err != nil {
		return nil, mapError("latch.lock", err)
	}
	if _, err := conn.ExecContext(ctx, query, l.key); err != nil {
		discard(conn) // it may have been given all the same
		return nil, mapError("latch.lock", err)
	}
	return conn, nil
}

func (l *Latch) unlock(conn *sql.Conn, query string) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.db.cfg.BusyTimeout)
	defer cancel()
	if _, err := conn.ExecContext(ctx, query, l.key); err != nil {
		discard(conn)
		return
	}
	_ = conn.Close()
}

// discard ends a session, and the locks with it.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}
