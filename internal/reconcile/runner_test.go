package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// each is a reconciler made of a function.
type each func(ctx context.Context, key string) (reconcile.Result, error)

func (each) Kind() string { return "k" }

func (f each) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	return f(ctx, key)
}

// run runs a runner in a bubble of time and returns how to stop it and wait.
func run(t *testing.T, cfg reconcile.Config, m *memory, f each) (r *reconcile.Runner, stop func()) {
	t.Helper()
	r, err := reconcile.New(cfg, m, readClaim, f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestRunner(t *testing.T) {
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("works at once when it is woken, and within the poll interval otherwise", func(t *testing.T) {
		m, start := newMemory(), time.Now()
		var at []time.Duration
		r, stop := run(t, reconcile.Config{Poll: time.Minute}, m, func(context.Context, string) (reconcile.Result, error) {
			at = append(at, time.Since(start))
			return reconcile.Done(), nil
		})
		synctest.Wait()
		m.enqueue("a")
		r.Wake()
		synctest.Wait()
		m.enqueue("b")
		time.Sleep(2 * time.Minute)
		stop()
		if len(at) != 2 || at[0] != 0 || at[1] != time.Minute {
			t.Fatalf("worked at %v", at)
		}
	})
	bubble("comes back when the result says so, not a poll later", func(t *testing.T) {
		m, start := newMemory(), time.Now()
		var at []time.Duration
		m.enqueue("a")
		_, stop := run(t, reconcile.Config{Poll: time.Hour}, m, func(context.Context, string) (reconcile.Result, error) {
			at = append(at, time.Since(start))
			return reconcile.After(90 * time.Second), nil
		})
		time.Sleep(4 * time.Minute)
		stop()
		if fmt.Sprint(at) != "[0s 1m30s 3m0s]" {
			t.Fatalf("worked at %v", at)
		}
	})
	bubble("runs a key again that was enqueued while it ran, and never twice at once", func(t *testing.T) {
		m := newMemory()
		var runs, running atomic.Int64
		m.enqueue("a")
		r, stop := run(t, reconcile.Config{}, m, func(context.Context, string) (reconcile.Result, error) {
			if running.Add(1) > 1 {
				t.Error("the key runs twice at once")
			}
			defer running.Add(-1)
			runs.Add(1)
			time.Sleep(time.Minute)
			return reconcile.Done(), nil
		})
		time.Sleep(time.Second)
		m.enqueue("a")
		r.Wake()
		time.Sleep(10 * time.Minute)
		stop()
		if runs.Load() != 2 {
			t.Fatalf("ran %d times", runs.Load())
		}
	})
	bubble("works on no more keys at once than it has workers, and on all of them", func(t *testing.T) {
		m := newMemory()
		for i := range 10 {
			m.enqueue(fmt.Sprint(i))
		}
		var running, most, runs atomic.Int64
		_, stop := run(t, reconcile.Config{Workers: 3}, m, func(context.Context, string) (reconcile.Result, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			runs.Add(1)
			time.Sleep(time.Second)
			return reconcile.Done(), nil
		})
		time.Sleep(4*time.Second + time.Millisecond) // ten keys by three workers
		stop()
		if most.Load() != 3 || runs.Load() != 10 {
			t.Fatalf("%d at once, %d in all", most.Load(), runs.Load())
		}
	})
	bubble("backs off from errors and panics alike, up to the cap, and forgets after a success", func(t *testing.T) {
		m := newMemory()
		var at []time.Time
		m.enqueue("a")
		_, stop := run(t, reconcile.Config{Backoff: reconcile.Backoff{Base: time.Second, Cap: 8 * time.Second}}, m,
			func(context.Context, string) (reconcile.Result, error) {
				at = append(at, time.Now())
				switch {
				case len(at) == 7:
					return reconcile.Done(), nil
				case len(at)%2 == 0:
					panic("bug")
				}
				return reconcile.Result{}, errors.New("broken")
			})
		time.Sleep(2 * time.Minute)
		stop()
		if len(at) != 7 {
			t.Fatalf("ran %d times", len(at))
		}
		for i, seconds := range []int{1, 2, 4, 8, 8, 8} {
			nominal := time.Duration(seconds) * time.Second
			if d := at[i+1].Sub(at[i]); d < nominal/2 || d > nominal {
				t.Errorf("wait %d was %v, not within %v and %v", i+1, d, nominal/2, nominal)
			}
		}
	})
	bubble("a stop is not a failure: the key is given back", func(t *testing.T) {
		m := newMemory()
		m.enqueue("a")
		_, stop := run(t, reconcile.Config{}, m, func(ctx context.Context, _ string) (reconcile.Result, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // tidies up; the runner waits
			return reconcile.Result{}, ctx.Err()
		})
		synctest.Wait()
		stop()
		if got := m.history(); len(got) != 1 || got[0] != "release a" {
			t.Fatalf("recorded %v", got)
		}
	})
	bubble("a stop does not lose what was finished", func(t *testing.T) {
		m := newMemory()
		m.enqueue("a")
		_, stop := run(t, reconcile.Config{}, m, func(ctx context.Context, _ string) (reconcile.Result, error) {
			<-ctx.Done()
			return reconcile.Done(), nil
		})
		synctest.Wait()
		stop()
		if got := m.history(); len(got) != 1 || got[0] != "done a" {
			t.Fatalf("recorded %v", got)
		}
	})
	bubble("keeps its claim for as long as it works", func(t *testing.T) {
		m := newMemory()
		m.enqueue("a")
		runs := 0
		_, stop := run(t, reconcile.Config{Lease: 30 * time.Second}, m, func(ctx context.Context, key string) (reconcile.Result, error) {
			runs++
			if c, ok := reconcile.ClaimFrom(ctx); !ok || c.Key != key || c.Fence == 0 {
				t.Errorf("the claim is %+v", c)
			}
			time.Sleep(10 * time.Minute)
			return reconcile.Done(), ctx.Err()
		})
		time.Sleep(11 * time.Minute)
		stop()
		if runs != 1 || fmt.Sprint(m.history()) != "[done a]" {
			t.Fatalf("ran %d times, %v", runs, m.history())
		}
	})
	bubble("stops working when the claim is lost, and records nothing", func(t *testing.T) {
		m := newMemory()
		m.enqueue("a")
		r, stop := run(t, reconcile.Config{Lease: 30 * time.Second, Workers: 1}, m, func(ctx context.Context, _ string) (reconcile.Result, error) {
			<-ctx.Done()
			return reconcile.Result{}, ctx.Err()
		})
		time.Sleep(time.Second)
		m.mu.Lock()
		m.entries["a"].fence, m.entries["a"].until = 99, time.Now().Add(time.Hour) // another process
		m.mu.Unlock()
		r.Wake()
		time.Sleep(time.Minute)
		stop()
		if got := m.history(); len(got) != 0 {
			t.Fatalf("recorded %v", got)
		}
	})
	bubble("stops working before others may start when it can't renew", func(t *testing.T) {
		m, start := newMemory(), time.Now()
		m.enqueue("a")
		var stopped time.Duration
		_, stop := run(t, reconcile.Config{Lease: 30 * time.Second}, m, func(ctx context.Context, _ string) (reconcile.Result, error) {
			<-ctx.Done()
			stopped = time.Since(start)
			return reconcile.Result{}, ctx.Err()
		})
		time.Sleep(time.Second)
		m.breakWith(errors.New("no database"))
		time.Sleep(5 * time.Minute)
		stop()
		if stopped > 30*time.Second || stopped == 0 {
			t.Fatalf("stopped after %v", stopped)
		}
	})
	bubble("stops working before others may start when nobody answers", func(t *testing.T) {
		m, start := newMemory(), time.Now()
		m.silent = true
		m.enqueue("a")
		stopped := make(chan time.Duration, 10) // the next worker takes it again
		_, stop := run(t, reconcile.Config{Lease: 30 * time.Second}, m, func(ctx context.Context, _ string) (reconcile.Result, error) {
			<-ctx.Done()
			stopped <- time.Since(start)
			return reconcile.Result{}, ctx.Err()
		})
		time.Sleep(time.Minute)
		stop()
		if len(stopped) == 0 {
			t.Fatal("it was never stopped")
		}
		if after := <-stopped; after != 30*time.Second {
			t.Fatalf("stopped after %v", after)
		}
	})
	bubble("survives a queue that is away", func(t *testing.T) {
		m := newMemory()
		m.breakWith(errors.New("no database"))
		ran := false
		_, stop := run(t, reconcile.Config{}, m, func(context.Context, string) (reconcile.Result, error) {
			ran = true
			return reconcile.Done(), nil
		})
		time.Sleep(time.Hour)
		m.breakWith(nil)
		m.enqueue("a")
		time.Sleep(2 * time.Minute)
		stop()
		if !ran {
			t.Fatal("the runner did not come back")
		}
	})
	t.Run("refuses two reconcilers of a kind", func(t *testing.T) {
		if _, err := reconcile.New(reconcile.Config{}, newMemory(), readClaim, each(nil), each(nil)); err == nil {
			t.Fatal("accepted")
		}
	})
}

// TestRunner_Durable runs two processes' runners on the durable queue.
func TestRunner_Durable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		const keys = 40
		var mu sync.Mutex
		runs := map[string]int{}
		left := make(chan struct{}, keys)
		work := each(func(ctx context.Context, key string) (reconcile.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			if runs[key]++; runs[key] == 1 && key[0] == '1' {
				return reconcile.Result{}, towpath.E(towpath.KindUnavailable, "test", "the first try fails")
			}
			left <- struct{}{}
			return reconcile.Done(), nil
		})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var runners []*reconcile.Runner
		for _, owner := range []string{"one", "two"} {
			r, err := reconcile.New(reconcile.Config{Poll: 10 * time.Millisecond, Backoff: reconcile.Backoff{Base: time.Millisecond}},
				sqldb.NewQueue(db, owner),
				func(w sqldb.Work) reconcile.Claim {
					return reconcile.Claim{Kind: w.Kind, Key: w.Key, Fence: w.Fence, Attempts: w.Attempts}
				}, work)
			if err != nil {
				t.Fatal(err)
			}
			runners = append(runners, r)
			running.Go(func() { _ = r.Run(ctx) })
		}
		err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			for i := range keys {
				if err := sqldb.Enqueue(ctx, tx, "k", fmt.Sprint(i), time.Now()); err != nil {
					return err
				}
			}
			tx.AfterCommit(runners[0].Wake)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range keys {
			<-left
		}
		stop()
		running.Wait()
		var n int
		if err := db.QueryRow(context.Background(), `SELECT COUNT(*) FROM work`).Scan(&n); err != nil || n != 0 {
			t.Fatalf("%d entries are left, %v", n, err)
		}
		for key, n := range runs {
			if want := map[bool]int{true: 2, false: 1}[key[0] == '1']; n != want {
				t.Errorf("key %s ran %d times, want %d", key, n, want)
			}
		}
	})
}
