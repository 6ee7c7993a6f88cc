package gate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestRescans(t *testing.T) {
	const day = 24 * time.Hour
	by := func(tool string, age time.Duration) towpath.Attestation {
		a := statement(towpath.EvidenceScan, "scanner")
		a.First, a.Scan = noon.Add(-age), &towpath.ScanFacts{Tool: tool}
		return a
	}
	week := &towpath.ScanRule{Severity: towpath.SeverityHigh, MaxAge: 7 * day}
	for _, c := range []struct {
		name string
		rule *towpath.ScanRule
		said []towpath.Attestation
		want []string
	}{
		{name: "asks for nothing without a rule", said: []towpath.Attestation{by("Grype", 99*day)}},
		{name: "says what was never scanned", rule: week, want: []string{"1.4.0 was never scanned by any scanner, with a key that counts."}},
		{name: "says which scanner did not", rule: &towpath.ScanRule{Tools: []string{"Trivy", "Grype"}}, said: []towpath.Attestation{by("Grype", 99*day)},
			want: []string{"1.4.0 was never scanned by Trivy, with a key that counts."}},
		{name: "takes what is young enough", rule: week, said: []towpath.Attestation{by("Grype", 7*day)}},
		{name: "says what is too old", rule: week, said: []towpath.Attestation{by("Grype", 9*day+time.Hour)},
			want: []string{"The last scan of 1.4.0 by Grype is 9 days and 1 hour old (2026-11-09T11:00:00Z), and it may be at most 7 days old."}},
		{name: "goes by the newest of each scanner", rule: week, said: []towpath.Attestation{by("Grype", 9*day), by("Grype", day), by("Trivy", 8*day)},
			want: []string{"The last scan of 1.4.0 by Trivy is 8 days old (2026-11-10T12:00:00Z), and it may be at most 7 days old."}},
		{name: "shows hours", rule: &towpath.ScanRule{MaxAge: day}, said: []towpath.Attestation{by("Grype", 30*time.Hour)},
			want: []string{"The last scan of 1.4.0 by Grype is 30 hours old (2026-11-17T06:00:00Z), and it may be at most 24 hours old."}},
		{name: "counts no key that the rule does not name", rule: &towpath.ScanRule{Keys: []towpath.KeyName{"other"}}, said: []towpath.Attestation{by("Grype", day)},
			want: []string{"1.4.0 was never scanned by any scanner, with a key that counts."}},
		{name: "has no age without a limit", rule: &towpath.ScanRule{}, said: []towpath.Attestation{by("Grype", 999*day)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := towpath.Environment{Name: "prod", Release: "sha256:old", Version: "1.4.0"}
			env.Rules.Gates.Scan = c.rule
			if got := Rescans(env, c.said, noon); !slices.Equal(got, c.want) {
				t.Errorf("got %q", got)
			}
			env.Release = ""
			if got := Rescans(env, c.said, noon); len(got) != 0 {
				t.Errorf("of nothing that runs: %q", got)
			}
		})
	}
	t.Run("is bounded", func(t *testing.T) {
		var many []towpath.Attestation
		for i := range 100 {
			many = append(many, by(fmt.Sprint("tool", i), 8*day))
		}
		env := towpath.Environment{Release: "sha256:old", Version: "1.4.0"}
		env.Rules.Gates.Scan = week
		if got := Rescans(env, many, noon); len(got) != shown+1 || got[shown] != fmt.Sprintf("There are %d more.", 100-shown) {
			t.Errorf("%d sentences, at the end %q", len(got), got[len(got)-1])
		}
	})
}
