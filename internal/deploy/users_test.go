package deploy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// TestEvidence_OfQueriesBeforeUsers: what the verification jobs of a canary do is no
// evidence about users, and a reading that began before any had it holds both. The
// old revision has users all the time.
func TestEvidence_OfQueriesBeforeUsers(t *testing.T) {
	bound := 1.0
	ratio := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	threshold := towpath.Objective{Name: "v", Kind: towpath.ObjectiveThreshold, Query: `v{r="{{revision}}"}`, Below: &bound}
	const shared = 3 // the first count with users
	for _, tt := range []struct {
		name string
		past int // counts from before the rollout
	}{{"counted from before it", 2}, {"not counted before it", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{ratio, threshold}}}
			var counts []towpath.TrafficCount
			var all []towpath.Measurement
			for i := -tt.past; i < 7; i++ {
				c := count(i, towpath.RevisionCount{Revision: "old", Weight: 90}, towpath.RevisionCount{Revision: "new"})
				if c.Before = i < 0; c.Before {
					c = users(c) // it was gone back to from this one, once
				}
				if i >= shared {
					c = users(c)
				}
				c.Received = c.At
				counts = append(counts, c)
				if i < 0 {
					continue
				}
				n := float64(i)
				all = append(all, towpath.Measurement{Recorded: c.Received.Add(-100 * time.Millisecond), Readings: []towpath.ObjectiveReading{
					{Objective: "o", Canary: answers{"total": values(10 * n), "bad": values(4 * n)}, Baseline: answers{"total": values(100 * n), "bad": values(n)}},
					{Objective: "v", Canary: answers{"query": values(n)}, Baseline: answers{"query": values(0)}},
				}})
			}
			for n := 2; n <= len(counts); n++ {
				in := deploy.Evidence(r, counts[:n], all[:max(n-tt.past, 0)])
				for i, iv := range in.Intervals {
					at := i + 1 - tt.past // the count that it ends with
					want := map[string]analysis.Reading{}
					if at >= 0 {
						want["o"], want["v"] = analysis.Reading{}, analysis.Reading{Baseline: &analysis.Sample{Values: []float64{0}}}
					}
					if at > 0 {
						want["o"] = analysis.Reading{Baseline: &analysis.Sample{Total: 100, Bad: 1}}
					}
					if at > shared+1 { // what was asked before the first count of users began before that
						want["o"] = analysis.Reading{Canary: &analysis.Sample{Total: 10, Bad: 4}, Baseline: want["o"].Baseline}
						want["v"] = analysis.Reading{Canary: &analysis.Sample{Values: []float64{float64(at)}}, Baseline: want["v"].Baseline}
					}
					got := iv.Readings
					if i == 0 && tt.past == 0 { // two measurements are in the first interval
						want["v"] = analysis.Reading{Baseline: &analysis.Sample{Values: []float64{0, 0}}}
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("after %d counts, interval %d: %s", n, i, d)
					}
				}
			}
		})
	}
}
