package sqldb_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const lease = 30 * time.Second

func TestQueue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx, kinds := t.Context(), []string{"a", "b"}
		q := sqldb.NewQueue(db, "me")
		enqueue := func(t *testing.T, key string, due time.Time) {
			t.Helper()
			if err := sqldb.Enqueue(ctx, db, "a", key, due); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(t *testing.T, now time.Time, want int) []sqldb.Work {
			t.Helper()
			got, err := q.Claim(ctx, kinds, now, lease, 10)
			if err != nil || len(got) != want {
				t.Fatalf("claimed %v, %v; want %d", got, err, want)
			}
			return got
		}
		ok := func(t *testing.T, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		stale := func(t *testing.T, err error) {
			t.Helper()
			if towpath.KindOf(err) != towpath.KindLocked {
				t.Fatalf("got %v, want locked", err)
			}
		}
		empty := func(t *testing.T) {
			t.Helper()
			if n := count(t, db, `SELECT COUNT(*) FROM work`); n != 0 {
				t.Fatalf("%d entries are left", n)
			}
		}

		t.Run("claims what is due, once, and of the kinds that were asked for", func(t *testing.T) {
			enqueue(t, "now", epoch)
			enqueue(t, "later", epoch.Add(time.Minute))
			ok(t, sqldb.Enqueue(ctx, db, "other", "now", epoch))
			w := claim(t, epoch, 1)[0]
			claim(t, epoch, 0)
			due, some, err := q.Due(ctx, kinds)
			if err != nil || !some || !due.Equal(epoch.Add(lease)) {
				t.Fatalf("due %v %v %v", due, some, err)
			}
			ok(t, q.Done(ctx, w, epoch))
			ok(t, q.Done(ctx, claim(t, epoch.Add(time.Minute), 1)[0], epoch))
			exec(t, db, `DELETE FROM work WHERE kind = 'other'`)
			empty(t)
		})
		t.Run("claims what a clock that was ahead has claimed", func(t *testing.T) {
			enqueue(t, "k", epoch)
			ahead := claim(t, epoch.Add(time.Hour), 1)[0]
			claim(t, epoch.Add(time.Hour-lease), 0) // a clock that is behind by less
			w := claim(t, epoch, 1)[0]
			stale(t, q.Done(ctx, ahead, epoch))
			ok(t, q.Done(ctx, w, epoch))
			empty(t)
		})
		t.Run("an enqueueing of a waiting key brings it forward, never back", func(t *testing.T) {
			enqueue(t, "k", epoch.Add(time.Hour))
			enqueue(t, "k", epoch)
			enqueue(t, "k", epoch.Add(time.Hour))
			ok(t, q.Done(ctx, claim(t, epoch, 1)[0], epoch))
			empty(t)
		})
		t.Run("a key that is enqueued while it is worked on runs again", func(t *testing.T) {
			enqueue(t, "k", epoch)
			w := claim(t, epoch, 1)[0]
			enqueue(t, "k", epoch)
			claim(t, epoch, 0)
			ok(t, q.Done(ctx, w, epoch))
			ok(t, q.Done(ctx, claim(t, epoch, 1)[0], epoch))
			empty(t)
		})
		t.Run("a claim that outlived its lease is stale in everything", func(t *testing.T) {
			enqueue(t, "k", epoch)
			old := claim(t, epoch, 1)[0]
			late := epoch.Add(lease)
			current := claim(t, late, 1)[0]
			if current.Fence <= old.Fence {
				t.Fatalf("the fence went from %d to %d", old.Fence, current.Fence)
			}
			stale(t, q.Renew(ctx, old, late, lease))
			stale(t, q.Done(ctx, old, late))
			stale(t, q.Snooze(ctx, old, late, 0))
			stale(t, q.Fail(ctx, old, late, 0, "x"))
			stale(t, q.Release(ctx, old))
			check := func(w sqldb.Work) error {
				return db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					return sqldb.CheckWork(ctx, tx, w.Kind, w.Key, w.Fence)
				})
			}
			stale(t, check(old))
			ok(t, check(current))
			ok(t, q.Done(ctx, current, late))
			empty(t)
		})
		t.Run("a stale claim can't touch the key after it was done and made anew", func(t *testing.T) {
			enqueue(t, "k", epoch)
			old := claim(t, epoch, 1)[0]
			late := epoch.Add(lease)
			ok(t, q.Done(ctx, claim(t, late, 1)[0], late))
			enqueue(t, "k", late)
			current := claim(t, late, 1)[0]
			stale(t, q.Done(ctx, old, late))
			ok(t, q.Done(ctx, current, late))
		})
		t.Run("a renewed claim stays", func(t *testing.T) {
			enqueue(t, "k", epoch)
			w := claim(t, epoch, 1)[0]
			ok(t, q.Renew(ctx, w, epoch.Add(lease-1), lease))
			claim(t, epoch.Add(lease+time.Second), 0)
			ok(t, q.Done(ctx, w, epoch))
		})
		t.Run("a failure counts and waits, a success forgets", func(t *testing.T) {
			enqueue(t, "k", epoch)
			ok(t, q.Fail(ctx, claim(t, epoch, 1)[0], epoch, time.Minute, "broken \x00 \xff"+strings.Repeat("é", 2000)))
			claim(t, epoch.Add(59*time.Second), 0)
			w := claim(t, epoch.Add(time.Minute), 1)[0]
			if w.Attempts != 1 {
				t.Fatalf("attempts is %d", w.Attempts)
			}
			ok(t, q.Snooze(ctx, w, epoch, time.Minute))
			if w = claim(t, epoch.Add(time.Minute), 1)[0]; w.Attempts != 0 {
				t.Fatalf("attempts is %d after a success", w.Attempts)
			}
			ok(t, q.Done(ctx, w, epoch))
		})
		t.Run("news shorten the wait after a failure and end a snooze", func(t *testing.T) {
			enqueue(t, "k", epoch)
			w := claim(t, epoch, 1)[0]
			enqueue(t, "k", epoch)
			ok(t, q.Fail(ctx, w, epoch, time.Hour, "x"))
			w = claim(t, epoch.Add(time.Second), 1)[0]
			enqueue(t, "k", epoch)
			ok(t, q.Snooze(ctx, w, epoch, time.Hour))
			ok(t, q.Done(ctx, claim(t, epoch, 1)[0], epoch))
		})
		t.Run("a released claim is due at once and blames nobody", func(t *testing.T) {
			enqueue(t, "k", epoch)
			ok(t, q.Release(ctx, claim(t, epoch, 1)[0]))
			w := claim(t, epoch, 1)[0]
			if w.Attempts != 0 {
				t.Fatalf("attempts is %d", w.Attempts)
			}
			ok(t, q.Done(ctx, w, epoch))
		})
		t.Run("enqueueing is part of the caller's transaction", func(t *testing.T) {
			_ = db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				ok(t, sqldb.Enqueue(ctx, tx, "a", "k", epoch))
				return context.Canceled
			})
			empty(t)
		})
		t.Run("many workers never have a key twice, and all keys are done", func(t *testing.T) { manyWorkers(t, db, q) })
		t.Run("does what a model of it does", func(t *testing.T) { rapid.Check(t, func(rt *rapid.T) { model(rt, db, q) }) })
	})
}

func manyWorkers(t *testing.T, db *sqldb.DB, q *sqldb.Queue) {
	const keys = 100
	for i := range keys {
		if err := sqldb.Enqueue(t.Context(), db, "a", fmt.Sprint(i), epoch); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	claimed := map[string]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 * keys {
				ws, err := q.Claim(t.Context(), []string{"a"}, epoch, lease, 3)
				if err != nil {
					t.Error(err)
					return
				}
				if len(ws) == 0 {
					if count(t, db, `SELECT COUNT(*) FROM work`) == 0 {
						return
					}
					continue // locked by another claim in flight
				}
				for _, w := range ws {
					mu.Lock()
					claimed[w.Key]++
					mu.Unlock()
					if err := q.Done(t.Context(), w, epoch); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if len(claimed) != keys {
		t.Errorf("%d of %d keys were claimed", len(claimed), keys)
	}
	for key, n := range claimed {
		if n != 1 {
			t.Errorf("key %s was claimed %d times", key, n)
		}
	}
}

// model plays random steps on one key against a model of it: the key is never
// lost while an enqueueing was not answered by a round that began after it.
func model(t *rapid.T, db *sqldb.DB, q *sqldb.Queue) {
	ctx := context.Background()
	key := rapid.StringMatching(`[a-z0-9]{20}`).Draw(t, "key")
	now := epoch
	var held *sqldb.Work // by its holder's belief
	var heldUntil time.Time
	exists, dirty := false, false // dirty: enqueued since the claim
	due := now
	t.Repeat(map[string]func(*rapid.T){
		"time passes": func(t *rapid.T) { now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, lease}).Draw(t, "d")) },
		"enqueue": func(t *rapid.T) {
			if err := sqldb.Enqueue(ctx, db, "m", key, now); err != nil {
				t.Fatal(err)
			}
			if !exists || now.Before(due) {
				due = now
			}
			exists, dirty = true, true
		},
		"claim": func(t *rapid.T) {
			ws, err := q.Claim(ctx, []string{"m"}, now, lease, 1)
			if err != nil {
				t.Fatal(err)
			}
			can := exists && !due.After(now) && (held == nil || !heldUntil.After(now))
			if can != (len(ws) == 1) {
				t.Fatalf("claimed %v, the model says %v", ws, can)
			}
			if can {
				held, heldUntil, dirty = &ws[0], now.Add(lease), false
			}
		},
		"done": func(t *rapid.T) {
			if held == nil {
				return
			}
			if err := q.Done(ctx, *held, now); err != nil {
				t.Fatal(err)
			}
			held, exists, due = nil, dirty, now
		},
		"fail": func(t *rapid.T) {
			if held == nil {
				return
			}
			if err := q.Fail(ctx, *held, now, time.Minute, "x"); err != nil {
				t.Fatal(err)
			}
			held, due = nil, now.Add(time.Minute)
			if dirty {
				due = now.Add(time.Second)
			}
		},
	})
	if _, err := db.Exec(ctx, `DELETE FROM work WHERE kind = 'm'`); err != nil {
		t.Fatal(err)
	}
}
