package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
)

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		var l *reconcile.Loop
		l = reconcile.NewLoop(reconcile.LoopConfig{Interval: time.Minute, Backoff: reconcile.Backoff{Base: time.Second}},
			func(context.Context, time.Time) (bool, error) {
				at = append(at, time.Since(start))
				switch len(at) {
				case 1:
					return true, nil // more to do
				case 3:
					l.Wake() // by somebody, meanwhile
				case 5:
					panic("bug")
				case 6:
					return false, errors.New("broken")
				}
				return false, nil
			})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		// 0, 0 again, 1m, 1m woken, 2m panics, ≤1s later fails, ≤2s later works, 1m, …
		if len(at) < 8 || at[1] != 0 || at[2] != time.Minute || at[3] != time.Minute || at[4] != 2*time.Minute ||
			at[5]-at[4] > time.Second || at[6]-at[5] > 2*time.Second || at[7]-at[6] != time.Minute {
			t.Fatalf("passed at %v", at)
		}
	})
}

// TestLoop_rests wakes a loop all the time: it passes at once, then not more
// often than it rests, and once more for the last that woke it.
func TestLoop_rests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		l := reconcile.NewLoop(reconcile.LoopConfig{Interval: time.Minute, Rest: 20 * time.Millisecond},
			func(context.Context, time.Time) (bool, error) {
				at = append(at, time.Since(start))
				return false, nil
			})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			for range 50 {
				l.Wake()
				time.Sleep(time.Millisecond)
			}
		}()
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if want := "[0s 20ms 40ms 60ms]"; fmt.Sprint(at) != want {
			t.Fatalf("passed at %v, want %s", at, want)
		}
	})
}

func TestSupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing, returning, panicking, steady atomic.Int64
		count := func(n *atomic.Int64, f func(ctx context.Context) error) func(context.Context) error {
			return func(ctx context.Context) error { n.Add(1); return f(ctx) }
		}
		var ended atomic.Bool
		s := reconcile.NewSupervisor(reconcile.SupervisorConfig{Backoff: reconcile.Backoff{Base: time.Second, Cap: 4 * time.Second}},
			reconcile.Task{Name: "failing", Run: count(&failing, func(context.Context) error { return errors.New("broken") })},
			reconcile.Task{Name: "returning", Run: count(&returning, func(context.Context) error { return nil })},
			reconcile.Task{Name: "panicking", Run: count(&panicking, func(context.Context) error { panic("bug") })},
			reconcile.Task{Name: "steady", Run: count(&steady, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				ended.Store(true)
				return ctx.Err()
			})},
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if steady.Load() != 1 || !ended.Load() {
			t.Errorf("the steady task started %d times, ended: %v", steady.Load(), ended.Load())
		}
		for name, n := range map[string]int64{"failing": failing.Load(), "returning": returning.Load(), "panicking": panicking.Load()} {
			if n < 15 || n > 35 { // a wait of 2–4 s once it is at the cap
				t.Errorf("the %s task started %d times in a minute", name, n)
			}
		}
	})
}

func TestInOrder(t *testing.T) {
	produce := func(_ context.Context, i int) (int, error) {
		if i == 50 {
			return 0, errors.New("broken")
		}
		if i == 70 {
			panic("bug")
		}
		return i, nil
	}
	for name, tt := range map[string]struct {
		count, stopAt int
		last          int
		fails         bool
	}{
		"gives all results in order":          {count: 40, stopAt: -1, last: 39},
		"stops at an error":                   {count: 60, stopAt: -1, last: 49, fails: true},
		"stops when the consumer has enough":  {count: 60, stopAt: 20, last: 20},
		"gives nothing when there is nothing": {count: 0, stopAt: -1, last: -1},
	} {
		t.Run(name, func(t *testing.T) {
			last := -1
			err := reconcile.InOrder(t.Context(), 4, tt.count, produce, func(i int) (bool, error) {
				if i != last+1 {
					return false, fmt.Errorf("%d came after %d", i, last)
				}
				last = i
				return i != tt.stopAt, nil
			})
			if (err != nil) != tt.fails || last != tt.last {
				t.Fatalf("last %d, %v", last, err)
			}
		})
	}
	t.Run("ends with a cancelled context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := reconcile.InOrder(ctx, 2, 1000, produce, func(i int) (bool, error) {
			if i == 10 {
				cancel()
			}
			return true, nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}
