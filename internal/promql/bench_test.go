package promql

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// BenchmarkShared is an interval of 50 agents with 500 series each, on
// PostgreSQL: that they push, and that one server takes in what all were told.
func BenchmarkShared(b *testing.B) {
	batches := store.NewSampleBatches(dbtest.Postgres(b))
	engine, err := OpenEmbedded(EmbeddedConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	s := NewShared(SharedConfig{Now: time.Now}, engine, batches)
	const agents, series = 50, 500
	pushed := make([][]towpath.MetricSample, agents)
	for i := range pushed {
		pushed[i] = pushedBy(i+1, series)
	}
	var pushing, taking time.Duration
	for n := 0; b.Loop(); n++ {
		began := time.Now()
		var all sync.WaitGroup
		for _, samples := range pushed {
			for i := range samples {
				samples[i].Value += float64(i)
			}
			all.Go(func() {
				if _, err := s.Append(b.Context(), samples); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		told := time.Now()
		if _, err := s.whole(b.Context(), told); err != nil {
			b.Fatal(err)
		}
		pushing, taking = pushing+told.Sub(began), taking+time.Since(told)
	}
	var size, rows int64
	heads, err := batches.After(b.Context(), time.Time{}, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	for _, h := range heads {
		size, rows = size+h.Size, rows+1
	}
	b.ReportMetric(pushing.Seconds()*1000/float64(b.N), "ms/push")
	b.ReportMetric(taking.Seconds()*1000/float64(b.N), "ms/take-in")
	b.ReportMetric(float64(size)/float64(rows), "B/batch")
	got, err := engine.Query(b.Context(), "count(http_requests_total)", time.Now())
	if err != nil || fmt.Sprint(got[0].Value) != fmt.Sprint(agents*series) {
		b.Errorf("%v, %v", got, err)
	}
}

// BenchmarkShared_Query is what an answer waits for when nothing was pushed.
func BenchmarkShared_Query(b *testing.B) {
	engine, err := OpenEmbedded(EmbeddedConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	s := NewShared(SharedConfig{Now: time.Now}, engine, store.NewSampleBatches(dbtest.Postgres(b)))
	for b.Loop() {
		if _, err := s.Query(b.Context(), "a", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
