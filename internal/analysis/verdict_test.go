package analysis

import "testing"

func TestVerdict_Suspect(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    Verdict
		want bool
	}{
		{"nothing speaks against it", Verdict{Outcome: Undecided, Compares: Answer{E: 1}}, false},
		{"a little does", Verdict{Outcome: Undecided, Compares: Answer{E: 3.9}}, false},
		{"four to one that it is worse than the baseline", Verdict{Outcome: Undecided, Compares: Answer{E: 4}}, true},
		{"that it breaks the objective", Verdict{Outcome: Undecided, Breaks: Answer{E: 8}}, true},
		{"that it uses up the budget", Verdict{Outcome: Undecided, Burns: Answer{E: 8}}, true},
		{"that it is slower", Verdict{Outcome: Undecided, Shifts: Answer{E: 8}}, true},
		{"what is decided is no suspicion", Verdict{Outcome: NotWorse, Compares: Answer{E: 8}}, false},
		{"nor is what is known to be worse", Verdict{Outcome: Worse, Compares: Answer{E: 800}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.v.Suspect(); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
