package experiment

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// stream makes evidence of an hour, a minute an interval, of what f says.
func stream(metrics []Metric, minutes int, f func(i int) map[string]Reading) Evidence {
	e := Evidence{Old: "1.0.0", New: "1.1.0", Share: 20, For: time.Hour, Metrics: metrics}
	for i := range minutes {
		at := began.Add(time.Duration(i) * time.Minute)
		e.Intervals = append(e.Intervals, Interval{Start: at, End: at.Add(time.Minute), Readings: f(i)})
	}
	return e
}

func judge(t *testing.T, e Evidence) Report {
	t.Helper()
	r, err := Judge(e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	errors = Metric{Name: "errors", Better: Less, Share: true, Of: "failed requests"}
	orders = Metric{Name: "orders", Better: More}
	cost   = Metric{Name: "cost", Better: Less, Scale: 1000, Unit: "EUR"}
)

// binomial is how many of n things have a probability p.
func binomial(r *rand.Rand, n int, p float64) float64 {
	k := 0
	for range n {
		if r.Float64() < p {
			k++
		}
	}
	return float64(k)
}

func TestJudge_Over(t *testing.T) {
	for _, c := range []struct {
		takes, seen time.Duration
		over        bool
	}{
		{40 * time.Second, 38 * time.Second, true}, // the first second and the last were not counted
		{40 * time.Second, 30 * time.Second, false},
		{time.Hour, 58 * time.Minute, true},
		{time.Hour, 57 * time.Minute, false},
	} {
		e := Evidence{Old: "1.0.0", New: "1.1.0", Share: 20, For: c.takes, Intervals: []Interval{{Start: began, End: began.Add(c.seen)}}}
		r := judge(t, e)
		if said := len(r.Caveats) > 0 && strings.Contains(r.Caveats[0], "that it was to take"); r.Over != c.over || said == c.over {
			t.Errorf("%s of %s: over is %v, with %q", c.seen, c.takes, r.Over, r.Caveats)
		}
	}
}

// TestJudge_WithoutAnything: an experiment that went back before anything was
// counted says what it would have taken, in numbers that there are.
func TestJudge_WithoutAnything(t *testing.T) {
	r := judge(t, Evidence{Old: "1.0.0", New: "1.1.0", Share: 20, For: time.Minute, Metrics: []Metric{errors, orders}})
	for _, f := range r.Findings {
		if f.Outcome != NoEvidence || !strings.HasPrefix(f.Sentence, "No evidence: it takes 2") || !strings.Contains(f.Sentence, "; there are 0, ") {
			t.Errorf("it says %q", f.Sentence)
		}
	}
}

func TestJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	e := stream([]Metric{errors, orders, cost}, 60, func(int) map[string]Reading {
		return map[string]Reading{
			"errors": {Old: Sample{binomial(r, 400, 0.02), 400}, New: Sample{binomial(r, 100, 0.02), 100}},
			"orders": {Old: Sample{binomial(r, 400, 0.1), 400}, New: Sample{binomial(r, 100, 0.16), 100}},
			"cost":   {Old: Sample{0.8 + 0.1*r.Float64(), 400}, New: Sample{0.3 + 0.1*r.Float64(), 100}},
		}
	})
	rep := judge(t, e)
	for i, want := range []Outcome{NoDifference, NewBetter, OldBetter} {
		f := rep.Findings[i]
		if f.Outcome != want || f.From == nil || *f.From > f.Difference || *f.To < f.Difference {
			t.Errorf("%s: %+v", f.Metric, f)
		}
	}
	if rep.Settled() || !rep.Over || rep.Level != 0.95 {
		t.Errorf("reported %+v", rep)
	}
	if want := "1.1.0 is better on orders; 1.0.0 is better on cost; no difference was found on errors."; rep.Sentence != want {
		t.Errorf("it says %q", rep.Sentence)
	}
	if s := rep.Findings[2].Sentence; !strings.Contains(s, "EUR of 1.1.0 beside 2.") || !strings.Contains(s, "almost certain: more than 99.9 %") {
		t.Errorf("of the cost it says %q", s)
	}
	if s := rep.Findings[0].Sentence; !strings.Contains(s, " percentage points and +") { // of two shares
		t.Errorf("of the errors it says %q", s)
	}
	if f := rep.Findings[0]; f.Certainty >= 0.95 {
		t.Errorf("no difference is found with a certainty of %v", f.Certainty)
	}

	t.Run("says the same the other way round", func(t *testing.T) {
		swapped := e
		swapped.Intervals = nil
		for _, iv := range e.Intervals {
			turned := map[string]Reading{}
			for k, v := range iv.Readings {
				turned[k] = Reading{Old: v.New, New: v.Old}
			}
			iv.Readings = turned
			swapped.Intervals = append(swapped.Intervals, iv)
		}
		rep2 := judge(t, swapped)
		for i, want := range []Outcome{NoDifference, OldBetter, NewBetter} {
			f, was := rep2.Findings[i], rep.Findings[i]
			if f.Outcome != want || math.Abs(f.Difference+was.Difference) > 1e-12 || math.Abs(*f.From+*was.To) > 1e-12 {
				t.Errorf("%+v, and it was %+v", f, was)
			}
		}
	})
	t.Run("says the same of what was kept", func(t *testing.T) {
		raw, err := json.Marshal(Record{Report: rep, Evidence: e})
		if err != nil {
			t.Fatal(err)
		}
		if _, same, err := Replay(raw); err != nil || !same {
			t.Errorf("the same: %v, %v", same, err)
		}
		other := strings.Replace(string(raw), `"outcome":"old-better"`, `"outcome":"new-better"`, 1)
		if _, same, err := Replay([]byte(other)); err != nil || same {
			t.Errorf("what was changed is the same: %v, %v", same, err)
		}
	})
}

func TestJudge_Units(t *testing.T) {
	of := func(scale float64) Finding {
		r := rand.New(rand.NewPCG(3, 4))
		return judge(t, stream([]Metric{orders}, 60, func(int) map[string]Reading {
			return map[string]Reading{"orders": {
				Old: Sample{scale * (40 + r.NormFloat64()), 400}, New: Sample{scale * (11 + r.NormFloat64()), 100},
			}}
		})).Findings[0]
	}
	a, b := of(1), of(1e-6)
	if a.Outcome != NewBetter || b.Outcome != a.Outcome || math.Abs(a.Certainty-b.Certainty) > 1e-9 || math.Abs(*a.To*1e-6-*b.To) > 1e-15 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestJudge_Little(t *testing.T) {
	same := func(old, new Sample) func(int) map[string]Reading {
		return func(int) map[string]Reading { return map[string]Reading{"errors": {Old: old, New: new}} }
	}
	for _, c := range []struct {
		name    string
		minutes int
		old     Sample
		new     Sample
		want    Outcome
	}{
		{"nothing", 0, Sample{}, Sample{}, NoEvidence},
		{"too short", 19, Sample{0, 400}, Sample{100, 100}, NoEvidence},
		{"too few requests", 40, Sample{0, 400}, Sample{1, 1}, NoEvidence},
		{"one has no requests", 40, Sample{0, 400}, Sample{}, NoEvidence},
		{"nobody fails", 60, Sample{0, 400}, Sample{0, 100}, NoDifference},
		{"all fail", 60, Sample{400, 400}, Sample{100, 100}, NoDifference},
		{"all of the new one fail", 40, Sample{0, 400}, Sample{100, 100}, OldBetter},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := judge(t, stream([]Metric{errors}, c.minutes, same(c.old, c.new))).Findings[0]
			if f.Outcome != c.want {
				t.Errorf("found %+v", f)
			}
			if f.Outcome != NoEvidence && *f.To-*f.From < 1e-4 {
				t.Errorf("%s claims more than the data", f.Sentence)
			}
		})
	}
	t.Run("a source that errs is no evidence, and says why", func(t *testing.T) {
		f := judge(t, stream([]Metric{errors}, 60, func(int) map[string]Reading {
			return map[string]Reading{"errors": {Errored: "it is away"}}
		})).Findings[0]
		if f.Outcome != NoEvidence || f.Sentence != "No evidence: nothing could be read, at last because it is away." {
			t.Errorf("found %+v", f)
		}
	})
	t.Run("what can't be is refused", func(t *testing.T) {
		_, err := Judge(stream([]Metric{errors, errors}, 1, same(Sample{5, 1}, Sample{math.NaN(), 1})))
		if err == nil || !strings.Contains(err.Error(), "used twice") || !strings.Contains(err.Error(), "are no counts") {
			t.Errorf("got %v", err)
		}
	})
}

// TestJudge_Same looks at experiments without a difference after every span, and
// counts those in which one was ever found.
func TestJudge_Same(t *testing.T) {
	poisson := func(r *rand.Rand, mean float64) int {
		n, p, limit := 0, r.Float64(), math.Exp(-mean)
		for p > limit {
			n, p = n+1, p*r.Float64()
		}
		return n
	}
	const experiments = 1000
	for _, c := range []struct {
		name string
		bad  func(r *rand.Rand) func(i, n int) float64
	}{
		{"independent", func(r *rand.Rand) func(int, int) float64 {
			return func(_, n int) float64 { return math.Min(float64(poisson(r, 0.02*float64(n))), float64(n)) }
		}},
		{"rare", func(r *rand.Rand) func(int, int) float64 {
			return func(_, n int) float64 { return math.Min(float64(poisson(r, 0.0005*float64(n))), float64(n)) }
		}},
		{"bursts of five", func(r *rand.Rand) func(int, int) float64 {
			return func(_, n int) float64 { return math.Min(5*float64(poisson(r, 0.004*float64(n))), float64(n)) }
		}},
		{"waves", func(r *rand.Rand) func(int, int) float64 {
			level := 0.0
			return func(_, n int) float64 {
				level = 0.6*level + 0.5*r.NormFloat64()
				return math.Min(float64(poisson(r, 0.02*float64(n)*math.Exp(level))), float64(n))
			}
		}},
		{"a day's cycle that both see", func(r *rand.Rand) func(int, int) float64 {
			return func(i, n int) float64 {
				return math.Min(float64(poisson(r, 0.05*float64(n)*(1+math.Sin(float64(i)/10)))), float64(n))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			found := 0
			for range experiments {
				old, new := c.bad(r), c.bad(r)
				e := stream([]Metric{errors}, 60, func(i int) map[string]Reading {
					return map[string]Reading{"errors": {Old: Sample{old(i, 400), 400}, New: Sample{new(i, 100), 100}}}
				})
				all := e.Intervals
				for n := leastSpans; n <= len(all); n++ {
					e.Intervals = all[:n]
					if o := judge(t, e).Findings[0].Outcome; o == NewBetter || o == OldBetter {
						found++
						break
					}
				}
			}
			t.Logf("%d of %d", found, experiments)
			if found > experiments*5/100 {
				t.Errorf("a difference was found in %d of %d experiments without any", found, experiments)
			}
		})
	}
}

// TestJudge_Power has a difference found that is there, not always before the
// planned end but nearly always by then.
func TestJudge_Power(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const experiments = 200
	found, covered := 0, 0
	for range experiments {
		f := judge(t, stream([]Metric{errors}, 60, func(int) map[string]Reading {
			return map[string]Reading{"errors": {Old: Sample{binomial(r, 400, 0.02), 400}, New: Sample{binomial(r, 100, 0.035), 100}}}
		})).Findings[0]
		if f.Outcome == OldBetter {
			found++
		}
		if *f.From <= 0.015 && *f.To >= 0.015 {
			covered++
		}
	}
	t.Logf("found in %d, covered in %d of %d", found, covered, experiments)
	if found < experiments*9/10 || covered < experiments*95/100 {
		t.Errorf("found in %d, covered in %d of %d", found, covered, experiments)
	}
}

// TestJudge_Lost: of evidence that is lost there is a report that says so, and it is
// made again.
func TestJudge_Lost(t *testing.T) {
	rec := Record{Evidence: Evidence{Old: "1.0.0", New: "1.1.0", Share: 20, For: time.Hour, Lost: "no report can be made: a stored count can't be read"}}
	rec.Report = judge(t, rec.Evidence)
	if r := rec.Report; r.Sentence != "No report can be made: a stored count can't be read." || r.Old != "1.0.0" || r.New != "1.1.0" || r.Settled() {
		t.Errorf("reported %+v", r)
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	if _, same, err := Replay(raw); err != nil || !same {
		t.Errorf("replayed to the same: %v, %v", same, err)
	}
}

// TestEvidence_Validate: what is valid can be written.
func TestEvidence_Validate(t *testing.T) {
	for _, c := range []struct {
		name string
		sum  float64
		at   time.Time
		ok   bool
	}{
		{"as most are", 1, began, true},
		{"the greatest sum", 1e15, began, true},
		{"a greater one", 1.1e15, began, false},
		{"an infinite one", math.Inf(1), began, false},
		{"none", math.NaN(), began, false},
		{"the last second there is", 1, time.Date(9999, 12, 31, 23, 59, 58, 0, time.UTC), true},
		{"a second after that", 1, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), false},
		{"before all years", 1, time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC), false},
	} {
		e := Evidence{Old: "1.0.0", New: "1.1.0", Share: 20, For: time.Hour, Metrics: []Metric{orders}, Intervals: []Interval{
			{Start: c.at, End: c.at.Add(time.Second), Readings: map[string]Reading{"orders": {Old: Sample{c.sum, 1}, New: Sample{1, 1}}}},
		}}
		valid := e.Validate()
		_, written := json.Marshal(e)
		if c.ok != (valid == nil) || valid == nil && written != nil {
			t.Errorf("%s: %v; written: %v", c.name, valid, written)
		}
	}
}
