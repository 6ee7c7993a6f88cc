package sqldb_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestLatch has many goroutines of two servers share a latch and have it alone:
// whoever has it alone is alone, and all come through.
func TestLatch(t *testing.T) {
	url := pgtest.New(t)
	for _, engine := range []struct {
		name string
		open func(t *testing.T) []*sqldb.DB // of servers
	}{
		{"one server on SQLite", func(t *testing.T) []*sqldb.DB { return []*sqldb.DB{dbtest.Open(t, t.TempDir()+"/x.db")} }},
		{"two servers on PostgreSQL", func(t *testing.T) []*sqldb.DB { return []*sqldb.DB{dbtest.Open(t, url), dbtest.Open(t, url)} }},
	} {
		t.Run(engine.name, func(t *testing.T) {
			var sharing, owning atomic.Int64
			var all sync.WaitGroup
			for _, db := range engine.open(t) {
				latch := sqldb.NewLatch(db, "test")
				first, err := latch.Share(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				second, err := latch.Share(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				second.Release()
				first.Release()
				for range 4 {
					all.Go(func() {
						for range 20 {
							h, err := latch.Share(t.Context())
							if err != nil {
								t.Error(err)
								return
							}
							sharing.Add(1)
							if owning.Load() > 0 {
								t.Error("shared while somebody had it alone")
							}
							if err := h.Check(t.Context()); err != nil {
								t.Error(err)
							}
							sharing.Add(-1)
							h.Release()
						}
					})
				}
				all.Go(func() {
					for range 20 {
						h, err := latch.Own(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						if owning.Add(1) > 1 || sharing.Load() > 0 {
							t.Error("not alone")
						}
						owning.Add(-1)
						h.Release()
					}
				})
			}
			all.Wait()
		})
	}
	t.Run("whoever is cut off has lost it", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		h, err := sqldb.NewLatch(one, "cut").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := two.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
			t.Fatal(err)
		}
		other, err := sqldb.NewLatch(two, "cut").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other.Release()
		if err := h.Check(t.Context()); towpath.KindOf(err) != towpath.KindLocked {
			t.Errorf("it thinks that it holds it: %v", err)
		}
		h.Release()
	})
	// cut ends the sessions that have advisory locks, and waits until they are gone.
	cut := func(t *testing.T, db *sqldb.DB, latch string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); err != nil {
			t.Fatal(err)
		}
		alone, err := sqldb.NewLatch(db, latch).Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alone.Release()
	}
	locks := func(t *testing.T, db *sqldb.DB) (n int) {
		t.Helper()
		row := db.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err := row.Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Run("who comes after a session was lost shares another", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		latch := sqldb.NewLatch(one, "again")
		share := func() *sqldb.Held {
			t.Helper()
			h, err := latch.Share(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		lost := share()
		cut(t, two, "again")
		second, third := share(), share()
		if err := errors.Join(second.Check(t.Context()), third.Check(t.Context())); err != nil {
			t.Errorf("who came later: %v", err)
		}
		if err := lost.Check(t.Context()); towpath.KindOf(err) != towpath.KindLocked {
			t.Errorf("who had the lost one: %v", err)
		}
		lost.Release()
		second.Release()
		if n := locks(t, two); n != 1 {
			t.Errorf("one shares it and there are %d locks", n)
		}
		if err := third.Check(t.Context()); err != nil {
			t.Errorf("after others left: %v", err)
		}
		third.Release()
		if n := locks(t, two); n != 0 {
			t.Errorf("nobody shares it and there are %d locks", n)
		}
	})
	t.Run("whoever hangs up ends it for nobody", func(t *testing.T) {
		latch := sqldb.NewLatch(dbtest.Open(t, url), "hung up")
		h, err := latch.Share(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_ = h.Check(gone)
		if err := h.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("who had a lost session leaves while another waits for the next", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		latch := sqldb.NewLatch(one, "leave")
		lost, err := latch.Share(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cut(t, two, "leave")
		alone, err := sqldb.NewLatch(two, "leave").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var next sync.WaitGroup
		next.Go(func() {
			h, err := latch.Share(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if err := h.Check(t.Context()); err != nil {
				t.Error(err)
			}
			h.Release()
		})
		waitForLock(t, two)
		lost.Release()
		alone.Release()
		next.Wait()
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		h, err := sqldb.NewLatch(one, "wait").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := sqldb.NewLatch(two, "wait").Share(ctx); err == nil {
			t.Error("shared what somebody has alone")
		}
		h.Release()
		again, err := sqldb.NewLatch(two, "wait").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again.Release()
	})
	for engine, where := range map[string]string{"SQLite": t.TempDir() + "/x.db", "PostgreSQL": url} {
		t.Run("waiting for others of the same process ends with the context, on "+engine, func(t *testing.T) {
			latch := sqldb.NewLatch(dbtest.Open(t, where), "same")
			hold := func(take func(context.Context) (*sqldb.Held, error)) *sqldb.Held {
				t.Helper()
				h, err := take(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			refused := func(take func(context.Context) (*sqldb.Held, error)) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				h, err := take(ctx)
				if err == nil {
					h.Release()
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it got %v", err)
				}
			}
			alone := hold(latch.Own)
			refused(latch.Share)
			refused(latch.Own)
			alone.Release()
			shared := hold(latch.Share)
			refused(latch.Own)
			hold(latch.Share).Release() // whoever gave up is in nobody's way
			shared.Release()
			hold(latch.Own).Release()
		})
	}
	t.Run("waiting behind one that waits ends with the context", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		h, err := sqldb.NewLatch(one, "behind").Own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		latch := sqldb.NewLatch(two, "behind")
		var first sync.WaitGroup
		first.Go(func() {
			h, err := latch.Share(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			h.Release()
		})
		waitForLock(t, one)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := latch.Share(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it got %v", err)
		}
		h.Release()
		first.Wait()
	})
}

// waitForLock returns once somebody waits for an advisory lock of the database.
func waitForLock(t *testing.T, db *sqldb.DB) {
	t.Helper()
	waitForLocks(t, db, 1)
}

// waitForLocks returns once so many wait for advisory locks of the database.
func waitForLocks(t *testing.T, db *sqldb.DB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for waits := 0; waits < n; {
		row := db.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err := row.Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
}
