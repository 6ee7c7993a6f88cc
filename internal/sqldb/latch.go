package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"hash/fnv"
	"math"

	"golang.org/x/sync/semaphore"

	"github.com/towpath/towpath/internal/towpath"
)

// Latch is held by many who share it or by one who has it alone, among all
// servers on a database. It ends with the process, however that ends. On
// PostgreSQL it is an advisory lock of a session of its own, so a pooler in
// front of it must not hand sessions around.
type Latch struct {
	db    *DB
	key   int64
	local *semaphore.Weighted // among the goroutines of this process; whoever has it alone has all of it

	turn    *semaphore.Weighted // of one at a time, over what stands below
	sharers int
	shared  *sql.Conn // the process' one session while anybody shares it
}

// everybody is more than ever share a latch.
const everybody = math.MaxInt32

// NewLatch makes the latch of a name.
func NewLatch(db *DB, name string) *Latch {
	h := fnv.New64a()
	_, _ = h.Write([]byte("towpath latch " + name))
	return &Latch{
		db: db, key: int64(h.Sum64()), //nolint:gosec // a hash: any 64 bits will do
		local: semaphore.NewWeighted(everybody), turn: semaphore.NewWeighted(1),
	}
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

// Share waits until nobody has the latch alone, and keeps it so. It waits no longer
// than ctx.
func (l *Latch) Share(ctx context.Context) (*Held, error) {
	if err := l.local.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	conn, err := l.join(ctx)
	if err != nil {
		l.local.Release(1)
		return nil, err
	}
	return &Held{conn, l.unshare}, nil
}

// join is the process' session with one more who shares it.
func (l *Latch) join(ctx context.Context) (*sql.Conn, error) {
	if err := l.turn.Acquire(ctx, 1); err != nil { // another may wait for the session
		return nil, err
	}
	defer l.turn.Release(1)
	if l.sharers == 0 {
		conn, err := l.lock(ctx, `SELECT pg_advisory_lock_shared($1)`)
		if err != nil {
			return nil, err
		}
		l.shared = conn
	}
	l.sharers++
	return l.shared, nil
}

func (l *Latch) unshare() {
	_ = l.turn.Acquire(context.Background(), 1) // giving back is never given up
	if l.sharers--; l.sharers == 0 {
		l.unlock(l.shared, `SELECT pg_advisory_unlock_shared($1)`)
		l.shared = nil
	}
	l.turn.Release(1)
	l.local.Release(1)
}

// Own waits until nobody holds the latch, and keeps everybody out. It waits no
// longer than ctx.
func (l *Latch) Own(ctx context.Context) (*Held, error) {
	if err := l.local.Acquire(ctx, everybody); err != nil {
		return nil, err
	}
	conn, err := l.lock(ctx, `SELECT pg_advisory_lock($1)`)
	if err != nil {
		l.local.Release(everybody)
		return nil, err
	}
	return &Held{conn, func() {
		l.unlock(conn, `SELECT pg_advisory_unlock($1)`)
		l.local.Release(everybody)
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
