package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func judged(t *testing.T, in Input) Judgement {
	t.Helper()
	j, err := Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// errorsOf is an input of one ratio objective: per interval of a second the bad
// and total requests of the canary, then of the baseline.
func errorsOf(rows ...[4]float64) Input {
	in := Input{Objectives: []Objective{{Name: "errors", Kind: Ratio, Target: 0.99, Critical: true}}}
	for i, r := range rows {
		in.Intervals = append(in.Intervals, second(i, "errors", Reading{
			Canary: &Sample{Bad: r[0], Total: r[1]}, Baseline: &Sample{Bad: r[2], Total: r[3]},
		}))
	}
	return in
}

func second(i int, objective string, r Reading) Interval {
	start := begin.Add(time.Duration(i) * time.Second)
	return Interval{Start: start, End: start.Add(time.Second), Readings: map[string]Reading{objective: r}}
}

func repeat(n int, row [4]float64) [][4]float64 {
	var rows [][4]float64
	for range n {
		rows = append(rows, row)
	}
	return rows
}

func TestJudge_Outcomes(t *testing.T) {
	window := func(in Input, d time.Duration) Input { in.Objectives[0].Window = d; return in }
	alone := func(in Input) Input {
		in.Alone = true
		for _, i := range in.Intervals {
			r := i.Readings["errors"]
			r.Baseline = nil
			i.Readings["errors"] = r
		}
		return in
	}
	for name, tc := range map[string]struct {
		in   Input
		want Outcome
		says string
	}{
		"half of twenty fail beside none":     {errorsOf(repeat(2, [4]float64{10, 20, 0, 180})...), Worse, "Error rate 50 % of 40 requests beside 0 % of 360; worse: chance alone does this at most once in "},
		"one burst of ten is no news":         {errorsOf([4]float64{10, 20, 0, 180}), NoEvidence, "Error rate 50 % of 20 requests beside 0 % of 180; no evidence"},
		"two bursts of ten, long apart":       {errorsOf(append(append(repeat(1, [4]float64{10, 20, 0, 180}), repeat(30, [4]float64{0, 20, 0, 180})...), [4]float64{10, 20, 0, 180})...), Undecided, "undecided"},
		"half of twenty, after long silence":  {errorsOf(append(repeat(60, [4]float64{0, 0, 0, 180}), [4]float64{10, 20, 0, 180})...), Worse, "Error rate 50 % of 20 requests"},
		"a burst of ten, after the beginning": {errorsOf(append(repeat(60, [4]float64{0, 20, 0, 180}), [4]float64{10, 20, 0, 180})...), Undecided, "undecided"},
		"one burst of five is no news":        {errorsOf([4]float64{5, 20, 0, 180}), NoEvidence, "there are 20 of 50 requests of the new revision"},
		"half of twenty, beside bursts":       {errorsOf([4]float64{10, 20, 10, 180}), NoEvidence, "beside 5.6 % of 180; no evidence"},
		"nothing at all":                      {errorsOf(), NoEvidence, "0 of 50 requests of the new revision and 0 of 50 requests of the baseline"},
		"no requests":                         {errorsOf(repeat(100, [4]float64{})...), NoEvidence, "0 of 50"},
		"the new revision has no requests":    {errorsOf(repeat(100, [4]float64{0, 0, 1, 100})...), NoEvidence, "0 of 50 requests of the new revision."},
		"the baseline has no requests":        {errorsOf(repeat(100, [4]float64{5, 20, 0, 0})...), NoEvidence, "of the baseline"},
		"nothing bad for long":                {errorsOf(repeat(100, [4]float64{0, 20, 0, 180})...), NotWorse, "harm is ruled out"},
		"nothing bad, not for long":           {errorsOf(repeat(5, [4]float64{0, 20, 0, 180})...), Undecided, "undecided"},
		"nothing bad, before the window ends": {window(errorsOf(repeat(100, [4]float64{0, 20, 0, 180})...), time.Hour), Undecided, "seen for 1m40s of 1h0m0s"},
		"equally bad":                         {errorsOf(repeat(600, [4]float64{0.1, 20, 0.9, 180})...), NotWorse, "harm is ruled out"},
		"both break the objective":            {errorsOf(repeat(600, [4]float64{1, 20, 9, 180})...), NotWorse, "neither keeps to it"},
		"better":                              {errorsOf(repeat(300, [4]float64{0, 20, 9, 180})...), NotWorse, "not worse"},
		"everything fails on both sides":      {errorsOf(repeat(100, [4]float64{20, 20, 180, 180})...), NotWorse, "neither keeps to it"},
		"one request a minute, all fail":      {errorsOf(repeat(100, [4]float64{1, 1, 0, 100})...), Worse, "worse: chance alone does this at most once in "},
		"tiny counts":                         {errorsOf(repeat(30, [4]float64{0, 1, 0, 1})...), NoEvidence, "30 of 50"},
		"breaks the objective, alone":         {alone(errorsOf(repeat(10, [4]float64{10, 20, 0, 0})...)), Worse, "1 % may be"},
		"keeps the objective, alone":          {alone(errorsOf(repeat(100, [4]float64{0, 20, 0, 0})...)), NotWorse, "harm is ruled out"},
		"rounding errors are no bad requests": {errorsOf(repeat(100, [4]float64{1e-13, 20, 0, 180})...), NotWorse, "Error rate 0 % of"},
		"more bad than all, by extrapolation": {errorsOf(repeat(3, [4]float64{21.5, 20.4, 0, 180.2})...), Worse, "Error rate 100 %"},
	} {
		t.Run(name, func(t *testing.T) {
			j := judged(t, tc.in)
			if v := j.Verdicts[0]; v.Outcome != tc.want || j.Outcome != tc.want || !strings.Contains(v.Sentence, tc.says) {
				t.Errorf("%s: %s (want %s, %q)", v.Outcome, v.Sentence, tc.want, tc.says)
			}
		})
	}
}

func TestJudge_ABreakageThatBeginsLateIsFound(t *testing.T) {
	rows := append(repeat(300, [4]float64{0.2, 20, 1.8, 180}), repeat(6, [4]float64{10, 20, 1.8, 180})...)
	j := judged(t, errorsOf(rows...))
	if v := j.Verdicts[0]; v.Outcome != Worse {
		t.Errorf("not within six seconds: %s", v.Sentence)
	} else if late := v.Decided.Sub(begin) - 300*time.Second; late <= 0 {
		t.Errorf("found before it began: %s", v.Sentence)
	}
}

func TestJudge_TheBudgetBurnsTooFast(t *testing.T) {
	in := errorsOf(append(repeat(600, [4]float64{0, 20, 0, 0}), repeat(20, [4]float64{10, 20, 0, 0})...)...)
	in.Alone = true
	in.Objectives[0].Burns = []Burn{{Long: 10 * time.Second, Short: 2 * time.Second, Factor: 10}}
	v := judged(t, in).Verdicts[0]
	if v.Outcome != Worse || v.Burns.Outcome != Worse || !strings.Contains(v.Sentence, "burns too fast") {
		t.Errorf("%s (%+v)", v.Sentence, v.Burns)
	}
}

// TestJudge_ErrorsAreNoFailures: a source that errs says nothing about the
// revision, neither good nor bad.
func TestJudge_ErrorsAreNoFailures(t *testing.T) {
	in := errorsOf(repeat(101, [4]float64{0, 20, 0, 180})...)
	without := judged(t, in).Verdicts[0]
	last := in.Intervals[100]
	in.Intervals = in.Intervals[:100]
	for i := range 50 {
		in.Intervals = append(in.Intervals, second(100+i, "errors", Reading{Errored: "connection refused",
			Canary: &Sample{Bad: 20, Total: 20}, Baseline: &Sample{Total: 180}}))
	}
	in.Intervals = append(in.Intervals, second(150, "errors", last.Readings["errors"]))
	with := judged(t, in).Verdicts[0]
	if with.Errored != 50 || !strings.Contains(with.Sentence, "could not be asked in 50 of 151 intervals") {
		t.Errorf("errors are not told: %s", with.Sentence)
	}
	with.Errored, with.Sentence = 0, without.Sentence
	if d := cmp.Diff(without, with); d != "" {
		t.Errorf("errors changed the verdict:\n%s", d)
	}
}

// TestJudge_ASilentSourceIsNoEvidence: what a source said before it fell silent
// says nothing about now, whichever way it is silent.
func TestJudge_ASilentSourceIsNoEvidence(t *testing.T) {
	both := Reading{Canary: &Sample{Total: 20}, Baseline: &Sample{Total: 180}}
	silences := map[string]struct {
		reading map[string]Reading
		says    string
	}{
		"it errs":                         {map[string]Reading{"errors": {Errored: "connection refused"}}, "nothing was read in the last 4 intervals: connection refused"},
		"it is not asked":                 {map[string]Reading{}, "nothing was read in the last 4 intervals"},
		"it has nothing of the new one":   {map[string]Reading{"errors": {Baseline: both.Baseline}}, "nothing was read in the last 4 intervals"},
		"it has nothing of the other one": {map[string]Reading{"errors": {Canary: both.Canary}}, "nothing was read in the last 4 intervals"},
	}
	for name, c := range silences {
		t.Run(name, func(t *testing.T) {
			in := errorsOf(repeat(100, [4]float64{0, 20, 0, 180})...)
			for i := range quietAfter + 1 {
				if v := judged(t, in).Verdicts[0]; v.Outcome != NotWorse {
					t.Fatalf("after %d silent intervals: %s", i, v.Sentence)
				}
				in.Intervals = append(in.Intervals, Interval{Start: begin.Add(time.Duration(100+i) * time.Second), End: begin.Add(time.Duration(101+i) * time.Second), Readings: c.reading})
			}
			if v := judged(t, in).Verdicts[0]; v.Outcome != NoEvidence || !strings.Contains(v.Sentence, c.says) {
				t.Errorf("%s: %s", v.Outcome, v.Sentence)
			}
			in.Intervals = append(in.Intervals, second(200, "errors", both))
			if v := judged(t, in).Verdicts[0]; v.Outcome != NotWorse {
				t.Errorf("it speaks again: %s", v.Sentence)
			}
		})
	}
}

// TestJudge_SilenceFromTheStart: what was read of the old revision is told as its own,
// and no intervals are counted in which the new one was not there yet.
func TestJudge_SilenceFromTheStart(t *testing.T) {
	old := Reading{Baseline: &Sample{Total: 10, Bad: 1}}
	for want, readings := range map[string]map[string]Reading{
		"Error rate 10 % of 700 requests of the old revision, and nothing of the new one; no evidence, nothing was read of the new revision yet.": {"errors": old},
		"Error rate 0 % of 0 requests beside 0 % of 0; no evidence, nothing was read yet.":                                                        {},
	} {
		in := errorsOf()
		for i := range 70 {
			in.Intervals = append(in.Intervals, Interval{Start: begin.Add(time.Duration(i) * time.Second), End: begin.Add(time.Duration(i+1) * time.Second), Readings: readings})
		}
		if v := judged(t, in).Verdicts[0]; v.Sentence != want {
			t.Errorf("got  %s\nwant %s", v.Sentence, want)
		}
	}
}

// TestJudge_WithoutBaseline: an objective that can't tell revisions apart is
// judged by what it has to keep to, beside others that are compared.
func TestJudge_WithoutBaseline(t *testing.T) {
	for bad, want := range map[float64]Outcome{0: NotWorse, 10: Worse} {
		in := errorsOf(repeat(60, [4]float64{0, 20, 0, 180})...)
		in.Objectives = append(in.Objectives, Objective{Name: "sales", Kind: Ratio, Target: 0.9, Critical: true, Alone: true})
		for i := range in.Intervals {
			in.Intervals[i].Readings["sales"] = Reading{Canary: &Sample{Total: 20, Bad: bad}}
		}
		if j := judged(t, in); j.Outcome != want || j.Verdicts[0].Outcome != NotWorse || j.Verdicts[1].Outcome != want {
			t.Errorf("%v bad of 20: %s", bad, j.Sentence)
		}
	}
}

func TestJudge_LookingOftenChangesNothing(t *testing.T) {
	w := plain()
	w.worse, w.burst = 3, 2
	for seed := range uint64(4) {
		in := Input{Objectives: w.objectives(), Intervals: w.rollout(seed, 120)}
		atTheEnd := judged(t, in)
		var first *Judgement
		for n := range in.Intervals {
			look := judged(t, Input{Objectives: in.Objectives, Intervals: in.Intervals[:n+1]})
			if look.Outcome == Worse && first == nil {
				first = &look
			}
		}
		if first == nil || atTheEnd.Outcome != Worse {
			t.Fatalf("seed %d: three times as many errors are not found: %s", seed, atTheEnd.Sentence)
		}
		for i, v := range first.Verdicts {
			if v.Outcome == Worse {
				if d := cmp.Diff(v, atTheEnd.Verdicts[i]); d != "" {
					t.Errorf("seed %d: who looks once learns something else:\n%s", seed, d)
				}
			}
		}
	}
}

// scaled is what the same world would have sampled in another unit.
func scaled(in Input, unit float64) Input {
	out := Input{}
	for _, o := range in.Objectives {
		o.Bound *= unit
		out.Objectives = append(out.Objectives, o)
	}
	convert := func(s *Sample) *Sample {
		if s == nil {
			return nil
		}
		c := *s
		c.Values = nil
		for _, v := range s.Values {
			c.Values = append(c.Values, v*unit)
		}
		if s.Histogram != nil {
			h := Histogram{Counts: s.Histogram.Counts}
			for _, b := range s.Histogram.Bounds {
				h.Bounds = append(h.Bounds, b*unit)
			}
			c.Histogram = &h
		}
		return &c
	}
	for _, i := range in.Intervals {
		readings := map[string]Reading{}
		for name, r := range i.Readings {
			readings[name] = Reading{Canary: convert(r.Canary), Baseline: convert(r.Baseline)}
		}
		i.Readings = readings
		out.Intervals = append(out.Intervals, i)
	}
	return out
}

func TestJudge_UnitsChangeNothing(t *testing.T) {
	for _, ranks := range []bool{false, true} {
		for _, worse := range []float64{1, 3} {
			w := plain()
			w.worse = worse
			in := Input{Objectives: w.objectives(), Intervals: w.rollout(7, 120)}
			in.Objectives[2].Ranks = ranks
			in.Objectives[2].Bound = 90
			for _, unit := range []float64{1e-6, 1. / 1024, 1e9} {
				is, was := judged(t, scaled(in, unit)), judged(t, in)
				for i := range was.Verdicts {
					a, b := was.Verdicts[i], is.Verdicts[i]
					if a.Outcome != b.Outcome || a.Canary != b.Canary && math.Abs(a.Canary.Bad-b.Canary.Bad) > 1e-6 ||
						math.Abs(a.Compares.E-b.Compares.E) > 1e-6*a.Compares.E || math.Abs(a.Shifts.E-b.Shifts.E) > 1e-6*a.Shifts.E {
						t.Errorf("in units of %v:\n%s\n%s", unit, a.Sentence, b.Sentence)
					}
				}
			}
		}
	}
}

func memoryOf(n int, canary, baseline func(i int) []float64, change func(*Objective)) Input {
	o := Objective{Name: "memory", Kind: Threshold, Target: 0.9, Bound: 100, Critical: true}
	change(&o)
	in := Input{Objectives: []Objective{o}}
	for i := range n {
		in.Intervals = append(in.Intervals, second(i, "memory", Reading{Canary: &Sample{Values: canary(i)}, Baseline: &Sample{Values: baseline(i)}}))
	}
	return in
}

func TestJudge_Thresholds(t *testing.T) {
	constant := func(v ...float64) func(int) []float64 { return func(int) []float64 { return v } }
	ranks := func(o *Objective) { o.Ranks = true }
	least := func(o *Objective) { o.Least = true }
	for name, tc := range map[string]struct {
		in   Input
		want Outcome
	}{
		"over the bound":                  {memoryOf(120, constant(120), constant(80), func(*Objective) {}), Worse},
		"on the bound":                    {memoryOf(120, constant(100), constant(80), func(*Objective) {}), NotWorse},
		"under the bound":                 {memoryOf(120, constant(99, 90), constant(80), func(*Objective) {}), NotWorse},
		"both over the bound":             {memoryOf(120, constant(120), constant(120), func(*Objective) {}), NotWorse},
		"under a least bound":             {memoryOf(120, constant(80), constant(120), least), Worse},
		"over a least bound":              {memoryOf(120, constant(120), constant(120), least), NotWorse},
		"no values":                       {memoryOf(120, constant(), constant(80), func(*Objective) {}), NoEvidence},
		"higher by ranks":                 {memoryOf(120, constant(90), constant(80), ranks), Worse},
		"the same by ranks":               {memoryOf(120, constant(80), constant(80), ranks), NotWorse},
		"lower by ranks, least":           {memoryOf(120, constant(120), constant(130), func(o *Objective) { ranks(o); least(o) }), Worse},
		"over the bound for a short time": {memoryOf(15, constant(120), constant(80), func(*Objective) {}), NoEvidence},
	} {
		t.Run(name, func(t *testing.T) {
			if j := judged(t, tc.in); j.Outcome != tc.want {
				t.Errorf("%s, want %s: %s", j.Outcome, tc.want, j.Sentence)
			}
		})
	}
}

// TestJudge_RanksNeedAnEffect: with enough values any difference is certain, and
// most do not matter.
func TestJudge_RanksNeedAnEffect(t *testing.T) {
	spread := func(step, offset float64) func(int) []float64 {
		return func(i int) []float64 { return []float64{math.Mod(math.Floor(float64(i)/batchOf)*step, 1) + offset} }
	}
	for offset, want := range map[float64]Outcome{0.1: NotWorse, 0.3: Worse} {
		in := memoryOf(2600, spread(0.4142, offset), spread(0.6180, 0), func(o *Objective) { o.Ranks = true })
		if v := judged(t, in).Verdicts[0]; v.Outcome != want {
			t.Errorf("higher by %v: %s", offset, v.Sentence)
		}
	}
}

// TestJudge_SlowerWithinTheBound: the distribution beside the baseline's shows
// what the bound does not.
func TestJudge_SlowerWithinTheBound(t *testing.T) {
	in := Input{Objectives: []Objective{{Name: "latency", Kind: Quantile, Target: 0.99, Bound: 1, Critical: true, Shifts: true}}}
	bounds := []float64{0.1, 0.2, 0.5, 1, 2}
	for i := range 60 {
		in.Intervals = append(in.Intervals, second(i, "latency", Reading{
			Canary:   &Sample{Histogram: &Histogram{Bounds: bounds, Counts: []float64{5, 5, 10, 0, 0, 0}}},
			Baseline: &Sample{Histogram: &Histogram{Bounds: bounds, Counts: []float64{120, 40, 20, 0, 0, 0}}},
		}))
	}
	v := judged(t, in).Verdicts[0]
	if v.Outcome != Worse || v.Shifts.Outcome != Worse || !strings.Contains(v.Sentence, "beyond 0.2 beside") {
		t.Errorf("%s", v.Sentence)
	}
}

func TestHistogram_Beyond(t *testing.T) {
	h := Histogram{Bounds: []float64{1, 2, 4}, Counts: []float64{10, 20, 30, 5}}
	for value, want := range map[float64]float64{0: 65, 0.5: 60, 1: 55, 1.5: 45, 2: 35, 3: 20, 4: 5} {
		if got := h.beyond(value); math.Abs(got.bad-want) > 1e-9 || got.total != 65 {
			t.Errorf("beyond %v: %v of %v, want %v", value, got.bad, got.total, want)
		}
	}
}

func TestSummarise(t *testing.T) {
	critical, light, heavy := Objective{Critical: true}, Objective{Weight: 1}, Objective{Weight: 2}
	for name, tc := range map[string]struct {
		objectives []Objective
		outcomes   []Outcome
		want       Outcome
	}{
		"a critical one is worse":                  {[]Objective{critical, heavy}, []Outcome{Worse, NotWorse}, Worse},
		"the lighter ones are worse":               {[]Objective{critical, light, heavy}, []Outcome{NotWorse, Worse, NotWorse}, NotWorse},
		"the heavier one is worse":                 {[]Objective{critical, light, heavy}, []Outcome{NotWorse, NotWorse, Worse}, Worse},
		"half of the weight decides nothing":       {[]Objective{light, light}, []Outcome{Worse, NotWorse}, Undecided},
		"a critical one has no evidence":           {[]Objective{critical, heavy}, []Outcome{NoEvidence, NotWorse}, NoEvidence},
		"what has weight has no evidence":          {[]Objective{critical, heavy}, []Outcome{NotWorse, NoEvidence}, NoEvidence},
		"a light one has no evidence":              {[]Objective{critical, light, heavy}, []Outcome{NotWorse, NoEvidence, NotWorse}, NotWorse},
		"a critical one is undecided":              {[]Objective{critical, critical}, []Outcome{NotWorse, Undecided}, Undecided},
		"worse outweighs that evidence is lacking": {[]Objective{critical, critical}, []Outcome{Worse, NoEvidence}, Worse},
	} {
		var verdicts []Verdict
		for _, o := range tc.outcomes {
			verdicts = append(verdicts, Verdict{Outcome: o})
		}
		if got := summarise(tc.objectives, verdicts); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
