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

// The first sign of what only a metric source sees is the first measurement in
// which it is there, not the moment at which the statistics were certain.
func TestMeasuredSign(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 12, 0, s, 0, time.UTC) }
	most := 0.3
	orders := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: "bad", Total: "total", Target: 0.99}
	queue := towpath.Objective{Name: "o", Kind: towpath.ObjectiveThreshold, Query: "queue", Target: 0.9, Below: &most}
	stock := towpath.Objective{Name: "o", Kind: towpath.ObjectiveThreshold, Query: "stock", Target: 0.9, Above: &most}
	speed := towpath.Objective{Name: "o", Kind: towpath.ObjectiveQuantile, Query: "buckets", Target: 0.9, Below: &most}
	value := func(vs ...float64) (out []towpath.MetricValue) {
		for _, v := range vs {
			out = append(out, towpath.MetricValue{Value: v})
		}
		return out
	}
	counter := func(bad, total float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{"bad": value(bad), "total": value(total)}
	}
	query := func(vs ...float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{"query": value(vs...)}
	}
	buckets := func(within, all float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{"query": {{LE: "0.3", Value: within}, {LE: "+Inf", Value: all}}}
	}
	type answers = []map[string][]towpath.MetricValue // of the new revision at 10 s, 20 s, 30 s, ...
	for _, tt := range []struct {
		name      string
		objective towpath.Objective
		answers   answers
		change    func(r *towpath.Rollout)
		want      time.Time
	}{
		{"nothing was bad", orders, answers{counter(0, 10), counter(0, 20)}, nil, time.Time{}},
		{"bad orders from the third on: since the second", orders, answers{counter(0, 10), counter(0, 20), counter(1, 30), counter(9, 40)}, nil, at(20)},
		{"orders that were bad before it was asked are not this one's", orders, answers{counter(5, 10), counter(5, 20)}, nil, time.Time{}},
		{"a source that erred: since it last answered", orders, answers{counter(0, 10), nil, counter(1, 30)}, nil, at(10)},
		{"a long queue at a moment", queue, answers{query(0.1), query(0.3), query(0.1, 0.4)}, nil, at(30)},
		{"too little in stock", stock, answers{query(0.4), query(0.2)}, nil, at(20)},
		{"slow ones", speed, answers{buckets(5, 5), buckets(9, 9), buckets(12, 13)}, nil, at(20)},
		{"what is only measured is never bad", towpath.Objective{Name: "o", Kind: towpath.ObjectiveMeasure, Query: "q"}, answers{query(1), query(9)}, nil, time.Time{}},
		{"not before it had users", orders, answers{counter(0, 10), counter(1, 20)}, func(r *towpath.Rollout) {
			r.Steps[0].Ended = at(15)
		}, at(15)},
		{"and of a share that is still being given, not before that began", orders, answers{counter(0, 10), counter(1, 20)}, func(r *towpath.Rollout) {
			r.Steps[0] = towpath.Step{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationRunning, Began: at(15)}
		}, at(15)},
		{"of copies it is not believed", orders, answers{counter(0, 10), counter(1, 20)}, func(r *towpath.Rollout) {
			r.Steps[0].Weight, r.Steps[0].Copies = 0, 10
		}, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{tt.objective}}, Steps: []towpath.Step{
				{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationSucceeded, Ended: at(5)},
			}}
			if tt.change != nil {
				tt.change(r)
			}
			var all []towpath.Measurement
			for i, a := range tt.answers {
				read := towpath.ObjectiveReading{Objective: "o", Canary: a}
				if a == nil {
					read.Errored = "it answers 503"
				}
				all = append(all, towpath.Measurement{Recorded: at(10 * (i + 1)), Readings: []towpath.ObjectiveReading{read}})
			}
			had := []towpath.TrafficCount{{Revisions: []towpath.RevisionCount{{Revision: r.To, Weight: 5}}}}
			if got := measuredSign(r, had, all); !got.Equal(tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What verification jobs did before anybody had it is no sign that users were hurt.
func TestMeasuredSign_BeforeUsers(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 12, 0, s, 0, time.UTC) }
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{
		{Name: "o", Kind: towpath.ObjectiveRatio, Bad: "bad", Total: "total", Target: 0.99},
	}}, Steps: []towpath.Step{{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationSucceeded, Ended: at(25)}}}
	counts := []towpath.TrafficCount{
		{Received: at(15), Revisions: []towpath.RevisionCount{{Revision: "new"}}},
		{Received: at(25), Revisions: []towpath.RevisionCount{{Revision: "new", Weight: 5}}},
	}
	var all []towpath.Measurement
	for i, bad := range []float64{0, 5, 9, 9, 10} { // at 10 s, 20 s, ...
		all = append(all, towpath.Measurement{Recorded: at(10 * (i + 1)), Readings: []towpath.ObjectiveReading{{
			Objective: "o", Canary: map[string][]towpath.MetricValue{"bad": {{Value: bad}}, "total": {{Value: 20 * float64(i)}}},
		}}})
	}
	if got := measuredSign(r, counts, all[:4]); !got.IsZero() {
		t.Errorf("before one of a user's was bad: %s", got)
	}
	if got := measuredSign(r, counts, all); !got.Equal(at(40)) {
		t.Errorf("got %s", got)
	}
}

// A step that fails has hurt since it began, and one that does not get on since
// somebody first tried it.
func TestStepSigns(t *testing.T) {
	at := func(m int) time.Time { return time.Date(2026, 11, 21, 12, m, 0, 0, time.UTC) }
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Components: []towpath.Rollout{{
		Component: "api", Progress: 30 * time.Minute, Steps: []towpath.Step{
			{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded, Issued: at(0), Began: at(0), Ended: at(1)},
			{Verb: towpath.VerbVerifyBefore, Phase: towpath.OperationFailed, Issued: at(1), Began: at(2), Ended: at(9)},
		},
	}}}
	step := &d.Components[0].Steps[1]
	expect := func(what string, now, want time.Time) {
		t.Helper()
		if got := earliest(now, stepSigns(d, now)...); !got.Equal(want) {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	expect("a step that failed", at(10), at(2))
	step.Began = time.Time{}
	expect("one of before there was its beginning", at(10), at(9))
	*step = towpath.Step{Verb: towpath.VerbVerifyBefore, Phase: towpath.OperationPending, Issued: at(1), Began: at(2)}
	expect("one that has time", at(10), at(10))
	expect("one that has none", at(31), at(2))
	step.Began = time.Time{}
	expect("one that nobody took up", at(31), at(1))
}
