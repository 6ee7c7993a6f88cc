package didyoumean

import "testing"

func TestName(t *testing.T) {
	known := []string{"staging", "prod", "dev", "dependsOn"}
	for _, tt := range []struct{ name, got, want string }{
		{"finds a name with a letter missing", "stagng", "staging"},
		{"finds a name with two letters swapped", "porд", ""},
		{"finds swapped neighbours", "pord", "prod"},
		{"ignores case", "DependsON", "dependsOn"},
		{"does not guess wildly", "billing", ""},
		{"does not guess at nothing", "", ""},
		{"does not turn a letter into a name", "x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Name(tt.got, known); got != tt.want {
				t.Errorf("Name(%q) = %q, want %q", tt.got, got, tt.want)
			}
		})
	}
}

func TestHint(t *testing.T) {
	t.Run("lists what is known when nothing is near", func(t *testing.T) {
		if got, want := Hint("billing", []string{"b", "a", "a"}), "known are a, b"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("says nothing when nothing is known", func(t *testing.T) {
		if got := Hint("billing", []string{}); got != "" {
			t.Errorf("got %q", got)
		}
	})
}
