package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/towpath/towpath/internal/towpath"
)

// IsUnique reports whether err says that a primary key or unique index stands
// in the way. On PostgreSQL the transaction is lost then; where a duplicate is
// expected, use ON CONFLICT and count the rows.
func IsUnique(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// retryable reports whether the same transaction may succeed when it is run
// again from its start: nothing of it was committed.
func retryable(err error) bool {
	if errors.Is(err, errLost) {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		primary := lite.Code() & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	return false
}

// MapError turns errors of the engine that users can do something about into a
// [towpath.Error]; other errors, sql.ErrNoRows among them, come back as they
// are. [DB.InTx] and [DB.View] have done it already.
func MapError(op string, err error) error { return mapError(op, err) }

func mapError(op string, err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*towpath.Error](err); ok {
		return err
	}
	if message, hint := unavailable(err); message != "" {
		return towpath.E(towpath.KindUnavailable, op, "%s", message).WithHint("%s", hint).WithCause(err)
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return towpath.E(towpath.KindInternal, op, "the database file is damaged or not a database").
				WithHint("restore it from a backup").WithCause(err)
		}
	}
	return err
}

// unavailable is what to tell users when the engine can't serve now; message
// is empty for other errors.
func unavailable(err error) (message, hint string) {
	if errors.Is(err, errLost) {
		return "the database is busy", "others' transactions failed again and again; try again in a moment"
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailablePostgres(pg.Code)
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return unavailableSQLite(lite.Code() & 0xff)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "the database can't be reached", "check that PostgreSQL runs and that the database URL is right"
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || pgconn.SafeToRetry(err) {
		return "the connection to the database was lost", "try again; if it stays away, check the database"
	}
	return "", ""
}

func unavailablePostgres(code string) (message, hint string) {
	switch {
	case code == "53100":
		return "the disk of the database is full", "free space or grow the disk; reads keep working"
	case code == "53300":
		return "the database has no free connection", "raise max_connections or lower the server's pool"
	case strings.HasPrefix(code, "53"):
		return "the database is out of resources", "look at its log"
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return "the database is shutting down or starting", "try again in a moment"
	case strings.HasPrefix(code, "58"):
		return "the database reports an I/O error", "check its disk and its log"
	case code == "25006":
		return "the database accepts no writes", "it is a replica or read-only: give the URL of the primary"
	case code == "40001", code == "40P01", code == "55P03":
		return "the database is busy", "try again in a moment"
	case code == "3D000", strings.HasPrefix(code, "28"):
		return "the database refused the connection", "check database, user and password in the database URL"
	}
	return "", ""
}

func unavailableSQLite(primary int) (message, hint string) {
	switch primary {
	case sqlite3.SQLITE_FULL:
		return "the disk of the database is full", "free space on it; reads keep working"
	case sqlite3.SQLITE_IOERR:
		return "the database file can't be read or written", "check its disk"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return "the database file can't be opened", "check that the path exists and that its directory can be written"
	case sqlite3.SQLITE_READONLY:
		return "the database accepts no writes", "check the permissions of the file and its directory"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "the database is busy", "another process writes to the file; try again in a moment"
	}
	return "", ""
}
