package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// stepped is a rollout with a first step of copies, and what it was given so far.
func stepped(objectives []towpath.Objective, given ...towpath.Step) *towpath.Rollout {
	for i := range given {
		given[i].Verb, given[i].Phase = towpath.VerbShift, towpath.OperationSucceeded
	}
	return &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: objectives}, Steps: given}
}

func copiesOf(requests, failed uint64, buckets ...uint64) *towpath.RequestCount {
	return &towpath.RequestCount{Requests: requests, Failed: failed, Buckets: buckets}
}

// mirrored are counts before there were copies, while there were, and after.
func mirrored() []towpath.TrafficCount {
	c := []towpath.TrafficCount{
		count(0, of("old", 100, 50, 100, 0, 0)),
		count(1, of("old", 200, 60, 200, 0, 0)),
		count(2, of("old", 300, 70, 300, 0, 0), of("new", 0, 0, 0, 0, 0)),
		count(3, of("old", 400, 80, 400, 0, 0), of("new", 0, 0, 0, 0, 0)),
		count(4, of("old", 490, 90, 490, 0, 0), of("new", 10, 0, 10, 0, 0)),
		count(5, of("old", 580, 90, 580, 0, 0), of("new", 20, 1, 20, 0, 0)),
	}
	c[2].Revisions[0].Originals, c[2].Revisions[1].Copies = copiesOf(10, 1, 10, 0, 0), copiesOf(9, 4, 5, 4, 0)
	c[3].Revisions[0].Originals, c[3].Revisions[1].Copies = copiesOf(20, 1, 20, 0, 0), copiesOf(19, 9, 10, 9, 0)
	c[4].Revisions[0].Originals, c[4].Revisions[1].Copies = copiesOf(20, 1, 20, 0, 0), copiesOf(20, 10, 10, 10, 0) // one was late
	c[5].Revisions[0].Originals, c[5].Revisions[1].Copies = c[4].Revisions[0].Originals, c[4].Revisions[1].Copies
	c[2].Revisions[1].Copied, c[3].Revisions[1].Copied = 10, 10
	for i := range c {
		c[i].Received = c[i].At
		if i > 3 {
			c[i] = users(c[i])
		}
	}
	return c
}

func TestEvidence_OfCopies(t *testing.T) {
	errs := towpath.Objective{Name: "o", Kind: towpath.ObjectiveErrors, Target: 0.9}
	slow := towpath.Objective{Name: "o", Kind: towpath.ObjectiveLatency, Target: 0.9, Bound: 100 * time.Millisecond}
	copies, users := towpath.Step{Copies: 10}, towpath.Step{Weight: 10}
	n := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	h := func(n ...float64) *analysis.Sample {
		return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: []float64{0.1, 1}, Counts: n}}
	}
	for _, tt := range []struct {
		name  string
		of    towpath.Objective
		given []towpath.Step
		want  []analysis.Reading
	}{
		{"copies beside what was copied, and before them how all requests scatter", errs, []towpath.Step{copies}, []analysis.Reading{
			{Baseline: n(100, 10)}, {Canary: n(9, 4), Baseline: n(10, 1)}, {Canary: n(10, 5), Baseline: n(10, 0)}, {Canary: n(1, 1), Baseline: n(0, 0)}, {Canary: n(0, 0), Baseline: n(0, 0)},
		}},
		{"how long copies took", slow, []towpath.Step{copies}, []analysis.Reading{
			{Baseline: h(100, 0, 0)}, {Canary: h(5, 4, 0), Baseline: h(10, 0, 0)}, {Canary: h(5, 5, 0), Baseline: h(10, 0, 0)}, {Canary: h(0, 1, 0), Baseline: h(0, 0, 0)}, {Canary: h(0, 0, 0), Baseline: h(0, 0, 0)},
		}},
		{"users only, once there are any", errs, []towpath.Step{copies, users}, []analysis.Reading{
			{Baseline: n(100, 10)}, {Canary: n(0, 0), Baseline: n(100, 10)}, {Canary: n(0, 0), Baseline: n(100, 10)}, {Canary: n(10, 0), Baseline: n(90, 10)}, {Canary: n(10, 1), Baseline: n(90, 0)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []analysis.Reading
			for _, iv := range deploy.Evidence(stepped([]towpath.Objective{tt.of}, tt.given...), mirrored(), nil).Intervals {
				got = append(got, iv.Readings["o"])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what a component counts itself is heeded when no copy is in it any more", func(t *testing.T) {
		asked := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
		var ms []towpath.Measurement
		for i, c := range mirrored() {
			total := float64(10 * (i + 1))
			ms = append(ms, towpath.Measurement{Recorded: c.Received, Readings: []towpath.ObjectiveReading{{
				Objective: "o", Canary: answers{"total": values(total), "bad": values(total / 2)}, Baseline: answers{"total": values(total), "bad": values(0)},
			}}})
		}
		in := deploy.Evidence(stepped([]towpath.Objective{asked}, copies, users), mirrored(), ms)
		for i, iv := range in.Intervals {
			if got := iv.Readings["o"]; got.Baseline == nil || (got.Canary != nil) != (i == 4) {
				t.Errorf("interval %d has %+v", i, got)
			}
		}
	})
	t.Run("is judged", func(t *testing.T) {
		r := stepped([]towpath.Objective{errs}, copies)
		var counts []towpath.TrafficCount
		for i := range 20 {
			k := uint64(i)
			c := count(i, of("old", 200*k, 0, 200*k, 0, 0), of("new", 0, 0, 0, 0, 0))
			c.Revisions[0].Originals, c.Revisions[1].Copies, c.Revisions[1].Copied = copiesOf(20*k, 0, 20*k, 0, 0), copiesOf(20*k, 10*k, 20*k, 0, 0), 10
			counts = append(counts, c)
		}
		j, err := analysis.Judge(deploy.Evidence(r, counts, nil))
		if err != nil || j.Outcome != analysis.Worse || !strings.Contains(j.Sentence, "Error rate 50 %") {
			t.Errorf("%s: %s, %v", j.Outcome, j.Sentence, err)
		}
	})
}
