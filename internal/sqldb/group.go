package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// together bounds how many transactions one commit makes durable: the first of
// them waits for all the others.
const together = 64

// errLost is that the engine gave a transaction of several up for one of them;
// nothing of the others was committed, and they run again.
var errLost = errors.New("the transaction was given up for another one that it shared a commit with")

// group commits transactions on SQLite together. They run one after the other,
// each within a savepoint of one transaction of the engine, as long as others
// wait; then one commit makes all of them durable. So the many that come while
// the disk syncs cost one sync, and whoever is alone waits for nobody.
//
// It is what a queue for the connection would be, but for when it commits:
// each sees the ones before it, none sees one after it, and one that fails is
// rolled back alone. Nobody is told anything before the commit, also who only
// failed: it may be because of one before it that was not durable yet.
type group struct {
	pool *sql.DB // of one connection

	mu      sync.Mutex
	waiting []*member
	running bool // run is, and takes who waits
}

// member is a transaction that waits for its turn.
type member struct {
	ctx   context.Context //nolint:containedctx // of who waits; the connection is asked for in its name
	turn  chan turn       // gets one
	left  chan bool       // whether it is to be kept; sent once when it had its turn
	ended chan error      // gets what became of all, when it had its turn
}

// turn is the connection, for one member; err is that it can't be had.
type turn struct {
	conn *sql.Conn
	err  error
}

// do runs f in a turn, and returns when what it did is durable, or the error
// of f when nothing that f saw can be lost any more.
func (g *group) do(ctx context.Context, f func(*sql.Conn) error) error {
	m := &member{ctx: ctx, turn: make(chan turn, 1), left: make(chan bool, 1), ended: make(chan error, 1)}
	g.join(m)
	var mine turn
	select {
	case mine = <-m.turn:
	case <-ctx.Done():
		if g.leave(m) {
			return context.Cause(ctx)
		}
		mine = <-m.turn // it came at the same moment: whoever gave it waits for an answer
	}
	if mine.err != nil {
		return mine.err
	}
	err := m.take(mine.conn, f)
	if ended := <-m.ended; ended != nil || err == nil {
		return ended // also who failed: it may be for what the commit did not keep
	}
	return err
}

// take runs f and gives the turn back, also when f panics. Who gave up waiting
// meanwhile is told so, and nothing is kept.
func (m *member) take(conn *sql.Conn, f func(*sql.Conn) error) (err error) {
	keep := false
	defer func() { m.left <- keep }()
	if err = f(conn); err == nil && m.ctx.Err() != nil {
		err = context.Cause(m.ctx)
	}
	keep = err == nil
	return err
}

// join lines up.
func (g *group) join(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if !g.running {
		g.running = true
		go g.run()
	}
}

// leave is false when the member has been called already.
func (g *group) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == m {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// next is who waits the longest; nil: nobody does.
func (g *group) next() *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return nil
	}
	m := g.waiting[0]
	g.waiting = g.waiting[1:]
	return m
}

// run gives turns until nobody waits.
func (g *group) run() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if first := g.next(); first != nil { // it may have left
			g.share(first)
		}
	}
}

// share is one transaction of the engine, for the first member and those that
// come while it is open.
func (g *group) share(first *member) {
	conn, err := g.begin(first.ctx)
	if err != nil {
		first.turn <- turn{err: err}
		return
	}
	var all []*member
	for m := first; m != nil; m = g.next() {
		if err := serve(conn, m); err != nil {
			undo(conn)
			tell(all, errLost)
			return
		}
		if all = append(all, m); len(all) == together {
			break
		}
	}
	if err = execute(conn, `COMMIT`); err != nil {
		undo(conn)
	} else {
		_ = conn.Close() // gives it back
	}
	tell(all, err)
}

// tell ends the transactions of members that had their turn.
func tell(all []*member, err error) {
	for _, m := range all {
		m.ended <- err
	}
}

// begin opens a transaction, waiting for other processes that write as long as
// the first member does.
func (g *group) begin(ctx context.Context) (*sql.Conn, error) {
	conn, err := g.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		undo(conn)
		return nil, err
	}
	return conn, nil
}

// serve gives a member its turn within a savepoint. An error means that the
// whole transaction is lost, and that the member knows: some errors make the
// engine roll all of it back, savepoints included.
func serve(conn *sql.Conn, m *member) error {
	if err := execute(conn, `SAVEPOINT member`); err != nil {
		m.turn <- turn{err: err}
		return err
	}
	m.turn <- turn{conn: conn}
	if !<-m.left {
		if err := execute(conn, `ROLLBACK TO member`); err != nil {
			m.ended <- nil // it has the error that this is the consequence of
			return err
		}
	}
	err := execute(conn, `RELEASE member`)
	if err != nil {
		m.ended <- err
	}
	return err
}

// undo rolls back what is open, and gives the connection back without it.
func undo(conn *sql.Conn) {
	// That nothing is open is an error too: then the engine did it already.
	_ = execute(conn, `ROLLBACK`)
	_ = conn.Close()
}

// execute runs a statement of the group's own, which nobody cancels.
func execute(conn *sql.Conn, statement string) error {
	_, err := conn.ExecContext(context.Background(), statement)
	return err
}

// uninterrupted runs statements of a member. A statement that is interrupted
// costs all members their transaction, so that a context which is done is only
// looked at in between: what writes is short.
type uninterrupted struct{ conn *sql.Conn }

func (u uninterrupted) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return u.conn.ExecContext(context.WithoutCancel(ctx), query, args...)
}

func (u uninterrupted) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return u.conn.QueryContext(context.WithoutCancel(ctx), query, args...)
}

func (u uninterrupted) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if ctx.Err() != nil {
		return u.conn.QueryRowContext(ctx, query, args...) // says so before it runs
	}
	return u.conn.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}
