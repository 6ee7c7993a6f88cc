package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"hash/fnv"
	"math"
	"sync"
	"time"

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

	turn *semaphore.Weighted // of one at a time who joins: it may wait for the session

	mu     sync.Mutex // over what stands below
	shared *session   // of this process while anybody shares it
}

// session is one that has the lock for all of this process who share it, until
// the last of them leaves. One that is lost stays theirs: who comes later has
// another. So is one that another server waits for: the next session waits behind
// that server, which has its turn however many share the latch here.
type session struct {
	conn    *sql.Conn // nil on SQLite
	sharers int
	aged    *time.Timer // ends a while after it was asked whether anybody waits
}

// everybody is more than ever share a latch.
const everybody = math.MaxInt32

// askAfter is for how long sharers join a session before it is asked whether
// somebody waits to have the latch alone.
const askAfter = time.Second

// answerWithin is how long a session may take to say that it lives.
const answerWithin = 5 * time.Second

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
// an effect that relies on it, and after what was read under it. It takes
// [answerWithin] at most.
func (h *Held) Check(ctx context.Context) error {
	if err := answers(ctx, h.conn); err != nil {
		return towpath.E(towpath.KindLocked, "latch.check", "the lock was lost with the connection to the database").
			WithHint("try again").WithCause(err)
	}
	return nil
}

// answers fails when a session is lost. It ends with nobody's context: the
// driver closes a session whose question was given up, and others share it.
func answers(ctx context.Context, conn *sql.Conn) error {
	if conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	return conn.PingContext(ctx)
}

// Release gives it back. It is called once.
func (h *Held) Release() { h.release() }

// Share waits until nobody has the latch alone, and keeps it so. It waits no longer
// than ctx.
func (l *Latch) Share(ctx context.Context) (*Held, error) {
	if err := l.local.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	s, err := l.join(ctx)
	if err != nil {
		l.local.Release(1)
		return nil, err
	}
	return &Held{s.conn, func() {
		l.leave(s)
		l.local.Release(1)
	}}, nil
}

// join is a session of the process with one more who shares it. One that was
// lost, or that somebody waits for, is left to those who have it.
func (l *Latch) join(ctx context.Context) (*session, error) {
	if err := l.turn.Acquire(ctx, 1); err != nil { // another may wait for the session
		return nil, err
	}
	defer l.turn.Release(1)
	l.mu.Lock()
	s := l.shared
	if s != nil {
		s.sharers++ // so that it is not given back meanwhile
	}
	l.mu.Unlock()
	if s != nil {
		wanted, err := l.wanted(ctx, s)
		if err == nil && !wanted && answers(ctx, s.conn) == nil {
			return s, nil
		}
		l.leave(s)
		if err != nil {
			return nil, err
		}
	}
	conn, err := l.lock(ctx, `SELECT pg_advisory_lock_shared($1)`)
	if err != nil {
		return nil, err
	}
	s = &session{conn: conn, sharers: 1, aged: time.NewTimer(askAfter)}
	l.mu.Lock()
	l.shared = s
	l.mu.Unlock()
	return s, nil
}

// wanted reports whether somebody waits to have alone what a session keeps. Whoever
// has the turn to join asks, once in [askAfter], and not in the session, in which
// others ask too.
func (l *Latch) wanted(ctx context.Context, s *session) (waits bool, err error) {
	select {
	case <-s.aged.C:
	default:
		return false, nil
	}
	if s.conn == nil {
		return false, nil
	}
	row := l.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND mode = 'ExclusiveLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid::bigint = ($1::bigint >> 32) & 4294967295 AND objid::bigint = $2::bigint & 4294967295 AND objsubid = 1)`, l.key, l.key)
	err = mapError("latch.lock", row.Scan(&waits))
	if err != nil || waits {
		s.aged.Reset(0) // ask again
	} else {
		s.aged.Reset(askAfter)
	}
	return waits, err
}

// leave gives a session back with the last who shares it.
func (l *Latch) leave(s *session) {
	l.mu.Lock()
	s.sharers--
	last := s.sharers == 0
	if last && l.shared == s {
		l.shared = nil
	}
	l.mu.Unlock()
	if last {
		s.aged.Stop()
		l.unlock(s.conn, `SELECT pg_advisory_unlock_shared($1)`)
	}
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
