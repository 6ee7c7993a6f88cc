package sqldb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestIsUnique(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		exec(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT UNIQUE, m BIGINT NOT NULL)`)
		exec(t, db, `INSERT INTO t VALUES ('a', 1, 1)`)
		for q, want := range map[string]bool{
			`INSERT INTO t VALUES ('a', 2, 1)`:    true,
			`INSERT INTO t VALUES ('b', 1, 1)`:    true,
			`INSERT INTO t VALUES ('b', 2, NULL)`: false,
			`INSERT INTO nowhere VALUES (1)`:      false,
		} {
			err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, q)
				return err
			})
			if err == nil || sqldb.IsUnique(err) != want {
				t.Errorf("%s: unique is %v for %v", q, !want, err)
			}
		}
	})
}

func TestOpen_Unavailable(t *testing.T) {
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.db")
	if err := os.WriteFile(damaged, []byte(strings.Repeat("this is no database ", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url  string
		kind towpath.Kind
	}{
		"a refused connection is unavailable":         {"postgres://u:s3cret@127.0.0.1:1/d?connect_timeout=5", towpath.KindUnavailable},
		"a missing socket is unavailable":             {"postgres:///d?host=" + dir + "&user=u", towpath.KindUnavailable},
		"a missing directory is unavailable":          {filepath.Join(dir, "no", "such", "file.db"), towpath.KindUnavailable},
		"a path that is a directory is unavailable":   {dir, towpath.KindUnavailable},
		"a file that is no database is damage":        {damaged, towpath.KindInternal},
		"a URL that can't be parsed is invalid":       {"postgres://u:s3cret@h:notaport/d", towpath.KindInvalid},
		"a URL of another engine is invalid":          {"mysql://u:s3cret@h/d", towpath.KindInvalid},
		"an empty URL is invalid":                     {"", towpath.KindInvalid},
		"an unknown setting of PostgreSQL is invalid": {"postgres://u:s3cret@h/d?sslmode=s3cret", towpath.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqldb.Open(t.Context(), tt.url)
			if towpath.KindOf(err) != tt.kind {
				t.Fatalf("got %v (%s), want %s", err, towpath.KindOf(err), tt.kind)
			}
			if e, ok := errors.AsType[*towpath.Error](err); !ok || e.Hint == "" {
				t.Errorf("there is no hint: %v", err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

func TestDB_LostServer(t *testing.T) {
	t.Run("a connection that the server ended is unavailable, and the next one works", func(t *testing.T) {
		db := dbtest.Postgres(t)
		err := db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			var pid int
			if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
				return err
			}
			var ended bool
			if err := db.QueryRow(ctx, `SELECT pg_terminate_backend($1)`, pid).Scan(&ended); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DELETE FROM work`)
			return err
		})
		if towpath.KindOf(err) != towpath.KindUnavailable {
			t.Fatalf("got %v", err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func exec(t *testing.T, q sqldb.Querier, query string, args ...any) {
	t.Helper()
	if _, err := q.Exec(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, q sqldb.Querier, query string, args ...any) (n int64) {
	t.Helper()
	if err := q.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
