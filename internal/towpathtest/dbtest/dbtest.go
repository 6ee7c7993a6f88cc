// Package dbtest owns the databases that conformance suites run on: a fresh
// SQLite file and a fresh PostgreSQL database, both with every migration
// applied.
//
// It must not know any store.
package dbtest

import (
	"context"
	"path/filepath"
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
	if err := migrate(url); err != nil {
		t.Fatal(err)
	}
	return Open(t, url)
}

// Postgres is a fresh database on a real server.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, pgtest.NewFrom(t, "migrated", migrate))
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

func migrate(url string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return sqldb.Migrate(ctx, db, migrations.FS)
}
