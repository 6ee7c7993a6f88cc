package analysis

import "testing"

// What recorded streams taught: some of what happens to both revisions hits one of
// them harder, and is no difference.

func TestJudge_OneIntervalBurnsNoBudget(t *testing.T) {
	var background [][4]float64
	for range 6 { // what it depends on fails every ten seconds
		background = append(background, append(repeat(9, [4]float64{0, 0, 0, 76}), [4]float64{0, 0, 60, 76})...)
	}
	open := [4]float64{68, 73, 0, 76} // a circuit was open in one of them for a second
	once := judged(t, errorsOf(append(background, open)...)).Verdicts[0]
	if once.Burns.Outcome == Worse || once.Outcome == Worse {
		t.Errorf("one interval: %s (%+v)", once.Sentence, once.Burns)
	}
	twice := judged(t, errorsOf(append(background, open, open)...)).Verdicts[0]
	if twice.Burns.Outcome != Worse {
		t.Errorf("two intervals: %s (%+v)", twice.Sentence, twice.Burns)
	}
}

func TestJudge_WhatHitsBothIsABurstAtOnce(t *testing.T) {
	calm := append(repeat(60, [4]float64{0, 0, 1, 100}), repeat(5, [4]float64{1, 100, 1, 100})...)
	for name, tc := range map[string]struct {
		hit  [4]float64
		want Outcome
	}{
		"it hits both, one of them harder": {[4]float64{60, 100, 25, 100}, Undecided},
		"it hits the new one alone":        {[4]float64{60, 100, 1, 100}, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			if v := judged(t, errorsOf(append(calm, tc.hit)...)).Verdicts[0]; v.Outcome != tc.want {
				t.Error(v.Sentence)
			}
		})
	}
}

// TestJudge_ABaselineThatHardlyKeepsTheObjective leaves the judgement to the
// comparison, which this tolerance keeps silent.
func TestJudge_ABaselineThatHardlyKeepsTheObjective(t *testing.T) {
	for name, tc := range map[string]struct {
		baseline float64 // bad of 1,000
		want     Outcome
	}{
		"0.9 % of 1 %":  {9, NotWorse},
		"0.45 % of 1 %": {4.5, Worse},
	} {
		t.Run(name, func(t *testing.T) {
			in := errorsOf(repeat(100, [4]float64{17, 1000, tc.baseline, 1000})...)
			in.Objectives[0].Tolerance = 10
			if v := judged(t, in).Verdicts[0]; v.Outcome != tc.want {
				t.Error(v.Sentence)
			}
		})
	}
}

// TestDispersion_SilenceIsNoCalm: of bursts that come seldom one sees nothing for
// long, which is no evidence that there are none.
func TestDispersion_SilenceIsNoCalm(t *testing.T) {
	d := newDispersion()
	for i := range 300 {
		bad := 0.0
		if i == 20 {
			bad = 10
		}
		if i == 60 {
			d.temper() // the rollout begins
		}
		d.learn(baselineArm, count{bad, 180})
	}
	if s := d.estimate(); s.calm {
		t.Errorf("calm after one burst and silence: %+v", s)
	}
}
