package sqldb_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestDB_InTx(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		exec(t, db, `CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)`)

		t.Run("commits and then calls the hooks in order", func(t *testing.T) {
			var calls []int
			err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				tx.AfterCommit(func() { calls = append(calls, 1) })
				tx.AfterCommit(func() {
					calls = append(calls, 2)
					if count(t, db, `SELECT COUNT(*) FROM t`) != 1 {
						t.Error("the hook was called before the commit")
					}
				})
				_, err := tx.Exec(ctx, `INSERT INTO t VALUES ($1, $2)`, 1, 0)
				return err
			})
			if err != nil || len(calls) != 2 || calls[0] != 1 {
				t.Fatalf("%v, calls %v", err, calls)
			}
		})
		t.Run("rolls back on an error and calls no hook", func(t *testing.T) {
			want := errors.New("no")
			err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				tx.AfterCommit(func() { t.Error("called") })
				exec(t, tx, `INSERT INTO t VALUES (2, 0)`)
				return want
			})
			if !errors.Is(err, want) || count(t, db, `SELECT COUNT(*) FROM t`) != 1 {
				t.Fatalf("got %v", err)
			}
		})
		t.Run("rolls back on a panic and gives the connection back", func(t *testing.T) {
			func() {
				defer func() { _ = recover() }()
				_ = db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					exec(t, tx, `INSERT INTO t VALUES (2, 0)`)
					panic("bug")
				})
			}()
			exec(t, db, `UPDATE t SET n = 0`)
			if count(t, db, `SELECT COUNT(*) FROM t`) != 1 {
				t.Fatal("the row stayed")
			}
		})
		t.Run("refuses the database beside the open transaction", func(t *testing.T) {
			err := db.InTx(ctx, func(ctx context.Context, _ *sqldb.Tx) error {
				_, err := db.Exec(ctx, `UPDATE t SET n = 1`)
				nested := db.InTx(ctx, func(context.Context, *sqldb.Tx) error { return nil })
				if err == nil || nested == nil {
					t.Error("a nested use was not refused")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		t.Run("ends with the reason of a cancelled context", func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				cancel()
				_, err := tx.Exec(ctx, `UPDATE t SET n = 7`)
				return err
			})
			if !errors.Is(err, context.Canceled) || count(t, db, `SELECT COUNT(*) FROM t WHERE n = 7`) != 0 {
				t.Fatalf("got %v", err)
			}
		})
		t.Run("loses no update of a locked row", func(t *testing.T) {
			exec(t, db, `UPDATE t SET n = 0`)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 10 {
						err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
							var n int64
							if err := tx.QueryRow(ctx, `SELECT n FROM t WHERE id = 1`+sqldb.ForUpdate(tx.Dialect())).Scan(&n); err != nil {
								return err
							}
							_, err := tx.Exec(ctx, `UPDATE t SET n = $1 WHERE id = 1`, n+1)
							return err
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if n := count(t, db, `SELECT n FROM t`); n != 80 {
				t.Fatalf("counted %d of 80", n)
			}
		})
		t.Run("runs again the loser of a deadlock", func(t *testing.T) {
			exec(t, db, `INSERT INTO t VALUES (3, 0), (4, 0)`)
			var all sync.WaitGroup
			for i := range 8 {
				first, second := 3, 4
				if i%2 == 1 {
					first, second = second, first
				}
				all.Go(func() {
					committed := 0
					err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
						tx.AfterCommit(func() { committed++ })
						for _, id := range []int{first, second} {
							if _, err := tx.Exec(ctx, `UPDATE t SET n = n + 1 WHERE id = $1`, id); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil || committed != 1 {
						t.Errorf("%v after %d commits", err, committed)
					}
				})
			}
			all.Wait()
			if n := count(t, db, `SELECT SUM(n) FROM t WHERE id IN (3, 4)`); n != 16 {
				t.Fatalf("counted %d of 16", n)
			}
		})
	})
}

func TestDB_View(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		exec(t, db, `CREATE TABLE t (n BIGINT NOT NULL)`)
		exec(t, db, `INSERT INTO t VALUES (1)`)
		t.Run("sees one snapshot while others write", func(t *testing.T) {
			err := db.View(t.Context(), func(_ context.Context, tx *sqldb.Tx) error {
				before := count(t, tx, `SELECT SUM(n) FROM t`)
				exec(t, db, `INSERT INTO t VALUES (1)`) // with a context of its own: another client
				if after := count(t, tx, `SELECT SUM(n) FROM t`); after != before {
					t.Errorf("the snapshot changed from %d to %d", before, after)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		t.Run("can't write", func(t *testing.T) {
			err := db.View(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM t`)
				return err
			})
			if err == nil || count(t, db, `SELECT COUNT(*) FROM t`) != 2 {
				t.Fatalf("got %v", err)
			}
		})
	})
}

func TestDB_Busy(t *testing.T) {
	t.Run("a file that another process writes for too long is unavailable", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.db")
		cfg := sqldb.Config{URL: path, BusyTimeout: time.Millisecond, Retries: 2}
		one, err := sqldb.OpenConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = one.Close() }()
		other, err := sqldb.OpenConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		exec(t, one, `CREATE TABLE t (n BIGINT)`)
		err = one.InTx(t.Context(), func(context.Context, *sqldb.Tx) error {
			_, err := other.Exec(context.Background(), `INSERT INTO t VALUES (1)`)
			if towpath.KindOf(err) != towpath.KindUnavailable {
				t.Errorf("Exec got %v", err)
			}
			attempts := other.InTx(context.Background(), func(context.Context, *sqldb.Tx) error { return nil })
			if towpath.KindOf(attempts) != towpath.KindUnavailable {
				t.Errorf("InTx got %v", attempts)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, other, `INSERT INTO t VALUES (1)`)
	})
}

func TestSQLite_Settings(t *testing.T) {
	db := dbtest.SQLite(t)
	t.Run("writes are durable, checked, and in a log", func(t *testing.T) {
		err := db.InTx(t.Context(), func(_ context.Context, tx *sqldb.Tx) error {
			if n := count(t, tx, `PRAGMA synchronous`); n != 2 {
				t.Errorf("synchronous is %d, not FULL", n)
			}
			if n := count(t, tx, `PRAGMA foreign_keys`); n != 1 {
				t.Errorf("foreign_keys is %d", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var mode string
		if err := db.QueryRow(t.Context(), `PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
			t.Errorf("journal_mode is %q, %v", mode, err)
		}
	})
	t.Run("readers can't write", func(t *testing.T) {
		rows, err := db.Query(t.Context(), `DELETE FROM work RETURNING key`)
		if err == nil {
			rows.Next()
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err == nil {
			t.Error("a reader has written")
		}
	})
	t.Run("a path with special characters is a path", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b?c#d%20.db")
		odd := dbtest.Open(t, path)
		exec(t, odd, `CREATE TABLE t (n BIGINT)`)
		again := dbtest.Open(t, path)
		exec(t, again, `INSERT INTO t VALUES (1)`)
	})
}
