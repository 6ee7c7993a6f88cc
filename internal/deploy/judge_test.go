package deploy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func count(at int, revisions ...towpath.RevisionCount) towpath.TrafficCount {
	return towpath.TrafficCount{At: noon.Add(time.Duration(at) * time.Second), Bounds: []float64{0.1, 1}, Revisions: revisions}
}

func of(rev towpath.RevisionID, requests, failed uint64, buckets ...uint64) towpath.RevisionCount {
	return towpath.RevisionCount{Revision: rev, Requests: requests, Failed: failed, Buckets: buckets}
}

func TestEvidence(t *testing.T) {
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{
		{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true, MinSamples: 20},
		{Name: "latency", Kind: towpath.ObjectiveLatency, Target: 0.95, Bound: 300 * time.Millisecond},
		{Name: "sales", Query: "rate(sales[1m])", Target: 1},
	}}}
	in := deploy.Evidence(r, []towpath.TrafficCount{
		count(0, of("old", 100, 1, 90, 9, 1)),
		count(1, of("old", 130, 1, 115, 13, 2)), // before the new one has traffic
		count(2, of("old", 150, 2, 130, 17, 3), of("new", 5, 1, 3, 1, 1)),
		count(2, of("old", 150, 2, 130, 17, 3), of("new", 5, 1, 3, 1, 1)), // the same moment once more
		count(3, of("old", 10, 0, 10, 0, 0), of("new", 9, 3, 5, 2, 2)),    // the old one's counters began anew
	}, nil)
	ratio := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	quantile := func(counts ...float64) *analysis.Sample {
		return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: []float64{0.1, 1}, Counts: counts}}
	}
	interval := func(from, to int, errors, latency analysis.Reading) analysis.Interval {
		return analysis.Interval{
			Start: noon.Add(time.Duration(from) * time.Second), End: noon.Add(time.Duration(to) * time.Second),
			Readings: map[string]analysis.Reading{"errors": errors, "latency": latency},
		}
	}
	want := analysis.Input{
		Objectives: []analysis.Objective{
			{Name: "errors", Kind: analysis.Ratio, Target: 0.99, Critical: true, Weight: 1, MinSamples: 20},
			{Name: "latency", Kind: analysis.Quantile, Target: 0.95, Bound: 0.3, Weight: 1},
		},
		Intervals: []analysis.Interval{
			interval(0, 1, analysis.Reading{Baseline: ratio(30, 0)}, analysis.Reading{Baseline: quantile(25, 4, 1)}),
			interval(1, 2, analysis.Reading{Canary: ratio(5, 1), Baseline: ratio(20, 1)}, analysis.Reading{Canary: quantile(3, 1, 1), Baseline: quantile(15, 4, 1)}),
			interval(2, 3, analysis.Reading{Canary: ratio(4, 2), Baseline: ratio(10, 0)}, analysis.Reading{Canary: quantile(2, 1, 1), Baseline: quantile(10, 0, 0)}),
		},
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Error(diff)
	}
}

// Of the time before a rollout the old revision's requests are told, whatever the
// new one did then: it may have run before.
func TestEvidence_OfBefore(t *testing.T) {
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{
		{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99},
		{Name: "sales", Kind: towpath.ObjectiveRatio, Target: 0.9, Bad: "bad", Total: "total"},
	}}}
	counts := []towpath.TrafficCount{
		count(0, of("old", 100, 0), of("new", 100, 60)),
		count(1, of("old", 110, 1), of("new", 200, 160)),
		count(2, of("old", 130, 1), of("new", 200, 160)),
		count(3, of("old", 160, 1), of("new", 200, 160)),
		count(4, of("old", 170, 2), of("new", 205, 161)),
	}
	counts[0].Before, counts[1].Before, counts[2].Before = true, true, true
	away := count(-1) // when another one ran, and the old one was not in the route
	away.Before = true
	counts = append([]towpath.TrafficCount{away}, counts...)
	ratio := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	want := []analysis.Reading{
		{}, {Baseline: ratio(10, 1)}, {Baseline: ratio(20, 0)},
		{Canary: ratio(0, 0), Baseline: ratio(30, 0)}, {Canary: ratio(5, 1), Baseline: ratio(10, 1)},
	}
	in := deploy.Evidence(r, counts, nil)
	if len(in.Intervals) != len(want) {
		t.Fatalf("%+v", in.Intervals)
	}
	for i, iv := range in.Intervals {
		if diff := cmp.Diff(want[i], iv.Readings["errors"]); diff != "" {
			t.Errorf("interval %d: %s", i, diff)
		}
		if _, read := iv.Readings["sales"]; read && i < 3 {
			t.Errorf("interval %d says what no source was asked", i)
		}
	}
}

// TestEvidence_AfterTheSwitch: what has all of the traffic is judged by what it did
// with that, and excused by what the other one did before.
func TestEvidence_AfterTheSwitch(t *testing.T) {
	r := &towpath.Rollout{
		From: "old", To: "new", Steps: []towpath.Step{{Verb: towpath.VerbSwitch, Phase: towpath.OperationSucceeded}},
		Canary: &towpath.Canary{
			Spec:       towpath.RolloutSpec{Steps: []towpath.RolloutStep{{Weight: 100, For: time.Minute}}},
			Objectives: []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}},
		},
	}
	counts := []towpath.TrafficCount{
		count(0, of("old", 100, 0), of("new", 0, 0)),
		count(1, of("old", 110, 1), of("new", 2, 2)), // it had run before, and came back
		count(2, of("old", 130, 1), of("new", 5, 4)), // who looks at it are no users
		count(3, of("old", 131, 2), of("new", 25, 5)),
	}
	counts[0].Before, counts[1].Before = true, true
	counts[1].Revisions[1].Weight, counts[3].Revisions[1].Weight = 1, 1
	in := deploy.Evidence(r, counts, nil)
	var got []analysis.Reading
	for _, iv := range in.Intervals {
		got = append(got, iv.Readings["errors"])
	}
	ratio := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	want := []analysis.Reading{{Baseline: ratio(10, 1)}, {Baseline: ratio(20, 0)}, {Canary: ratio(20, 1)}}
	if diff := cmp.Diff(want, got); diff != "" || !in.After {
		t.Errorf("after: %v, %s", in.After, diff)
	}
}
