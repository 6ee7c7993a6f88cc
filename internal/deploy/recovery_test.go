package deploy

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestBad(t *testing.T) {
	errors := towpath.Objective{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}
	speed := towpath.Objective{Name: "speed", Kind: towpath.ObjectiveLatency, Target: 0.9, Bound: 300 * time.Millisecond}
	count := func(requests, failed uint64, buckets ...uint64) towpath.RevisionCount {
		return towpath.RevisionCount{Revision: "new", Requests: requests, Failed: failed, Buckets: buckets}
	}
	for _, tt := range []struct {
		name      string
		objective towpath.Objective
		from, to  towpath.RevisionCount
		want      bool
	}{
		{"nothing happened", errors, count(10, 0), count(10, 0), false},
		{"all was well", errors, count(10, 0), count(20, 0), false},
		{"one failed", errors, count(10, 0), count(20, 1), true},
		{"one had failed before", errors, count(10, 1), count(20, 1), false},
		{"all were fast", speed, count(0, 0, 0, 0, 0), count(9, 0, 9, 0, 0), false},
		{"one was slow", speed, count(0, 0, 0, 0, 0), count(9, 0, 8, 1, 0), true},
		{"one was slower than any bound", speed, count(0, 0, 0, 0, 0), count(9, 0, 8, 0, 1), true},
		{"slow ones are of no objective", errors, count(0, 0, 0, 0, 0), count(9, 0, 8, 0, 1), false},
		{"an instance broke", errors, count(10, 0), towpath.RevisionCount{Revision: "new", Requests: 10, Broken: "it exited"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			of := func(c towpath.RevisionCount) towpath.TrafficCount {
				return towpath.TrafficCount{Bounds: []float64{0.3, 1}, Revisions: []towpath.RevisionCount{c, {Revision: "old", Failed: c.Requests}}}
			}
			r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{tt.objective}}}
			if got := bad(r, of(tt.from), of(tt.to)); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
