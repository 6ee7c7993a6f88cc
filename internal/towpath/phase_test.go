package towpath

import "testing"

// terminal compares a table with what is known of it: the phases that nothing
// leads out of, among all that there are.
func terminal[P, T ~string](t *testing.T, table Transitions[P, T], ends ...P) {
	t.Helper()
	want, met := map[P]bool{}, map[P]bool{}
	for _, p := range ends {
		want[p] = true
	}
	for _, row := range table.Rows() {
		for _, p := range []P{P(row.From), P(row.To)} {
			if met[p] = true; table.Terminal(p) != want[p] {
				t.Errorf("%s: terminal is %v", p, !want[p])
			}
		}
	}
	for p := range want {
		if !met[p] {
			t.Errorf("nothing leads to %s", p)
		}
	}
	for _, p := range []P{"", "of a newer version"} {
		if table.Terminal(p) {
			t.Errorf("%q is no phase of the table, and its end is known", p)
		}
	}
}

func TestTransitions_Terminal(t *testing.T) {
	t.Run("promotions", func(t *testing.T) {
		terminal(t, PromotionTransitions(), PromotionDenied, PromotionSucceeded, PromotionFailed, PromotionRolledBack, PromotionConcluded,
			PromotionSuperseded, PromotionCancelled)
	})
	t.Run("deployments", func(t *testing.T) {
		terminal(t, DeploymentTransitions(), DeploymentSucceeded, DeploymentRolledBack, DeploymentConcluded, DeploymentFailed, DeploymentPreempted)
	})
	t.Run("operations", func(t *testing.T) {
		terminal(t, OperationTransitions(), OperationSucceeded, OperationFailed, OperationCancelled, OperationStale)
	})
	t.Run("what leads back to itself only is no end", func(t *testing.T) {
		if table := (Transitions[string, string]{"turns": {"again": "turns"}, "ends": {}}); table.Terminal("turns") || !table.Terminal("ends") {
			t.Error("it is taken for one")
		}
	})
}
