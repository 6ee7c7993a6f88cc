package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// falseAlarms counts the rollouts that are called worse at any interval. Since
// what is seen after that changes nothing, judging each once at its end is
// looking at every interval; TestJudge_LookingOftenChangesNothing shows it.
func falseAlarms(t *testing.T, w world, rollouts, before, intervals int) (all int, by map[string]int) {
	t.Helper()
	by = map[string]int{}
	for seed := range rollouts {
		j, err := Judge(Input{Objectives: w.objectives(), Intervals: alone(w.rollout(uint64(seed), before+intervals), before)})
		if err != nil {
			t.Fatal(err)
		}
		if j.Outcome == Worse {
			all++
		}
		for _, v := range j.Verdicts {
			if v.Outcome == Worse {
				by[v.Objective]++
				if by[v.Objective] < 4 {
					t.Log(seed, v.Objective, v.Decided.Sub(begin), v.Sentence)
				}
			}
		}
	}
	return all, by
}

// alone is a rollout of which the data plane has counted the old revision alone
// for some intervals before.
func alone(intervals []Interval, before int) []Interval {
	for i := range intervals[:before] {
		old := map[string]Reading{}
		for _, name := range []string{"errors", "latency"} { // what is asked of a source is not known of before
			old[name] = Reading{Baseline: intervals[i].Readings[name].Baseline}
		}
		intervals[i].Readings = old
	}
	return intervals
}

func TestJudge_CallsFewWorseThatAreNot(t *testing.T) {
	for before, rollouts := range map[int]int{0: rollouts, 60: rolloutsOfAPast} {
		for name, w := range streams() {
			t.Run(fmt.Sprintf("%s, seen %d intervals before", name, before), func(t *testing.T) {
				t.Parallel()
				all, by := falseAlarms(t, w, rollouts, before, rolloutInterval)
				t.Logf("%d of %d rollouts without a difference were called worse (%.2f %%): %v",
					all, rollouts, 100*float64(all)/float64(rollouts), by)
				if all > rollouts/100 {
					t.Errorf("more than 1 %%")
				}
			})
		}
	}
}

// TestJudge_AnOutageOfBoth: what the baseline did before the rollout does not
// make the canary's fault of what happens to both.
func TestJudge_AnOutageOfBoth(t *testing.T) {
	w := plain()
	w.bad = 0.001
	failing := w
	failing.bad = 0.5
	for seed := range uint64(200) {
		intervals := alone(w.rollout(seed, 80), 60)
		copy(intervals[65:], failing.rollout(seed+1e6, 15))
		for i := range intervals[65:] {
			intervals[65+i].Start, intervals[65+i].End = begin.Add(time.Duration(65+i)*time.Second), begin.Add(time.Duration(66+i)*time.Second)
		}
		j, err := Judge(Input{Objectives: w.objectives()[:1], Intervals: intervals})
		if err != nil {
			t.Fatal(err)
		}
		if j.Outcome == Worse {
			t.Fatalf("seed %d: %s", seed, j.Sentence)
		}
		if !strings.Contains(j.Sentence, " before") {
			t.Fatalf("nothing says what was before: %s", j.Sentence)
		}
	}
}

// TestJudge_AnOutageBefore: what the baseline went through a while ago, an outage
// or a cold start, neither hides a bad canary nor holds up a good one.
func TestJudge_AnOutageBefore(t *testing.T) {
	w := plain()
	w.bad = 0.001
	out := w
	out.bad = 0.5
	bad := w
	bad.bad = 0.5
	verdict := func(intervals []Interval) Judgement {
		t.Helper()
		j, err := Judge(Input{Objectives: []Objective{{Name: "errors", Kind: Ratio, Target: 0.99, Critical: true}}, Intervals: intervals})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	const trials = 100
	late, slow, alarms := 0, 0, 0
	for seed := range uint64(trials) {
		rollout := func(failing bool) []Interval {
			intervals := w.rollout(seed, 170)
			for i, o := range out.rollout(seed+1e6, 170) {
				if i >= 20 && i < 25 { // it was out for five seconds, half a minute ago
					intervals[i].Readings["errors"] = o.Readings["errors"]
				}
			}
			if failing {
				for i, b := range bad.rollout(seed+2e6, 170) {
					intervals[i].Readings["errors"] = Reading{Canary: b.Readings["errors"].Canary, Baseline: intervals[i].Readings["errors"].Baseline}
				}
			}
			return alone(intervals, 60)
		}
		if verdict(rollout(true)[:64]).Outcome != Worse {
			late++
		}
		good := rollout(false)
		switch verdict(good).Outcome {
		case Worse:
			alarms++
		case NotWorse:
		default:
			slow++
		}
	}
	t.Logf("of %d: %d not found out in four intervals, %d not said to be fine in 110, %d called worse that are fine", trials, late, slow, alarms)
	if late > trials/10 || slow > 3*trials/10 || alarms > 1 {
		t.Error("too many")
	}
}

// TestDispersion_Extremes: whatever was seen, what is known of the dispersion is
// numbers that can be worked with.
func TestDispersion_Extremes(t *testing.T) {
	for _, jump := range []float64{1, 90, 1e4, 1e8, 1e11} {
		d := newDispersion()
		for range 5 {
			d.learn(baselineArm, count{0, 2 * jump})
			d.learn(baselineArm, count{jump, 2 * jump})
		}
		s := d.estimate()
		for name, x := range map[string]float64{"mean": s.mean, "harmonic": s.harmonic, "few": s.few} {
			if !(x >= 1 && x <= 200) {
				t.Errorf("a jump of %v: its %s is %v", jump, name, x)
			}
		}
		if !(s.few < bursty) {
			t.Errorf("a jump of %v: %v without bursts", jump, s.few)
		}
	}
}

// TestJudge_RatesThatWander: what wanders in each revision by itself is called a
// difference far too often, and a tolerance is the remedy.
func TestJudge_RatesThatWander(t *testing.T) {
	w := plain()
	w.own = autocorrelated(0.9, 0.5)
	alarms := map[float64]int{}
	const trials = 200
	for _, tolerance := range []float64{1, 2} {
		objectives := w.objectives()[:2]
		for i := range objectives {
			objectives[i].Tolerance, objectives[i].Shifts = tolerance, false
		}
		for seed := range uint64(trials) {
			j, err := Judge(Input{Objectives: objectives, Intervals: w.rollout(seed, 120)})
			if err != nil {
				t.Fatal(err)
			}
			if j.Outcome == Worse {
				alarms[tolerance]++
			}
		}
	}
	t.Logf("of %d rollouts %v were called worse, by the tolerance", trials, alarms)
	if alarms[2] > trials/50 || alarms[2]*3 > alarms[1] {
		t.Error("the tolerance is no remedy")
	}
}
