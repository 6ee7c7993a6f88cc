package deploy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// seconds are the bounds that a router counts between.
func seconds(bounds ...time.Duration) (out []float64) {
	for _, b := range bounds {
		out = append(out, b.Seconds())
	}
	return out
}

// took is a revision of which so many requests have been answered, each in a time.
func took(rev towpath.RevisionID, bounds []float64, n uint64, each time.Duration) towpath.RevisionCount {
	c := towpath.RevisionCount{Revision: rev, Requests: n, Buckets: make([]uint64, len(bounds)+1)}
	i, _ := slices.BinarySearch(bounds, each.Seconds())
	c.Buckets[i] = n
	return c
}

// TestEvidence_OfLatencies: what is within the bound is good, however wide the
// bucket is that it lies in.
func TestEvidence_OfLatencies(t *testing.T) {
	speed := towpath.Objective{Name: "speed", Kind: towpath.ObjectiveLatency, Target: 0.95, Bound: 300 * time.Millisecond, Critical: true}
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{speed}}}
	known := towpath.LatencyBounds()
	bounds := seconds(known[:]...)
	for each, want := range map[time.Duration]analysis.Outcome{
		260 * time.Millisecond: analysis.NotWorse, 300 * time.Millisecond: analysis.NotWorse, 320 * time.Millisecond: analysis.Worse,
	} {
		var counts []towpath.TrafficCount
		for i := range 40 {
			c := count(i, took("old", bounds, uint64(200*i), 100*time.Millisecond), took("new", bounds, uint64(20*i), each))
			c.Bounds = bounds
			counts = append(counts, c)
		}
		in := deploy.Evidence(r, counts, nil)
		for _, iv := range in.Intervals {
			slow, all := iv.Readings["speed"].Canary.Histogram.Beyond(speed.Bound.Seconds())
			if all != 20 || slow != map[bool]float64{true: 20}[each > speed.Bound] {
				t.Fatalf("of 20 answers of %s %v of %v are slower than %s", each, slow, all, speed.Bound)
			}
		}
		if j, err := analysis.Judge(in); err != nil || j.Outcome != want {
			t.Errorf("a release that takes %s is %s: %s, %v", each, j.Outcome, j.Sentence, err)
		}
	}
}

// TestEvidence_OfAnotherRouter: while a rollout goes on the router may be replaced
// by one that counts between other bounds. No request counts twice, and none that
// was within a bound counts as beyond it.
func TestEvidence_OfAnotherRouter(t *testing.T) {
	coarse, fine := seconds(100*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond), seconds(100*time.Millisecond, 250*time.Millisecond, 300*time.Millisecond, 500*time.Millisecond)
	at := func(i int, bounds []float64, c towpath.RevisionCount) towpath.TrafficCount {
		x := count(i, c)
		x.Bounds = bounds
		return x
	}
	// Answers take up to 250 ms and up to 300 ms, in turns; from the second count
	// on another router goes on where the first one was, and at last the first again,
	// which knows nothing of what was counted in other buckets.
	counts := []towpath.TrafficCount{
		at(0, coarse, of("old", 1000, 5, 0, 500, 500, 0)),
		at(1, fine, of("old", 1020, 6, 0, 510, 3, 507, 0)), // seven of them were under way in the first one
		at(2, fine, of("old", 1040, 7, 0, 520, 13, 507, 0)),
		at(3, coarse, of("old", 1060, 8, 0, 10, 10, 0)),
	}
	bound := func(b time.Duration) towpath.Objective {
		return towpath.Objective{Name: "o", Kind: towpath.ObjectiveLatency, Target: 0.9, Bound: b}
	}
	h := func(bounds []float64, n ...float64) *analysis.Sample {
		return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: bounds, Counts: n}}
	}
	n := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	for _, tt := range []struct {
		name string
		of   towpath.Objective
		want []*analysis.Sample
	}{
		{"requests and failures go on", towpath.Objective{Name: "o", Kind: towpath.ObjectiveErrors, Target: 0.9},
			[]*analysis.Sample{n(20, 1), n(20, 1), n(20, 1)}},
		{"a bound of both is counted all the time", bound(250 * time.Millisecond),
			[]*analysis.Sample{h(coarse, 0, 10, 10, 0), h(fine, 0, 10, 10, 0, 0), h(coarse, 0, 10, 10, 0)}},
		{"a bound of one of them is not known where they change", bound(300 * time.Millisecond),
			[]*analysis.Sample{nil, h(fine, 0, 10, 10, 0, 0), nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{tt.of}}}
			var got []*analysis.Sample
			for _, iv := range deploy.Evidence(r, counts, nil).Intervals {
				got = append(got, iv.Readings["o"].Baseline)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
