// Package dbtest owns the databases that conformance suites run on: a fresh
// SQLite file and a fresh PostgreSQL database, both with every migration
// applied.
//
// It must not know any store.
package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// Each runs f as a subtest on every engine, each time on a database of its own.
func Each(t *testing.T, f func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("on SQLite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { f(t, Postgres(t)) })
}

// SQLite is a fresh database in a file.
func SQLite(t testing.TB) *sqldb.DB {
	t.Helper()
	url := filepath.Join(t.TempDir(), "towpath.db")
	SQLiteFile(t, url)
	return Open(t, url)
}

// SQLiteFile writes a fresh database to a file that nobody has open. It is a copy of
// one that this process has migrated: what the migrations take, most of it the race
// detector's, is not taken for every test.
func SQLiteFile(t testing.TB, path string) {
	t.Helper()
	file, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// migrated is the bytes of a fresh SQLite database.
var migrated = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "dbtest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url := filepath.Join(dir, "towpath.db")
	if err := migrate(url); err != nil {
		return nil, err
	}
	return os.ReadFile(url) //nolint:gosec // the file that was just made
})

// Postgres is a fresh database on a real server.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, PostgresURL(t))
}

// PostgresURL is the URL of a fresh database on a real server.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return pgtest.NewFrom(t, "migrated", migrate)
}

// Open opens a database until the end of the test.
func Open(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

func migrate(url string) (err error) {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // which takes SQLite's log into the file
	return sqldb.Migrate(ctx, db, migrations.FS)
}
