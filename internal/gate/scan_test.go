package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestScan(t *testing.T) {
	found := func(findings ...towpath.ScanFinding) func(*Input) {
		return with(towpath.EvidenceScan, func(a *towpath.Attestation) { a.Scan.Findings, a.Scan.Total = findings, len(findings) })
	}
	rule := func(change func(*towpath.ScanRule)) func(*Input) {
		return func(in *Input) { change(in.Environment.Rules.Gates.Scan) }
	}
	second := func(in *Input, at time.Time, tool string, findings ...towpath.ScanFinding) {
		a := statement(towpath.EvidenceScan, "scanner")
		a.Recorded, a.First, a.Artifact, a.Scan = at, at, "sha256:second", &towpath.ScanFacts{Tool: tool, Findings: findings, Total: len(findings)}
		in.Attestations = append([]towpath.Attestation{a}, in.Attestations...)
	}
	bad := towpath.ScanFinding{ID: "CVE-7", Severity: towpath.SeverityCritical, In: "openssl 3.0"}
	run(t, towpath.GateScan, []test{
		{name: "allows what is excepted on its last day", outcome: towpath.Allow, says: "Trivy found 1 thing that is high or worse, all of them excepted. CVE-1 (high) is excepted until 2026-11-18: “not reachable”."},
		{name: "takes the exception that ends last", outcome: towpath.Allow, says: "excepted until 2026-11-19", change: rule(func(r *towpath.ScanRule) {
			r.Exceptions = []towpath.ScanException{{ID: "CVE-1", Reason: "a", Until: "2026-11-17"}, {ID: "CVE-1", Reason: "b", Until: "2026-11-19"}, {ID: "CVE-1", Reason: "c", Until: "2026-11-18"}}
		})},
		{name: "names the one that ended last", outcome: towpath.Wait, says: "the exception for it ended on 2026-11-17", change: rule(func(r *towpath.ScanRule) {
			r.Exceptions = []towpath.ScanException{{ID: "CVE-1", Reason: "a", Until: "2026-11-16"}, {ID: "CVE-1", Reason: "b", Until: "2026-11-17"}}
		})},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "prod asks for no scans", change: func(in *Input) { in.Environment.Rules.Gates.Scan, in.Attestations = nil, nil }},
		{name: "allows what is not as bad", outcome: towpath.Allow, says: "Trivy found 1 thing, none of them high or worse.", change: found(towpath.ScanFinding{ID: "CVE-2", Severity: towpath.SeverityMedium})},
		{name: "allows when nothing was found", outcome: towpath.Allow, says: "Trivy found 0 things", change: found()},
		{name: "waits without a scan", outcome: towpath.Wait, says: "No scan by any scanner that counts is attached to 1.4.0.", hints: "towpath scan attach REPORT --release 1.4.0", change: func(in *Input) { in.Attestations = in.Attestations[:3] }},
		{name: "waits with what is bad", outcome: towpath.Wait, says: "Trivy found CVE-7 (critical) in openssl 3.0.", change: found(bad)},
		{name: "waits with what nobody rated", outcome: towpath.Wait, says: "CVE-8 (unknown)", change: found(towpath.ScanFinding{ID: "CVE-8", Severity: towpath.SeverityUnknown})},
		{name: "waits with what it was not shown", outcome: towpath.Wait, says: "Trivy found 8 more things that are high or worse beside those that are kept of a report", change: with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.Scan.Hidden = map[towpath.Severity]int{towpath.SeverityUnknown: 1, towpath.SeverityCritical: 3, towpath.SeverityHigh: 4, towpath.SeverityMedium: 100}
		})},
		{name: "allows when what it was not shown is not as bad", outcome: towpath.Allow, change: with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.Scan.Hidden = map[towpath.Severity]int{towpath.SeverityMedium: 100}
		})},
		{name: "waits when an exception has ended", outcome: towpath.Wait, says: "found CVE-1 (high) in left-pad 1.3.0; the exception for it ended on 2026-11-17.", change: rule(func(r *towpath.ScanRule) { r.Exceptions[0].Until = "2026-11-17" })},
		{name: "waits for a fresh one", outcome: towpath.Wait, says: "The last scan by Trivy is of 2026-11-18T11:00:00Z, and it may be at most 30m old.", change: rule(func(r *towpath.ScanRule) { r.MaxAge = 30 * time.Minute })},
		{name: "takes any age where none is asked for", outcome: towpath.Allow, change: func(in *Input) {
			in.Environment.Rules.Gates.Scan.MaxAge = 0
			with(towpath.EvidenceScan, func(a *towpath.Attestation) { a.First = noon.Add(-9999 * time.Hour) })(in)
		}},
		{name: "waits for a tool", outcome: towpath.Wait, says: "No scan by Grype that counts is attached", change: rule(func(r *towpath.ScanRule) { r.Tools = []string{"Grype", "Trivy"} })},
		{name: "takes the newest of a tool", outcome: towpath.Allow, change: func(in *Input) { second(in, noon.Add(-2*time.Hour), "Trivy", bad) }},
		{name: "also when it is worse", outcome: towpath.Wait, says: "found CVE-7", change: func(in *Input) { second(in, noon, "Trivy", bad) }},
		{name: "does not take what was attached again for new", outcome: towpath.Wait, says: "found CVE-7", change: func(in *Input) {
			second(in, noon.Add(-30*time.Minute), "Trivy", bad)
			with(towpath.EvidenceScan, func(a *towpath.Attestation) { a.Recorded = noon })(in)
		}},
		{name: "nor for fresh", outcome: towpath.Wait, says: "The last scan by Trivy is of 2026-11-17T11:00:00Z", change: with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.Recorded, a.First = noon, noon.Add(-25*time.Hour)
		})},
		{name: "takes the one that was made last, whenever it was attached", outcome: towpath.Wait, says: "found CVE-7", change: func(in *Input) {
			second(in, noon.Add(-2*time.Hour), "Trivy", bad)
			in.Attestations[0].Scan.Made = noon.Add(-2 * time.Hour)
			with(towpath.EvidenceScan, func(a *towpath.Attestation) {
				if a.Scan.Made.IsZero() {
					a.Scan.Made = noon.Add(-3 * time.Hour)
				}
			})(in)
		}},
		{name: "is as old as it says", outcome: towpath.Wait, says: "The last scan by Trivy is of 2026-11-17T11:00:00Z", change: with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.Scan.Made = noon.Add(-25 * time.Hour)
		})},
		{name: "and never newer than it is known", outcome: towpath.Wait, says: "The last scan by Trivy is of 2026-11-17T11:00:00Z", change: with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.First, a.Scan.Made = noon.Add(-25*time.Hour), noon.Add(time.Hour)
		})},
		{name: "of two that were made at one time, takes the one that came last", outcome: towpath.Wait, says: "found CVE-7", change: func(in *Input) {
			second(in, noon, "Trivy", bad)
			in.Attestations[0].Artifact = "sha256:0" // the name says nothing
			for i := range in.Attestations {
				if in.Attestations[i].Scan != nil {
					in.Attestations[i].Scan.Made = noon.Add(-3 * time.Hour)
				}
			}
		}},
		{name: "takes every tool at its word", outcome: towpath.Wait, says: "Grype found CVE-7", change: func(in *Input) { second(in, noon.Add(-2*time.Hour), "Grype", bad) }},
		{name: "does not count another key", outcome: towpath.Wait, says: "it was signed with scanner", change: rule(func(r *towpath.ScanRule) { r.Keys = []towpath.KeyName{"security"} })},
		{name: "does not count what was refused", outcome: towpath.Wait, says: "A scan does not count: it is forged.", change: with(towpath.EvidenceScan, func(a *towpath.Attestation) { a.Refused = "it is forged" })},
	})
}

func TestScan_IsBounded(t *testing.T) {
	in := passing()
	with(towpath.EvidenceScan, func(a *towpath.Attestation) {
		for i := range 500 {
			a.Scan.Findings = append(a.Scan.Findings, towpath.ScanFinding{ID: fmt.Sprint("CVE-", i), Severity: towpath.SeverityCritical, In: "x"})
		}
	})(&in)
	v := verdict(t, in, towpath.GateScan)
	if v.Outcome != towpath.Wait || len(v.Reasons) > shown+2 || !strings.Contains(strings.Join(v.Reasons, " "), "There are 489 more findings.") {
		t.Errorf("%s with %d reasons", v.Outcome, len(v.Reasons))
	}
}

// TestPassedWith: what an exception lets pass can be read in the ledger, and not all
// of it when there is much.
func TestPassedWith(t *testing.T) {
	in := passing()
	if got := PassedWith(in); got == nil || len(got.Excepted) != 1 || got.Excepted[0] != (Excepted{ID: "CVE-1", Severity: "high", Until: "2026-11-18", Reason: "not reachable"}) || got.More != 0 {
		t.Errorf("got %+v", got)
	}
	in.Environment.Rules.Gates.Scan.Exceptions = nil
	with(towpath.EvidenceScan, func(a *towpath.Attestation) { a.Scan.Findings = nil })(&in)
	if got := PassedWith(in); got != nil {
		t.Errorf("where nothing was excepted it is %+v", got)
	}
	for i := range 120 {
		id := fmt.Sprintf("CVE-%03d", i)
		in.Environment.Rules.Gates.Scan.Exceptions = append(in.Environment.Rules.Gates.Scan.Exceptions, towpath.ScanException{ID: id, Reason: "r", Until: "2026-11-18"})
		with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			a.Scan.Findings = append(a.Scan.Findings, towpath.ScanFinding{ID: id, Severity: "high", In: "x"}, towpath.ScanFinding{ID: id, Severity: "critical", In: "y"})
		})(&in)
	}
	if got := PassedWith(in); len(got.Excepted) != maxPassed || got.More != 120-maxPassed || got.Excepted[0].Severity != "critical" {
		t.Errorf("named are %d, %d more, the first %+v", len(got.Excepted), got.More, got.Excepted[0])
	}
	v := verdict(t, in, towpath.GateScan)
	if said := strings.Join(v.Reasons, " "); v.Outcome != towpath.Allow || len(v.Reasons) != shown+2 || !strings.Contains(said, "There are 110 more that are excepted.") {
		t.Errorf("%s: %q", v.Outcome, v.Reasons)
	}
	in.Environment.Rules.Gates.Scan = nil
	if got := PassedWith(in); got != nil {
		t.Errorf("without a rule it is %+v", got)
	}
}

// TestFlagged: what is found in what runs counts by the same rule as on the way
// in, and what has no room in a report is counted.
func TestFlagged(t *testing.T) {
	rule := towpath.ScanRule{
		Severity: towpath.SeverityHigh, Keys: []towpath.KeyName{"scanner"},
		Exceptions: []towpath.ScanException{{ID: "CVE-1", Until: "2026-11-18"}, {ID: "CVE-2", Until: "2026-11-17"}},
	}
	scan := func(key towpath.KeyName, tool string, at time.Time, ids ...string) towpath.Attestation {
		a := statement(towpath.EvidenceScan, key)
		a.Recorded, a.First, a.Scan = at, at, &towpath.ScanFacts{Tool: tool, Hidden: map[towpath.Severity]int{towpath.SeverityCritical: 2, towpath.SeverityLow: 9}}
		for _, id := range ids {
			a.Scan.Findings = append(a.Scan.Findings, towpath.ScanFinding{ID: id, Severity: towpath.SeverityHigh})
		}
		a.Scan.Findings = append(a.Scan.Findings, towpath.ScanFinding{ID: "CVE-low", Severity: towpath.SeverityMedium})
		return a
	}
	forged := scan("scanner", "Forged", noon, "CVE-8")
	forged.Refused = "it is forged"
	found, more := Flagged(rule, []towpath.Attestation{
		scan("scanner", "Trivy", noon, "CVE-1", "CVE-2", "CVE-3"), scan("scanner", "Trivy", noon.Add(-time.Hour), "CVE-old"),
		scan("scanner", "Grype", noon, "CVE-4"), scan("stranger", "Other", noon, "CVE-9"), forged,
	}, time.Date(2026, 11, 18, 23, 0, 0, 0, time.UTC))
	var got []string
	for _, f := range found {
		got = append(got, f.Tool+" "+f.ID)
	}
	if want := []string{"Grype CVE-4", "Trivy CVE-2", "Trivy CVE-3"}; !slices.Equal(got, want) || more != 4 {
		t.Errorf("flagged are %q and %d more, want %q and 4", got, more, want)
	}
}
