package analysis

import (
	"testing"
)

// falseAlarms counts the rollouts that are called worse at any interval. Since
// what is seen after that changes nothing, judging each once at its end is
// looking at every interval; TestJudge_LookingOftenChangesNothing shows it.
func falseAlarms(t *testing.T, w world, rollouts, intervals int) (all int, by map[string]int) {
	t.Helper()
	by = map[string]int{}
	for seed := range rollouts {
		j, err := Judge(Input{Objectives: w.objectives(), Intervals: w.rollout(uint64(seed), intervals)})
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

func TestJudge_CallsFewWorseThatAreNot(t *testing.T) {
	for name, w := range streams() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, by := falseAlarms(t, w, rollouts, rolloutInterval)
			t.Logf("%d of %d rollouts without a difference were called worse (%.2f %%): %v",
				all, rollouts, 100*float64(all)/float64(rollouts), by)
			if all > rollouts/100 {
				t.Errorf("more than 1 %%")
			}
		})
	}
}
