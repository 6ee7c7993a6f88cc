package analysis

import (
	"testing"
	"time"
)

// A rollout is judged anew with all that was counted at each interval.
func BenchmarkJudge(b *testing.B) {
	in := Input{Objectives: []Objective{
		{Name: "errors", Kind: Ratio, Target: 0.99, Critical: true},
		{Name: "latency", Kind: Quantile, Target: 0.95, Bound: 0.3, Weight: 1},
	}}
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	bounds := []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	for i := range 2000 {
		histogram := func(n float64) *Sample {
			return &Sample{Histogram: &Histogram{Bounds: bounds, Counts: []float64{n, n, n, 0, 0, 1, 0, float64(i % 2), 0, 0, 0, 0, 0, 0}}}
		}
		start := at.Add(time.Duration(i) * time.Second)
		in.Intervals = append(in.Intervals, Interval{Start: start, End: start.Add(time.Second), Readings: map[string]Reading{
			"errors":  {Canary: &Sample{Total: 20, Bad: float64(i % 2)}, Baseline: &Sample{Total: 180, Bad: float64(i % 3)}},
			"latency": {Canary: histogram(5), Baseline: histogram(50)},
		}})
	}
	for b.Loop() {
		if _, err := Judge(in); err != nil {
			b.Fatal(err)
		}
	}
}
