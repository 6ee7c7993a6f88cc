package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
)

// statements is how many statements a connection to SQLite keeps prepared. They
// are some kilobytes each.
const statements = 128

// preparing makes connections that prepare each statement once: to read SQL and
// to plan it costs more than most of what is asked here. pgx does the same.
type preparing struct{ driver.Connector }

// Connect implements [driver.Connector].
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := c.(engine)
	if !ok {
		return nil, errors.Join(errors.New("the driver of SQLite can't prepare statements"), c.Close())
	}
	return &connection{engine: own, prepared: map[string]*statement{}}, nil
}

// engine is what the driver's connection can do.
type engine interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// connection is one to SQLite, used by one goroutine at a time.
type connection struct {
	engine
	prepared map[string]*statement
}

// statement is prepared. One whose rows are being read can't run again before
// they are closed.
type statement struct {
	driver.Stmt
	reading bool
}

// ExecContext implements [driver.ExecerContext].
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	run, ok := s.Stmt.(driver.StmtExecContext)
	if !ok || s.reading {
		return c.engine.ExecContext(ctx, query, args)
	}
	return run.ExecContext(ctx, args)
}

// QueryContext implements [driver.QueryerContext].
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	run, ok := s.Stmt.(driver.StmtQueryContext)
	if !ok || s.reading {
		return c.engine.QueryContext(ctx, query, args)
	}
	rows, err := run.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &reading{rows, s}, nil
}

// prepare is the statement of a text. When there are too many, all that are not
// being read are forgotten: those in use come back at once.
func (c *connection) prepare(ctx context.Context, query string) (*statement, error) {
	if s, ok := c.prepared[query]; ok {
		return s, nil
	}
	if len(c.prepared) >= statements {
		for text, s := range c.prepared {
			if s.reading {
				continue
			}
			delete(c.prepared, text)
			if err := s.Close(); err != nil {
				return nil, err
			}
		}
	}
	own, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &statement{Stmt: own}
	c.prepared[query] = s
	return s, nil
}

// Close closes the connection and what it prepared.
func (c *connection) Close() error {
	var failed []error
	for _, s := range c.prepared {
		failed = append(failed, s.Close())
	}
	return errors.Join(append(failed, c.engine.Close())...)
}

// reading are the rows of a statement.
type reading struct {
	driver.Rows
	of *statement
}

// Close frees the statement.
func (r *reading) Close() error {
	r.of.reading = false
	return r.Rows.Close()
}
