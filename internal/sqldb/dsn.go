package sqldb

import (
	"cmp"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/towpath/towpath/internal/towpath"
)

const urlHint = "use sqlite:///path/to/file, a path, or postgres://user@host/database"

// parseURL tells the engine; path is the file of an SQLite database.
func parseURL(raw string) (d Dialect, path string, err error) {
	switch {
	case strings.HasPrefix(raw, "postgres://"), strings.HasPrefix(raw, "postgresql://"):
		return Postgres, "", nil
	case strings.HasPrefix(raw, "sqlite://"):
		u, err := url.Parse(raw)
		if err != nil || u.Host != "" || u.Path == "" {
			return "", "", towpath.E(towpath.KindInvalid, "sqldb.open", "the URL of the SQLite database is not sqlite:///path").
				WithHint(urlHint)
		}
		return SQLite, u.Path, nil
	case raw == "" || strings.Contains(raw, "://") || strings.HasPrefix(raw, ":"):
		return "", "", towpath.E(towpath.KindInvalid, "sqldb.open", "the database URL is neither of SQLite nor of PostgreSQL").
			WithHint(urlHint)
	default:
		return SQLite, raw, nil
	}
}

// sqliteDSN is the driver's name of the file with the settings of a
// connection. Contract 9 and the ledger need synchronous=FULL: a commit that
// was acknowledged survives a power cut.
func sqliteDSN(path string, busy time.Duration, reader bool) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(busy.Milliseconds(), 10)+")")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	if reader {
		// What others wrote empties a reader's cache, so more of it would only be
		// memory; the operating system keeps the pages too.
		q.Add("_pragma", "cache_size(-1000)")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_pragma", "cache_size(-4000)")
		// What savepoints need to roll back: in files it would be written too.
		q.Add("_pragma", "temp_store(MEMORY)")
		// Pages, so 16 MiB: what is written often is then copied less often from
		// the log to the database.
		q.Add("_pragma", "wal_autocheckpoint(4000)")
		q.Set("_txlock", "immediate")
	}
	u := url.URL{Path: path}
	return "file:" + u.EscapedPath() + "?" + q.Encode()
}

func (db *DB) openSQLite(path string, cfg Config) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return towpath.E(towpath.KindInvalid, "sqldb.open", "the path of the database can't be resolved").On(path).WithCause(err)
	}
	if _, err := os.Stat(filepath.Dir(abs)); err != nil {
		return towpath.E(towpath.KindUnavailable, "sqldb.open", "the directory of the database can't be used").
			On(filepath.Dir(abs)).WithHint("create it, or give another path").WithCause(err)
	}
	writer, err := sqlite.NewConnector(sqliteDSN(abs, cfg.BusyTimeout, false))
	if err != nil {
		return mapError("sqldb.open", err)
	}
	reader, err := sqlite.NewConnector(sqliteDSN(abs, cfg.BusyTimeout, true))
	if err != nil {
		return mapError("sqldb.open", err)
	}
	db.file = abs
	db.write = sql.OpenDB(preparing{writer})
	db.write.SetMaxOpenConns(1)
	db.group = &group{pool: db.write}
	db.read = sql.OpenDB(preparing{reader})
	db.read.SetMaxOpenConns(cfg.MaxConns)
	db.read.SetMaxIdleConns(cfg.MaxConns)
	return nil
}

func (db *DB) openPostgres(cfg Config) error {
	pc, err := postgresConfig(cfg.URL)
	if err != nil {
		return err
	}
	pool := stdlib.OpenDB(*pc)
	pool.SetMaxOpenConns(cfg.MaxConns)
	pool.SetMaxIdleConns(cfg.MaxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db.read, db.write = pool, pool
	return nil
}

// postgresConfig is how a connection is made.
func postgresConfig(raw string) (*pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig(raw)
	if err != nil {
		// The cause is left out: it quotes the URL, which may hold a password.
		return nil, towpath.E(towpath.KindInvalid, "sqldb.open", "the URL of the PostgreSQL database is not valid").WithHint(urlHint)
	}
	setDefault(pc.RuntimeParams, "application_name", "towpath")
	// A server that was cut off must not keep its row locks.
	setDefault(pc.RuntimeParams, "idle_in_transaction_session_timeout", "60s")
	pc.ConnectTimeout = cmp.Or(pc.ConnectTimeout, connectWithin)
	pc.DialFunc = dialer(pc.ConnectTimeout).DialContext
	return pc, nil
}

func setDefault(m map[string]string, key, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}
