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
		{"a few bad ones", Verdict{Outcome: Undecided, Canary: Count{2, 10}, Baseline: Count{0, 190}}, false},
		{"half of few are bad", Verdict{Outcome: Undecided, Canary: Count{5, 10}, Baseline: Count{0, 190}}, true},
		{"as bad as the baseline", Verdict{Outcome: Undecided, Canary: Count{5, 10}, Baseline: Count{90, 190}}, false},
		{"bad, and within what the objective allows", Verdict{Outcome: Undecided, Canary: Count{5, 1000}, Baseline: Count{0, 190}}, false},
		{"what is decided is no suspicion", Verdict{Outcome: NotWorse, Compares: Answer{E: 8}}, false},
		{"nor is what is known to be worse", Verdict{Outcome: Worse, Compares: Answer{E: 800}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.v.Suspect(Objective{Kind: Ratio, Target: 0.99}); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestVerdict_SaysHowLikelyChanceIs(t *testing.T) {
	decided := Answer{Outcome: Worse, E: 5000, Needs: 114}
	certain := Answer{Outcome: Worse, E: 1e300, Needs: 114}
	open := Answer{Outcome: Undecided, E: 1, Needs: 341}
	beside, alone := &tracker{}, &tracker{alone: true}
	for want, got := range map[string]string{
		": chance alone does this at most once in 5,000 times":             beside.because(Verdict{Outcome: Worse, Compares: decided}),
		": chance alone does this at most once in a billion times":         beside.because(Verdict{Outcome: Worse, Compares: certain}),
		": chance alone does this at most once in 114 times, 100 % may be": alone.because(Verdict{Outcome: Worse, Breaks: Answer{Outcome: Worse, E: 3, Needs: 114}}),
		": this may be chance (evidence 1, and it takes 341)":              beside.because(Verdict{Outcome: Undecided, Compares: open}),
		", harm is ruled out": alone.because(Verdict{Outcome: NotWorse}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
