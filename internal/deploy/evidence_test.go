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

// answers are those of one revision to the queries of an objective.
type answers = map[string][]towpath.MetricValue

func values(vs ...float64) []towpath.MetricValue {
	var out []towpath.MetricValue
	for _, v := range vs {
		out = append(out, towpath.MetricValue{Series: "a", Value: v})
	}
	return out
}

func buckets(within ...float64) answers {
	les := []string{"0.1", "0.5", "+Inf"}
	var out []towpath.MetricValue
	for i, v := range within {
		out = append(out, towpath.MetricValue{Series: "a", LE: les[i], Value: v})
	}
	return answers{"query": out}
}

// users has a part of the traffic be the new revision's when it is counted.
func users(c towpath.TrafficCount) towpath.TrafficCount {
	for i := range c.Revisions {
		if c.Revisions[i].Revision == "new" {
			c.Revisions[i].Weight = 10
			return c
		}
	}
	c.Revisions = append(c.Revisions, towpath.RevisionCount{Revision: "new", Weight: 10})
	return c
}

// evidence is what an objective is given when these were read, each in an
// interval of its own; nil stands for none.
func evidence(o towpath.Objective, read ...*towpath.ObjectiveReading) []analysis.Reading {
	o.Name = "o"
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{o}}}
	counts := []towpath.TrafficCount{users(count(0))}
	counts[0].Received = time.Time{} // users had it before it was asked
	var ms []towpath.Measurement
	for i, x := range read {
		c := count(i + 1)
		c.Received = noon.Add(time.Duration(i+1) * time.Second)
		counts = append(counts, c)
		if x != nil {
			x.Objective = "o"
			ms = append(ms, towpath.Measurement{Recorded: c.Received.Add(-time.Millisecond), Readings: []towpath.ObjectiveReading{*x}})
		}
	}
	var out []analysis.Reading
	for _, iv := range deploy.Evidence(r, counts, ms).Intervals {
		out = append(out, iv.Readings["o"])
	}
	return out
}

func TestEvidence_OfQueries(t *testing.T) {
	bound := 0.1
	ratio := towpath.Objective{Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	good := towpath.Objective{Kind: towpath.ObjectiveRatio, Good: `g{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	increase := towpath.Objective{Kind: towpath.ObjectiveRatio, Bad: `increase(b{r="{{revision}}"}[{{interval}}])`, Total: `increase(t{r="{{revision}}"}[{{interval}}])`}
	quantile := towpath.Objective{Kind: towpath.ObjectiveQuantile, Query: `d_bucket{r="{{revision}}"}`, Below: &bound}
	threshold := towpath.Objective{Kind: towpath.ObjectiveThreshold, Query: `v{r="{{revision}}"}`, Below: &bound}
	count := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	hist := func(n ...float64) *analysis.Sample {
		return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: []float64{0.1, 0.5}, Counts: n}}
	}
	canary := func(a answers) *towpath.ObjectiveReading { return &towpath.ObjectiveReading{Canary: a} }
	for name, c := range map[string]struct {
		of   towpath.Objective
		read []*towpath.ObjectiveReading
		want []analysis.Reading
	}{
		"counters count from the last reading": {ratio, []*towpath.ObjectiveReading{
			canary(answers{"total": values(100), "bad": nil}),
			canary(answers{"total": values(120), "bad": values(3)}), // the first bad ones make a series
			nil, // nobody asked
			canary(answers{"total": values(150), "bad": values(4)}),
			canary(answers{"total": values(10), "bad": values(0)}), // it was started again, nobody knows when
			canary(answers{"total": values(25), "bad": values(2)}),
		}, []analysis.Reading{{}, {Canary: count(20, 3)}, {}, {Canary: count(30, 1)}, {}, {Canary: count(15, 2)}}},
		"a source that was away loses nothing": {ratio, []*towpath.ObjectiveReading{
			canary(answers{"total": values(100), "bad": values(1)}),
			{Errored: "the metric source answers 503"},
			canary(answers{"total": values(160), "bad": values(2)}),
		}, []analysis.Reading{{}, {Errored: "the metric source answers 503"}, {Canary: count(60, 1)}}},
		"good ones are the rest, and never more than all": {good, []*towpath.ObjectiveReading{
			canary(answers{"total": values(0), "good": values(0)}),
			canary(answers{"total": values(20), "good": values(15)}),
			canary(answers{"total": values(30), "good": values(26)}),
		}, []analysis.Reading{{}, {Canary: count(20, 5)}, {Canary: count(10, 0)}}},
		"both revisions, each by itself": {ratio, []*towpath.ObjectiveReading{
			{Canary: answers{}, Baseline: answers{"total": values(5), "bad": values(5)}},
			{Canary: answers{"total": values(7), "bad": values(7)}, Baseline: answers{"total": values(6), "bad": values(5)}},
			{Canary: answers{"total": values(9), "bad": values(8)}, Baseline: answers{}},
		}, []analysis.Reading{{}, {Baseline: count(1, 0)}, {Canary: count(2, 1)}}},
		"what an interval had is taken as it is": {increase, []*towpath.ObjectiveReading{
			canary(answers{"total": values(19.5), "bad": values(0.5)}), canary(answers{"total": values(20.5)}),
		}, []analysis.Reading{{Canary: count(19.5, 0.5)}, {Canary: count(20.5, 0)}}},
		"what is no count errs": {increase, []*towpath.ObjectiveReading{
			canary(answers{"total": values(-1), "bad": values(2)}),
		}, []analysis.Reading{{Errored: "its queries count 2 of -1, which are no counts"}}},
		"buckets hold only what is not in those below": {quantile, []*towpath.ObjectiveReading{
			canary(buckets(10, 15, 16)), canary(buckets(20, 30, 32)),
		}, []analysis.Reading{{}, {Canary: hist(10, 5, 1)}}},
		"buckets that don't reach err": {quantile, []*towpath.ObjectiveReading{
			canary(buckets(1, 2)), canary(buckets(1, 2)),
		}, []analysis.Reading{{}, {Errored: `its query answers no bucket le="+Inf", so nobody can tell how many there are`}}},
		"a threshold takes all values": {threshold, []*towpath.ObjectiveReading{
			canary(answers{"query": values(1, 2)}), canary(answers{}),
		}, []analysis.Reading{{Canary: &analysis.Sample{Values: []float64{1, 2}}}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, evidence(c.of, c.read...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEvidence_NeverChanges: what was judged stays, whatever is measured later,
// and several measurements in one interval are one.
func TestEvidence_NeverChanges(t *testing.T) {
	o := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: `increase(b{r="{{revision}}"}[{{interval}}])`, Total: `increase(t{r="{{revision}}"}[{{interval}}])`}
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{o}}}
	var counts []towpath.TrafficCount
	for i := range 4 {
		c := users(count(i))
		c.Received = noon.Add(time.Duration(i) * time.Second)
		counts = append(counts, c)
	}
	counts[0].Received = time.Time{}
	at := func(s float64, reading towpath.ObjectiveReading) towpath.Measurement {
		reading.Objective = "o"
		return towpath.Measurement{Recorded: noon.Add(time.Duration(s * float64(time.Second))), Readings: []towpath.ObjectiveReading{reading}}
	}
	ten := towpath.ObjectiveReading{Canary: answers{"total": values(10), "bad": values(1)}}
	all := []towpath.Measurement{at(1.2, ten), at(1.4, towpath.ObjectiveReading{Errored: "away"}), at(1.6, ten), at(2.5, towpath.ObjectiveReading{Errored: "away"}), at(3.5, ten)}
	want := deploy.Evidence(r, counts, all).Intervals
	if got := want[1].Readings["o"]; got.Errored != "" || got.Canary == nil || got.Canary.Total != 20 || got.Canary.Bad != 2 {
		t.Errorf("the second interval has %+v", got)
	}
	if got := want[2].Readings["o"]; got.Errored != "away" {
		t.Errorf("the third interval has %+v", got)
	}
	for n := 2; n <= len(counts); n++ {
		var known []towpath.Measurement
		for _, m := range all {
			if !m.Recorded.After(counts[n-1].Received) {
				known = append(known, m)
			}
		}
		if d := cmp.Diff(want[:n-1], deploy.Evidence(r, counts[:n], known).Intervals); d != "" {
			t.Errorf("after %d counts: %s", n, d)
		}
	}
}

// TestEvidence_CanBeJudged: what a source says in an interval that was long, because
// the agent was away, or that is no sense, keeps nobody from judging by all else.
func TestEvidence_CanBeJudged(t *testing.T) {
	most, huge := 0.2, 0.9e12
	objectives := []towpath.Objective{
		{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true},
		{Name: "lag", Kind: towpath.ObjectiveThreshold, Query: `lag{r="{{revision}}"}`, Below: &most, Target: 0.9},
		{Name: "bytes", Kind: towpath.ObjectiveRatio, Bad: `increase(b{r="{{revision}}"}[{{interval}}])`, Total: `increase(t{r="{{revision}}"}[{{interval}}])`, Target: 0.9},
		{Name: "speed", Kind: towpath.ObjectiveQuantile, Query: `increase(d_bucket{r="{{revision}}"}[{{interval}}])`, Below: &most, Target: 0.9},
	}
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: objectives}}
	var counts []towpath.TrafficCount
	for i := range 3 {
		n := uint64(1000 * i)
		c := count(i, towpath.RevisionCount{Revision: "old", Weight: 50, Requests: n}, towpath.RevisionCount{Revision: "new", Weight: 50, Requests: n, Failed: n})
		c.Received = noon.Add(time.Duration(i) * time.Hour)
		counts = append(counts, c)
	}
	var lags []towpath.MetricValue
	for i := range 100 {
		lags = append(lags, towpath.MetricValue{Series: string(rune('0' + i)), Value: float64(i)})
	}
	all := map[string]answers{"lag": {"query": lags}, "bytes": {"total": values(huge), "bad": values(0)}, "speed": buckets(huge, huge, huge)}
	var ms []towpath.Measurement
	for i := range 120 {
		m := towpath.Measurement{Recorded: noon.Add(time.Hour + time.Duration(i)*10*time.Second)}
		for _, o := range objectives[1:] {
			m.Readings = append(m.Readings, towpath.ObjectiveReading{Objective: o.Name, Canary: all[o.Name], Baseline: all[o.Name]})
		}
		ms = append(ms, m)
	}
	in := deploy.Evidence(r, counts, ms)
	last := in.Intervals[1].Readings
	if n := len(last["lag"].Canary.Values); n != 10_000 {
		t.Errorf("%d values are judged", n)
	}
	for _, name := range []string{"bytes", "speed"} {
		if last[name].Errored == "" || last[name].Canary != nil {
			t.Errorf("%s is %+v", name, last[name])
		}
	}
	if j, err := analysis.Judge(in); err != nil || j.Outcome != analysis.Worse {
		t.Errorf("all requests of the new one fail, and it is %q, %v", j.Outcome, err)
	}
}

func TestEvidence_Objectives(t *testing.T) {
	least, most := 3.0, 0.2
	r := &towpath.Rollout{Canary: &towpath.Canary{Objectives: []towpath.Objective{
		{Name: "a", Kind: towpath.ObjectiveThreshold, Query: "up", Above: &least, Target: 0.9, Weight: 3, Ranks: true},
		{Name: "b", Kind: towpath.ObjectiveQuantile, Query: `x{r="{{release}}"}`, Below: &most, Target: 0.95, Window: time.Minute, MinSamples: 7, Tolerance: 1.5},
		{Name: "c", Kind: towpath.ObjectiveErrors, Target: 0.9, Window: 720 * time.Hour},
	}}}
	want := []analysis.Objective{
		{Name: "a", Kind: analysis.Threshold, Target: 0.9, Bound: 3, Least: true, Weight: 3, Ranks: true, MinSamples: 10, Alone: true},
		{Name: "b", Kind: analysis.Quantile, Target: 0.95, Bound: 0.2, Weight: 1, Window: time.Minute, MinSamples: 7, Tolerance: 1.5},
		{Name: "c", Kind: analysis.Ratio, Target: 0.9, Weight: 1},
	}
	if d := cmp.Diff(want, deploy.Evidence(r, nil, nil).Objectives); d != "" {
		t.Error(d)
	}
}

func TestExpand(t *testing.T) {
	got := towpath.Expand(`a{r="{{revision}}",d="{{ release }}"}[{{interval}}] {{nobody}}`, map[towpath.Placeholder]string{
		towpath.InRevision: "rev_1", towpath.InRelease: "sha256:0", towpath.InInterval: "1000ms",
	})
	if want := `a{r="rev_1",d="sha256:0"}[1000ms] {{nobody}}`; got != want {
		t.Errorf("%s", got)
	}
	if strings.Contains(got, "{{ ") {
		t.Errorf("%s", got)
	}
}

// TestEvidence_OfQueriesAfterTheSwitch: of what has all of the traffic a source is
// believed about users only; what came before the switch was verification.
func TestEvidence_OfQueriesAfterTheSwitch(t *testing.T) {
	o := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	r := &towpath.Rollout{
		From: "old", To: "new", Steps: []towpath.Step{{Verb: towpath.VerbSwitch, Phase: towpath.OperationSucceeded}},
		Canary: &towpath.Canary{Objectives: []towpath.Objective{o}, Spec: towpath.RolloutSpec{Steps: []towpath.RolloutStep{{Weight: 100}}}},
	}
	var counts []towpath.TrafficCount
	var all []towpath.Measurement
	for i := range 6 {
		c := count(i, towpath.RevisionCount{Revision: "old", Weight: 1}, towpath.RevisionCount{Revision: "new"})
		if i >= 3 {
			c = count(i, towpath.RevisionCount{Revision: "old"}, towpath.RevisionCount{Revision: "new", Weight: 1})
		}
		c.Received = noon.Add(time.Duration(i) * time.Second)
		counts = append(counts, c)
		x := towpath.ObjectiveReading{Objective: "o", Canary: answers{"total": values(float64(10 * i)), "bad": values(float64(8 * i))}}
		if i < 3 {
			x.Baseline = answers{"total": values(float64(100 * i)), "bad": values(float64(i))}
		}
		all = append(all, towpath.Measurement{Recorded: c.Received.Add(-time.Millisecond), Readings: []towpath.ObjectiveReading{x}})
	}
	sample := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	want := []analysis.Reading{{Baseline: sample(100, 1)}, {Baseline: sample(100, 1)}, {}, {}, {Canary: sample(10, 8)}}
	for n := 2; n <= len(counts); n++ {
		in := deploy.Evidence(r, counts[:n], all[:n])
		if !in.After {
			t.Fatal("it is judged as if something ran beside it")
		}
		for i, iv := range in.Intervals {
			if d := cmp.Diff(want[i], iv.Readings["o"]); d != "" {
				t.Errorf("after %d counts, interval %d: %s", n, i, d)
			}
		}
	}
}
