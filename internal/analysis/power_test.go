package analysis

import (
	"math"
	"testing"
	"time"
)

// fixedSize is how many canary requests the one-sided two-proportion test needs
// that is done once, at a size planned for these very rates, with a power of 80 %.
func fixedSize(canary, baseline, alpha, perCanary float64) float64 {
	quantile := func(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
	both := (canary + perCanary*baseline) / (1 + perCanary)
	null := math.Sqrt(both * (1 - both) * (1 + 1/perCanary))
	alternative := math.Sqrt(canary*(1-canary) + baseline*(1-baseline)/perCanary)
	need := quantile(1-alpha)*null + quantile(0.8)*alternative
	return need * need / ((canary - baseline) * (canary - baseline))
}

// requestsUntilWorse is how many requests the canary has had, on average, when
// it is called worse; of an objective that only the comparison can break. The
// baseline was seen for `before` intervals before; `most` are looked at.
func requestsUntilWorse(t *testing.T, w world, before, most, trials int) float64 {
	t.Helper()
	o := w.objectives()[0].withDefaults()
	sum := 0.0
	for seed := range trials {
		judge := newTracker(o, 0.01, false)
		for i, interval := range w.rollout(uint64(seed), before+most) {
			if i < before {
				interval.Readings["errors"] = Reading{Canary: &Sample{}, Baseline: interval.Readings["errors"].Baseline}
			}
			judge.see(interval)
			if judge.decided != nil {
				break
			}
		}
		if judge.decided == nil {
			t.Fatalf("rollout %d is not called worse: %s", seed, judge.verdict().Sentence)
		}
		sum += judge.samples.canary.total
	}
	return sum / float64(trials)
}

// TestJudge_FindsADoubledRate compares with the fixed-size test, which finds it
// in 80 % of its trials only; the judge finds it in all.
func TestJudge_FindsADoubledRate(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		canary, baseline, bad float64
		before                int
		most                  float64
		trials                int
	}{
		{"1 to 2 %, half of the traffic", 20, 20, 0.01, 0, 1.3, powerTrials},
		{"1 to 2 %, a tenth of the traffic", 20, 180, 0.01, 0, 1.3, powerTrials},
		{"5 to 10 %, half of the traffic", 20, 20, 0.05, 0, 1.3, powerTrials},
		{"1 to 2 %, a tenth, the baseline seen for a minute before", 20, 180, 0.01, 60, 1.3, powerTrials},
		{"5 to 10 %, a tenth, the baseline seen for a minute before", 20, 180, 0.05, 60, 1.3, powerTrials},
		// Here the fixed size is 13 intervals, and a third of them pass before
		// bursts are ruled out; 400 trials are too few to tell 1.3 from 1.35.
		{"5 to 10 %, a tenth of the traffic", 20, 180, 0.05, 0, 1.3, 2_000},
		// Here it is 7 and 1.3 intervals: 1.3 is missed.
		{"1 to 2 %, a tenth of ten times the traffic", 200, 1800, 0.01, 0, 1.5, powerTrials},
		{"5 to 10 %, a tenth of ten times the traffic", 200, 1800, 0.05, 0, 3.5, powerTrials},
		// With bursts ruled out by a minute before, what is left is that one can stop
		// at the end of an interval only.
		{"1 to 2 %, a tenth of ten times, the baseline seen for a minute before", 200, 1800, 0.01, 60, 1.35, powerTrials},
		{"5 to 10 %, a tenth of ten times, the baseline seen for a minute before", 200, 1800, 0.05, 60, 1.8, powerTrials},
		{"0.1 to 0.2 %, a tenth of a hundred times, the baseline seen for a minute before", 2000, 18000, 0.001, 60, 1.3, powerTrials},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := plain()
			w.canary, w.baseline, w.bad, w.worse, w.budget = tc.canary, tc.baseline, tc.bad, 2, 0.5
			fixed := fixedSize(2*tc.bad, tc.bad, 0.01, tc.baseline/tc.canary)
			needs := requestsUntilWorse(t, w, tc.before, int(8*fixed/tc.canary)+20, tc.trials)
			t.Logf("%.0f requests of the canary on average, fixed size %.0f: %.2f times as many", needs, fixed, needs/fixed)
			if needs > tc.most*fixed {
				t.Errorf("more than %v times the fixed size", tc.most)
			}
		})
	}
}

// TestJudge_FindsHalfFailing looks at the first second that has ten requests of
// a canary of which half fail, beside a healthy baseline, and at those after it.
// A single burst of ten looks the same in one interval, so that the first is
// enough only when the baseline was seen for a minute before without any.
func TestJudge_FindsHalfFailing(t *testing.T) {
	for _, tc := range []struct {
		name     string
		baseline float64
		bad      float64
		before   int
		within   int // intervals
		least    float64
	}{
		{"a twentieth of the traffic, second interval", 380, 0, 0, 2, 0.99},
		{"a tenth of the traffic, second interval", 180, 0, 0, 2, 0.99},
		{"a tenth of the traffic, few errors, second interval", 180, 0.001, 0, 2, 0.99},
		{"half of the traffic, third interval", 20, 0, 0, 3, 0.99},
		{"a twentieth, the baseline seen for a minute before, first interval", 380, 0, 60, 1, 0.9},
		{"a tenth, the baseline seen for a minute before, first interval", 180, 0, 60, 1, 0.9},
		{"a tenth, few errors, the baseline seen for a minute before, first interval", 180, 0.001, 60, 1, 0.9},
		{"a tenth, the baseline seen for a minute before, second interval", 180, 0, 60, 2, 0.99},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := plain()
			w.baseline, w.bad, w.budget = tc.baseline, tc.bad, 0.01
			found := 0
			for seed := range powerTrials {
				intervals, ten := w.halfFailing(uint64(seed), tc.before)
				j, err := Judge(Input{Objectives: w.objectives(), Intervals: intervals})
				if err != nil {
					t.Fatal(err)
				}
				if d := j.Verdicts[0].Decided; d != nil && d.Before(ten.Add(time.Duration(tc.within)*time.Second)) {
					found++
				}
			}
			share := float64(found) / float64(powerTrials)
			t.Logf("found in %.1f %%", 100*share)
			if share < tc.least {
				t.Errorf("found in less than %v", tc.least)
			}
		})
	}
}

// halfFailing is a rollout of which half of the canary's requests fail from its
// first one on, after some intervals of the baseline alone; and when the first
// interval with ten requests of the canary ends.
func (w world) halfFailing(seed uint64, before int) (intervals []Interval, ten time.Time) {
	const after = 4
	failing := w
	failing.bad = 0.5
	intervals = w.rollout(seed, before+after)
	for i, f := range failing.rollout(seed+1e6, before+after) {
		healthy := intervals[i].Readings["errors"]
		switch {
		case i < before:
			intervals[i].Readings = map[string]Reading{"errors": {Baseline: healthy.Baseline}}
			continue
		case ten.IsZero() && f.Readings["errors"].Canary.Total >= 10:
			ten = f.End
		}
		intervals[i].Readings["errors"] = Reading{Canary: f.Readings["errors"].Canary, Baseline: healthy.Baseline}
	}
	return intervals, ten
}
