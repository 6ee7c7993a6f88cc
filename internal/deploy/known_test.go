package deploy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// series are the values of some series, by the letters that they are named by.
func series(names string, vs ...float64) (out []towpath.MetricValue) {
	for i, v := range vs {
		out = append(out, towpath.MetricValue{Series: names[i : i+1], Value: v})
	}
	return out
}

// TestEvidence_OfWhatIsMissing: what was counted before an answer lacked a series,
// or a sum lacked a part, is not counted again when that is back.
func TestEvidence_OfWhatIsMissing(t *testing.T) {
	bound := 0.1
	bad := towpath.Objective{Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	good := towpath.Objective{Kind: towpath.ObjectiveRatio, Good: `g{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	quantile := towpath.Objective{Kind: towpath.ObjectiveQuantile, Query: `sum by (le) (d_bucket{r="{{revision}}"})`, Below: &bound}
	count := func(total, bad float64) *analysis.Sample { return &analysis.Sample{Total: total, Bad: bad} }
	hist := func(n ...float64) *analysis.Sample {
		return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: []float64{0.1, 0.5}, Counts: n}}
	}
	canary := func(a answers) *towpath.ObjectiveReading { return &towpath.ObjectiveReading{Canary: a} }
	both := func(a, b answers) *towpath.ObjectiveReading { return &towpath.ObjectiveReading{Canary: a, Baseline: b} }
	for name, c := range map[string]struct {
		of   towpath.Objective
		read []*towpath.ObjectiveReading
		want []analysis.Reading
	}{
		"one of two instances is missing for two answers": {bad, []*towpath.ObjectiveReading{
			canary(answers{"total": series("ab", 1000, 1000), "bad": series("ab", 40, 0)}),
			canary(answers{"total": series("b", 1010), "bad": series("b", 1)}),
			canary(answers{"total": series("b", 1020), "bad": series("b", 1)}),
			canary(answers{"total": series("ab", 1030, 1030), "bad": series("ab", 41, 1)}),
		}, []analysis.Reading{{}, {Canary: count(10, 1)}, {Canary: count(10, 0)}, {Canary: count(40, 1)}}},
		"another instance is there from now on": {bad, []*towpath.ObjectiveReading{
			canary(answers{"total": series("a", 1000), "bad": series("a", 40)}),
			canary(answers{"total": series("ac", 1010, 5), "bad": series("ac", 40, 1)}),
		}, []analysis.Reading{{}, {Canary: count(15, 1)}}},
		"nothing but a zero is answered meanwhile": {bad, []*towpath.ObjectiveReading{
			canary(answers{"total": series("a0", 100_000, 0), "bad": series("0", 0)}),
			canary(answers{"total": series("0", 0), "bad": series("0", 0)}),
			canary(answers{"total": series("a0", 100_050, 0), "bad": series("0", 0)}),
		}, []analysis.Reading{{}, {Canary: count(0, 0)}, {Canary: count(50, 0)}}},
		"nothing is answered of either meanwhile": {bad, []*towpath.ObjectiveReading{
			both(answers{"total": series("a", 100)}, answers{"total": series("a", 900)}),
			both(answers{}, answers{}),
			both(answers{"total": series("a", 150)}, answers{"total": series("a", 950)}),
		}, []analysis.Reading{{}, {}, {Canary: count(50, 0), Baseline: count(50, 0)}}},
		"a sum lacks a part, which comes back": {bad, []*towpath.ObjectiveReading{
			canary(answers{"total": values(2000), "bad": values(50)}),
			canary(answers{"total": values(1010), "bad": values(10)}),
			canary(answers{"total": values(1020), "bad": values(11)}),
			canary(answers{"total": values(2060), "bad": values(53)}),
			canary(answers{"total": values(2080), "bad": values(53)}),
		}, []analysis.Reading{{}, {}, {Canary: count(10, 1)}, {}, {Canary: count(20, 0)}}},
		"a sum is zero, and comes back as it was": {bad, []*towpath.ObjectiveReading{
			canary(answers{"total": values(2000), "bad": values(50)}),
			canary(answers{"total": values(0), "bad": values(0)}),
			canary(answers{"total": values(2000), "bad": values(50)}),
			canary(answers{"total": values(2001), "bad": values(51)}),
		}, []analysis.Reading{{}, {}, {}, {Canary: count(1, 1)}}},
		"good ones of an instance began anew, and all of them were more than before": {good, []*towpath.ObjectiveReading{
			canary(answers{"total": values(100), "good": values(99)}),
			canary(answers{"total": values(120), "good": values(98)}),
			canary(answers{"total": values(130), "good": values(107)}),
		}, []analysis.Reading{{}, {}, {}}}, // the good ones are back where they were: another part may be
		"buckets began anew, and the widest holds more than before": {quantile, []*towpath.ObjectiveReading{
			canary(buckets(90, 95, 100)), canary(buckets(80, 100, 110)), canary(buckets(85, 106, 117)),
		}, []analysis.Reading{{}, {}, {Canary: hist(5, 1, 1)}}},
		"a bucket is missing": {quantile, []*towpath.ObjectiveReading{
			canary(buckets(10, 15, 16)), canary(answers{"query": {buckets(20)["query"][0], {Series: "a", LE: "+Inf", Value: 26}}}),
			canary(buckets(30, 40, 42)), canary(buckets(40, 52, 55)),
		}, []analysis.Reading{{}, {}, {}, {Canary: hist(10, 2, 1)}}},
		"an old instance stops, and its part of the sum with it": {quantile, []*towpath.ObjectiveReading{
			both(buckets(1, 1, 1), buckets(2000, 2100, 2200)),
			both(buckets(3, 3, 3), buckets(1000, 1050, 1100)),
			both(buckets(5, 5, 5), buckets(1010, 1061, 1112)),
		}, []analysis.Reading{{}, {Canary: hist(2, 0, 0)}, {Canary: hist(2, 0, 0), Baseline: hist(10, 1, 1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, evidence(c.of, c.read...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEvidence_OfWhatWasMissingBeforeUsers: what an instance counted before it had
// users is no evidence, when it is only told later.
func TestEvidence_OfWhatWasMissingBeforeUsers(t *testing.T) {
	o := towpath.Objective{Name: "o", Kind: towpath.ObjectiveRatio, Bad: `b{r="{{revision}}"}`, Total: `t{r="{{revision}}"}`}
	r := &towpath.Rollout{From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{o}}}
	var counts []towpath.TrafficCount
	var all []towpath.Measurement
	for i, total := range [][]towpath.MetricValue{
		series("ab", 10, 10), series("b", 10), series("b", 10), series("b", 20), series("ab", 200, 30), series("ab", 210, 40),
	} {
		c := count(i)
		if i >= 2 {
			c = users(c)
		}
		c.Received = noon.Add(time.Duration(i) * time.Second)
		counts = append(counts, c)
		all = append(all, towpath.Measurement{Recorded: c.Received, Readings: []towpath.ObjectiveReading{{Objective: "o", Canary: answers{"total": total}}}})
	}
	var got []float64
	for _, iv := range deploy.Evidence(r, counts, all).Intervals {
		if x := iv.Readings["o"].Canary; x != nil {
			got = append(got, x.Total)
		}
	}
	if d := cmp.Diff([]float64{10, 20}, got); d != "" {
		t.Error(d)
	}
}
