package sqldb_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestLatch_turn: who waits to have a latch alone has its turn, also when others share
// it on another server and each comes before the one before it leaves.
func TestLatch_turn(t *testing.T) {
	url := pgtest.New(t)
	t.Run("sharers that overlap without end", func(t *testing.T) {
		one, two := dbtest.Open(t, url), dbtest.Open(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		shared := sqldb.NewLatch(one, "turn")
		var all sync.WaitGroup
		defer all.Wait()
		defer cancel()
		next, queued, owned := make(chan *sqldb.Held), make(chan struct{}), make(chan struct{})
		all.Go(func() { // one after the other
			defer close(next)
			for ctx.Err() == nil {
				h, err := shared.Share(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				next <- h
			}
		})
		first := <-next
		all.Go(func() { // each leaves when the next is there, or waits for who has its turn
			now, wait := first, queued
			for {
				select {
				case h, ok := <-next:
					if now != nil {
						now.Release()
					}
					if now = h; !ok {
						return
					}
				case <-wait:
					now.Release()
					now, wait = nil, nil
				}
			}
		})
		all.Go(func() {
			h, err := sqldb.NewLatch(two, "turn").Own(ctx)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			h.Release()
			close(owned)
		})
		waitForLocks(t, two, 2) // who wants it alone, and one who shares it after that
		close(queued)
		select {
		case <-owned:
		case <-time.After(30 * time.Second):
			t.Error("it waits still")
		}
	})
	t.Run("one session is enough when nobody waits", func(t *testing.T) {
		db := dbtest.Open(t, url)
		latch := sqldb.NewLatch(db, "enough")
		long, err := latch.Share(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer long.Release()
		for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; {
			h, err := latch.Share(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h.Release()
		}
		h, err := latch.Share(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
		var n int
		row := db.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err := row.Scan(&n); err != nil || n != 1 {
			t.Errorf("there are %d locks, %v", n, err)
		}
	})
}
