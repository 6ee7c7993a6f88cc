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
	const most = 1.3
	for _, tc := range []struct {
		name                  string
		canary, baseline, bad float64
		before                int
		most                  float64
	}{
		{"1 to 2 %, half of the traffic", 20, 20, 0.01, 0, most},
		{"1 to 2 %, a tenth of the traffic", 20, 180, 0.01, 0, most},
		{"5 to 10 %, half of the traffic", 20, 20, 0.05, 0, most},
		{"1 to 2 %, a tenth, the baseline seen for a minute before", 20, 180, 0.01, 60, most},
		{"5 to 10 %, a tenth, the baseline seen for a minute before", 20, 180, 0.05, 60, most},
		// Here the fixed size is 13 intervals, and a third of them pass before
		// bursts are ruled out: 1.3 is missed, and 1.35 reached.
		{"5 to 10 %, a tenth of the traffic", 20, 180, 0.05, 0, 1.4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := plain()
			w.canary, w.baseline, w.bad, w.worse, w.budget = tc.canary, tc.baseline, tc.bad, 2, 0.5
			fixed := fixedSize(2*tc.bad, tc.bad, 0.01, tc.baseline/tc.canary)
			needs := requestsUntilWorse(t, w, tc.before, int(8*fixed/tc.canary)+20, powerTrials)
			t.Logf("%.0f requests of the canary on average, fixed size %.0f: %.2f times as many", needs, fixed, needs/fixed)
			if needs > tc.most*fixed {
				t.Errorf("more than %v times the fixed size", tc.most)
			}
		})
	}
}

// TestJudge_FindsHalfFailing looks at the first second that has ten requests of
// a canary of which half fail, beside a healthy baseline.
func TestJudge_FindsHalfFailing(t *testing.T) {
	for _, tc := range []struct {
		name     string
		baseline float64
		bad      float64
		least    float64
	}{
		{"a twentieth of the traffic", 380, 0, 0.93},
		{"a tenth of the traffic", 180, 0, 0.92},
		{"a tenth of the traffic, few errors", 180, 0.001, 0.92},
		{"half of the traffic", 20, 0, 0.8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first, second := 0, 0
			for seed := range powerTrials {
				w := plain()
				w.baseline, w.bad, w.budget = tc.baseline, tc.bad, 0.01
				intervals := w.rollout(uint64(seed), 3)
				failing := w
				failing.bad = 0.5
				for i, f := range failing.rollout(uint64(seed)+1e6, 3) {
					r := intervals[i].Readings["errors"]
					r.Canary = f.Readings["errors"].Canary
					intervals[i].Readings["errors"] = r
				}
				j, err := Judge(Input{Objectives: w.objectives(), Intervals: intervals})
				if err != nil {
					t.Fatal(err)
				}
				ten := begin
				for _, i := range intervals {
					ten = i.End
					if i.Readings["errors"].Canary.Total >= 10 {
						break
					}
				}
				if d := j.Verdicts[0].Decided; d != nil && !d.After(ten) {
					first++
				}
				if d := j.Verdicts[0].Decided; d != nil && !d.After(ten.Add(time.Second)) {
					second++
				}
			}
			share := float64(first) / float64(powerTrials)
			t.Logf("found in the first interval in %.1f %%, in the second at the latest in %.1f %%", 100*share, 100*float64(second)/float64(powerTrials))
			if share < tc.least {
				t.Errorf("found in the first interval in less than %v", tc.least)
			}
		})
	}
}
