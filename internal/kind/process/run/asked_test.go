package run

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
)

// asking is a runner that asks instances which hang until they are told to answer.
type asking struct {
	*Runner
	t      *testing.T
	clock  atomic.Int64 // seconds
	asked  atomic.Int64
	answer chan struct{}
	all    []sharer
}

func newAsking(t *testing.T, instances int) *asking {
	t.Helper()
	a := &asking{t: t, answer: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		a.asked.Add(1)
		<-a.answer
	}))
	t.Cleanup(srv.Close)
	var err error
	a.Runner, err = New(Config{Dir: t.TempDir(), Executable: "/bin/true", Now: func() time.Time { return time.Unix(a.clock.Load(), 0) }},
		nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range instances {
		a.all = append(a.all, sharer{
			id: fmt.Sprint(i), address: srv.Listener.Addr().String(), revision: "rev_1",
			spec: process.Spec{Health: process.Health{Path: "/", Interval: 10 * time.Second, Timeout: time.Hour}},
		})
	}
	return a
}

// look asks some seconds later.
func (a *asking) look(seconds int64) {
	a.clock.Add(seconds)
	a.ask(a.t.Context(), a.all)
}

// await waits until so many are under way, of so many that were asked.
func (a *asking) await(underWay int, asked int64) {
	a.t.Helper()
	for {
		a.watch.mu.Lock()
		under := a.watch.underWay
		a.watch.mu.Unlock()
		if under == underWay && a.asked.Load() == asked {
			return
		}
		if a.t.Context().Err() != nil || under > maxWatched || a.asked.Load() > asked {
			a.t.Fatalf("%d are under way of %d that were asked, want %d of %d", under, a.asked.Load(), underWay, asked)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func TestRunner_AsksInstances(t *testing.T) {
	t.Run("once at a time, and not more often than their health check says", func(t *testing.T) {
		a := newAsking(t, 3)
		for range 5 {
			a.look(100)
			a.await(3, 3)
		}
		close(a.answer)
		a.await(0, 3)
		a.look(9 - 400)
		a.await(0, 3)
		a.look(400)
		a.await(0, 6)
	})
	t.Run("so many at a time, those first who were not asked for longest", func(t *testing.T) {
		a := newAsking(t, maxWatched+10)
		a.look(100)
		a.await(maxWatched, maxWatched)
		close(a.answer)
		a.await(0, maxWatched)
		a.look(1)
		a.await(0, maxWatched+10)
	})
}
