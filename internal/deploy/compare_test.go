package deploy

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/towpath"
)

// TestCompared_Flows has counters that grow be divided by the requests in which
// they grew, also when nobody could ask in between.
func TestCompared_Flows(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	e := &towpath.Experiment{
		Share: 20, For: time.Hour,
		Measures: []towpath.Measure{{Name: "orders", Query: `orders{revision="{{revision}}"}`, Better: "more"}},
		Prices: &towpath.Prices{
			Request: 0.001, Currency: "EUR",
			Items: []towpath.Price{{Name: "cpu", Query: `increase(cpu{revision="{{revision}}"}[{{interval}}])`, Price: 2}},
		},
	}
	r := &towpath.Rollout{Component: "api", From: "old", To: "new", Canary: &towpath.Canary{Objectives: e.Counted()}}
	d := &towpath.Deployment{PreviousVersion: "1.0.0", Version: "1.1.0", Experiment: e}

	var counts []towpath.TrafficCount
	var measurements []towpath.Measurement
	answer := func(v float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{towpath.QueryValues: {{Series: "a", Value: v}}}
	}
	for i := range 5 {
		at := begin.Add(time.Duration(i) * time.Minute)
		n := uint64(i)
		counts = append(counts, towpath.TrafficCount{At: at, Received: at.Add(time.Second), Revisions: []towpath.RevisionCount{
			{Revision: "old", Weight: 80, Requests: 1000 + 80*n}, {Revision: "new", Weight: 20, Requests: 20 * n},
		}})
		m := towpath.Measurement{At: at, Recorded: at, Readings: []towpath.ObjectiveReading{
			{Objective: "orders", Baseline: answer(100 + 8*float64(i)), Canary: answer(4 * float64(i))},
			{Objective: "cost: cpu", Baseline: answer(1.6), Canary: answer(0.2)},
		}}
		if i == 2 { // the source is away
			for k := range m.Readings {
				m.Readings[k] = towpath.ObjectiveReading{Objective: m.Readings[k].Objective, Errored: "it is away"}
			}
		}
		measurements = append(measurements, m)
	}

	got := Compared(d, r, counts, measurements)
	if len(got.Intervals) != 4 || len(got.Metrics) != 2 || got.Old != "1.0.0" || got.New != "1.1.0" {
		t.Fatalf("compared %+v", got)
	}
	sums := map[string][4]float64{}
	errored := 0
	for _, iv := range got.Intervals {
		for name, x := range iv.Readings {
			if x.Errored != "" {
				errored++
				continue
			}
			s := sums[name]
			sums[name] = [4]float64{s[0] + x.Old.Sum, s[1] + x.Old.Over, s[2] + x.New.Sum, s[3] + x.New.Over}
		}
	}
	if errored != 2 {
		t.Errorf("%d readings say that the source was away", errored)
	}
	near := func(name string, i int, want float64) {
		t.Helper()
		if math.Abs(sums[name][i]-want) > 1e-9 {
			t.Errorf("%s: %v, and number %d is to be %v", name, sums[name], i, want)
		}
	}
	// A counter catches up with what nobody saw, over all of those requests.
	near("orders", 0, 32)
	near("orders", 1, 320)
	near("orders", 2, 16)
	near("orders", 3, 80)
	// What was counted in an interval is lost with it, and its requests are too.
	near("cost", 1, 240)
	near("cost", 0, 240*0.001+3*1.6*2)
	near("cost", 3, 60)
	near("cost", 2, 60*0.001+3*0.2*2)
}

// TestCompared_SaysWhatIsNotAnswered: a source that answers nothing is as good as
// one that is away, and counters count on once it answers again.
func TestCompared_SaysWhatIsNotAnswered(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	e := &towpath.Experiment{Share: 20, For: time.Hour, Measures: []towpath.Measure{{Name: "orders", Query: `orders{revision="{{revision}}"}`, Better: "more"}}}
	r := &towpath.Rollout{Component: "api", From: "old", To: "new", Canary: &towpath.Canary{Objectives: e.Counted()}}
	d := &towpath.Deployment{PreviousVersion: "1.0.0", Version: "1.1.0", Experiment: e}
	answer := func(v float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{towpath.QueryValues: {{Series: "a", Value: v}}}
	}
	var counts []towpath.TrafficCount
	var measurements []towpath.Measurement
	for i := range 5 {
		at := begin.Add(time.Duration(i) * time.Second)
		n := uint64(i)
		counts = append(counts, towpath.TrafficCount{At: at, Received: at, Revisions: []towpath.RevisionCount{
			{Revision: "old", Weight: 80, Requests: 80 * n}, {Revision: "new", Weight: 20, Requests: 20 * n},
		}})
		x := towpath.ObjectiveReading{Objective: "orders", Baseline: answer(8 * float64(i)), Canary: answer(4 * float64(i))}
		if i == 2 {
			x.Canary = map[string][]towpath.MetricValue{towpath.QueryValues: nil}
		}
		measurements = append(measurements, towpath.Measurement{At: at, Recorded: at, Readings: []towpath.ObjectiveReading{x}})
	}
	var said []string
	var seen, over float64
	for _, iv := range Compared(d, r, counts, measurements).Intervals {
		x := iv.Readings["orders"]
		if x.Errored != "" {
			said = append(said, x.Errored)
		}
		seen, over = seen+x.New.Sum, over+x.New.Over
	}
	if len(said) != 1 || said[0] != `the query of "orders" answered nothing about the new release` {
		t.Errorf("it says %q", said)
	}
	if seen != 16 || over != 80 {
		t.Errorf("%v orders over %v requests were seen of the new one, want all 16 over 80", seen, over)
	}
}

// TestCompared_CountsNothingTwice: where one of the things that have a price could
// not be read, the requests of that time are left out, and so is what was read of
// the others and what a counter makes up for.
func TestCompared_CountsNothingTwice(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	e := &towpath.Experiment{
		Share: 20, For: time.Hour,
		Prices: &towpath.Prices{Items: []towpath.Price{
			{Name: "cpu", Query: `increase(cpu{revision="{{revision}}"}[{{interval}}])`, Price: 1},
			{Name: "egress", Query: `increase(egress{revision="{{revision}}"}[{{interval}}])`, Price: 100},
			{Name: "writes", Query: `writes{revision="{{revision}}"}`, Price: 10_000},
			{Name: "reads", Query: `reads{revision="{{revision}}"}`, Price: 1_000_000},
		}},
	}
	r := &towpath.Rollout{Component: "api", From: "old", To: "new", Canary: &towpath.Canary{Objectives: e.Counted()}}
	d := &towpath.Deployment{PreviousVersion: "1.0.0", Version: "1.1.0", Experiment: e}
	answer := func(v float64) map[string][]towpath.MetricValue {
		return map[string][]towpath.MetricValue{towpath.QueryValues: {{Series: "a", Value: v}}}
	}
	const cpu, egress, writes, reads = 0, 1, 2, 3
	for _, c := range []struct {
		name    string
		errs    map[int][]int // things by the measurement in which they do
		nothing map[int][]int // likewise, that have no value of the new release
		none    int           // the measurement that is missing
		seen    float64       // intervals
	}{
		{name: "everything is read", seen: 7},
		{name: "the first can't be read once", errs: map[int][]int{3: {cpu}}, seen: 6},
		{name: "the first has no value once", nothing: map[int][]int{3: {cpu}}, seen: 6},
		{name: "the second can't be read once", errs: map[int][]int{3: {egress}}, seen: 6},
		{name: "a counter makes up for what could not be read", errs: map[int][]int{3: {writes}}, seen: 7},
		{name: "nothing can be read once", errs: map[int][]int{3: {cpu, egress, writes}}, seen: 5},
		{name: "nothing can be read twice", errs: map[int][]int{3: {cpu, egress, writes}, 4: {cpu, egress, writes}}, seen: 4},
		{name: "a counter can't be read for longer", errs: map[int][]int{3: {cpu, writes}, 4: {writes}}, seen: 4},
		{name: "another can't be read before a counter can again", errs: map[int][]int{3: {writes}, 4: {cpu}}, seen: 5},
		{name: "two counters can't be read in turn", errs: map[int][]int{3: {writes}, 4: {reads}}, seen: 7},
		{name: "nothing is measured for a while", none: 3, seen: 7},
		{name: "a counter can't be read before it begins", errs: map[int][]int{0: {writes}}, seen: 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			var counts []towpath.TrafficCount
			var measurements []towpath.Measurement
			for i := -1; i < 8; i++ { // nothing is counted yet when it is measured first
				at := begin.Add(time.Duration(i) * time.Second)
				if n := uint64(max(i, 0)); i >= 0 {
					counts = append(counts, towpath.TrafficCount{At: at, Received: at, Revisions: []towpath.RevisionCount{
						{Revision: "old", Weight: 80, Requests: 80 * n}, {Revision: "new", Weight: 20, Requests: 20 * n},
					}})
				}
				m := towpath.Measurement{At: at, Recorded: at}
				for k, name := range []string{"cost: cpu", "cost: egress", "cost: writes", "cost: reads"} {
					x := towpath.ObjectiveReading{Objective: name, Baseline: answer(4), Canary: answer(1)}
					switch {
					case k >= writes:
						x.Baseline, x.Canary = answer(4*float64(i+1)), answer(float64(i+1))
					case c.none > 0 && i == c.none+1: // as much as in two
						x.Baseline, x.Canary = answer(8), answer(2)
					}
					if slices.Contains(c.errs[i], k) {
						x = towpath.ObjectiveReading{Objective: name, Errored: "it is away"}
					}
					if slices.Contains(c.nothing[i], k) {
						x.Canary = nil
					}
					m.Readings = append(m.Readings, x)
				}
				if c.none == 0 || i != c.none {
					measurements = append(measurements, m)
				}
			}
			var got experiment.Reading
			for _, iv := range Compared(d, r, counts, measurements).Intervals {
				x := iv.Readings[towpath.CostMeasure]
				if x.New.Sum*20 != x.New.Over*1_010_101 || x.Old.Sum*80 != x.Old.Over*4_040_404 {
					t.Errorf("from %s on it costs %v and %v", iv.Start, x.Old, x.New)
				}
				got.New.Over += x.New.Over
			}
			if got.New.Over != c.seen*20 {
				t.Errorf("%v requests of the new one were seen, want %v", got.New.Over, c.seen*20)
			}
		})
	}
}

// TestCompared_Bounded: numbers that no report can be made of are not evidence, and
// it says why.
func TestCompared_Bounded(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	most := 1.0
	e := &towpath.Experiment{Share: 20, For: time.Hour, Prices: &towpath.Prices{Request: 1e308}}
	r := &towpath.Rollout{Component: "api", From: "old", To: "new", Canary: &towpath.Canary{Objectives: []towpath.Objective{
		{Name: "load", Kind: towpath.ObjectiveThreshold, Query: `load{revision="{{revision}}"}`, Below: &most},
	}}}
	d := &towpath.Deployment{PreviousVersion: "1.0.0", Version: "1.1.0", Experiment: e}
	for _, c := range []struct {
		name   string
		values []float64 // of the new one
		says   string
	}{
		{"infinite", []float64{math.MaxFloat64, math.MaxFloat64}, "it adds up to +Inf over 2 in one interval, and 1e+15 is the most that can be compared"},
		{"too great", []float64{1e16}, "it adds up to 1e+16 over 1 in one interval, and 1e+15 is the most that can be compared"},
		{"too small", []float64{-1e16}, "it adds up to -1e+16 over 1 in one interval, and 1e+15 is the most that can be compared"},
		{"the greatest", []float64{1e15}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var counts []towpath.TrafficCount
			for i := range uint64(2) {
				at := begin.Add(time.Duration(i) * time.Minute)
				counts = append(counts, towpath.TrafficCount{At: at, Received: at, Revisions: []towpath.RevisionCount{
					{Revision: "old", Weight: 80, Requests: 80 * i}, {Revision: "new", Weight: 20, Requests: 20 * i},
				}})
			}
			x := towpath.ObjectiveReading{Objective: "load", Baseline: map[string][]towpath.MetricValue{towpath.QueryValues: {{Value: 1}}}, Canary: map[string][]towpath.MetricValue{}}
			for _, v := range c.values {
				x.Canary[towpath.QueryValues] = append(x.Canary[towpath.QueryValues], towpath.MetricValue{Value: v})
			}
			before := towpath.ObjectiveReading{Objective: "load"} // what began with users is theirs
			got := Compared(d, r, counts, []towpath.Measurement{
				{At: begin, Recorded: begin, Readings: []towpath.ObjectiveReading{before}},
				{At: counts[1].At, Recorded: counts[1].At, Readings: []towpath.ObjectiveReading{x}},
			})
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
			if said := got.Intervals[0].Readings["load"].Errored; said != c.says {
				t.Errorf("it says %q", said)
			}
			const cost = "it adds up to +Inf over 80 in one interval, and 1e+15 is the most that can be compared"
			if said := got.Intervals[0].Readings["cost"].Errored; said != cost {
				t.Errorf("it says of the cost %q", said)
			}
		})
	}
}
