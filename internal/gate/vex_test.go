package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

const leftPad = "pkg:npm/left-pad@1.3.0"

// opinions is a VEX document of a key, about left-pad where it says no component.
func opinions(key towpath.KeyName, at time.Time, all ...towpath.VEXStatement) towpath.Attestation {
	a := statement(towpath.EvidenceScan, key)
	a.Recorded, a.First = at, at
	a.Payload = towpath.DigestOf(fmt.Append(nil, key, at, all))
	a.Artifact, a.Bundle = a.Payload, a.Payload
	a.VEX = &towpath.VEXFacts{Statements: all}
	return a
}

func about(id string, s towpath.VEXState) towpath.VEXStatement {
	return towpath.VEXStatement{ID: id, State: s, PURL: leftPad}
}

func TestScan_VEX(t *testing.T) {
	bad := towpath.ScanFinding{ID: "CVE-7", Severity: towpath.SeverityCritical, In: "left-pad 1.3.0", PURL: leftPad}
	not := about("CVE-7", towpath.VEXNotAffected)
	not.Justification = "code_not_reachable"
	found := func(all ...towpath.ScanFinding) func(*Input) {
		return with(towpath.EvidenceScan, func(a *towpath.Attestation) {
			if a.Scan != nil {
				a.Scan.Findings, a.Scan.Total = all, len(all)
			}
		})
	}
	said := func(all ...towpath.Attestation) func(*Input) {
		return func(in *Input) {
			found(bad)(in)
			in.Attestations = append(in.Attestations, all...)
		}
	}
	by := func(s towpath.VEXStatement) towpath.Attestation { return opinions("product", noon.Add(-time.Hour), s) }
	then := func(change func(*Input), more ...func(*Input)) func(*Input) {
		return func(in *Input) {
			change(in)
			for _, f := range more {
				f(in)
			}
		}
	}
	refused := by(not)
	refused.Refused, refused.Key = "the key is not trusted", ""
	unsigned := by(not)
	unsigned.Key = ""
	dated := opinions("product", noon, about("CVE-7", towpath.VEXExploitable))
	dated.VEX.Made = noon.Add(-3 * time.Hour)
	other := by(towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected, PURL: "pkg:pypi/left-pad@1.3.0"})
	const closed = "CVE-7 (critical) in left-pad 1.3.0 is closed by VEX of product: not_affected, code_not_reachable."
	var many []towpath.Attestation
	everywhere := []towpath.ScanFinding{bad}
	for i := range maxRelied {
		f := towpath.ScanFinding{ID: "CVE-7", Severity: "high", PURL: fmt.Sprint("pkg:npm/x@", i)}
		everywhere = append(everywhere, f)
		many = append(many, opinions("product", noon.Add(time.Duration(i)*time.Second), towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected, PURL: f.PURL}))
	}
	run(t, towpath.GateScan, []test{
		{name: "closes a finding of another tool", outcome: towpath.Allow, says: "Trivy found 1 thing that is high or worse, all of them closed by VEX. " + closed, change: said(by(not))},
		{name: "closes by every state that says so", outcome: towpath.Allow, says: "product: resolved.", change: said(by(about("CVE-7", towpath.VEXResolved)))},
		{name: "closes one beside one that is excepted", outcome: towpath.Allow, says: "Trivy found 2 things that are high or worse, 1 of them closed by VEX and 1 excepted.",
			change: then(said(by(not)), found(bad, towpath.ScanFinding{ID: "CVE-1", Severity: "high"}))},
		{name: "not one that is exploitable", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(by(about("CVE-7", towpath.VEXExploitable)))},
		{name: "not one that is in triage", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(by(about("CVE-7", towpath.VEXInTriage)))},
		{name: "not another vulnerability", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(by(about("CVE-70", towpath.VEXNotAffected)))},
		{name: "not in another component", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(other)},
		{name: "not in a component that the report does not name", outcome: towpath.Wait, says: "Trivy found CVE-7",
			change: then(said(by(not)), found(towpath.ScanFinding{ID: "CVE-7", Severity: "high", In: "left-pad 1.3.0"}))},
		{name: "not in all components at once", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(by(towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected}))},
		{name: "by the name in the report, without a package URL", outcome: towpath.Allow, says: "closed by VEX of product",
			change: then(said(by(towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected, Ref: "l", In: "left-pad 1.3.0"})), found(towpath.ScanFinding{ID: "CVE-7", Severity: "high", Ref: "l", In: "left-pad 1.3.0"}))},
		{name: "not what has the same name in another report", outcome: towpath.Wait, says: "Trivy found CVE-7",
			change: then(said(by(towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected, Ref: "l", In: "left-pad 1.3.0"})), found(towpath.ScanFinding{ID: "CVE-7", Severity: "high", Ref: "l", In: "lodash 4.0.0"}))},
		{name: "not what was found in more places than are kept", outcome: towpath.Wait, says: "Trivy found CVE-7", change: then(said(by(not)), func(in *Input) {
			f := bad
			f.Elsewhere = true
			found(f)(in)
		})},
		{name: "not when nobody trusts the key", outcome: towpath.Wait, says: "A scan does not count: the key is not trusted.", change: said(refused)},
		{name: "not unsigned", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(unsigned)},
		{name: "not by a key that the rule does not name", outcome: towpath.Wait, says: "it was signed with product", change: then(said(by(not)), func(in *Input) {
			in.Environment.Rules.Gates.Scan.Keys = []towpath.KeyName{"scanner"}
		})},
		{name: "is no scan", outcome: towpath.Wait, says: "No scan by any scanner that counts", change: then(said(by(not)), func(in *Input) {
			in.Attestations = append(in.Attestations[:3], in.Attestations[4:]...)
		})},
		{name: "takes the newest of an author", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(opinions("product", noon, about("CVE-7", towpath.VEXExploitable)), by(not))},
		{name: "takes the newest of an author about all components", outcome: towpath.Wait, says: "Trivy found CVE-7",
			change: said(by(not), opinions("product", noon, towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXInTriage}))},
		{name: "of two of one moment the one that closes nothing", outcome: towpath.Wait, says: "Trivy found CVE-7", change: said(by(not), by(about("CVE-7", towpath.VEXExploitable)))},
		{name: "is as old as it says", outcome: towpath.Allow, says: closed, change: said(dated, by(not))},
		{name: "takes nothing back of another author", outcome: towpath.Allow, says: closed, change: said(by(not), opinions("scanner", noon, about("CVE-7", towpath.VEXExploitable)))},
		{name: "takes nothing back about another component", outcome: towpath.Allow, says: closed,
			change: said(by(not), opinions("product", noon, towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXExploitable, PURL: "pkg:npm/other@1"}))},
		{name: "reads no more documents than an agent gets", outcome: towpath.Wait, says: "Trivy found CVE-7 (critical) in left-pad 1.3.0.", change: then(said(append(many, by(not))...), found(everywhere...))},
		{name: "and counts only those that are about what was found", outcome: towpath.Allow, says: closed, change: said(append(many, by(not))...)},
	})
}

// TestRelied_NamesVEX: an agent gets the documents that close what it judges again,
// and those that took something back.
func TestRelied_NamesVEX(t *testing.T) {
	in := passing()
	with(towpath.EvidenceScan, func(a *towpath.Attestation) {
		a.Payload = "sha256:scan"
		a.Scan.Findings = []towpath.ScanFinding{{ID: "CVE-7", Severity: "high", PURL: leftPad}, {ID: "CVE-8", Severity: "low", PURL: leftPad}}
	})(&in)
	closes := opinions("product", noon.Add(-time.Minute), about("CVE-7", towpath.VEXNotAffected), about("CVE-70", towpath.VEXNotAffected))
	in.Attestations = append(in.Attestations, closes,
		opinions("product", noon.Add(-time.Hour), about("CVE-7", towpath.VEXFalsePositive)),                                              // replaced
		opinions("product", noon.Add(-time.Second), about("CVE-8", towpath.VEXNotAffected)),                                              // does not count
		opinions("other", noon.Add(-time.Second), about("CVE-9", towpath.VEXNotAffected)),                                                // was not found
		opinions("other", noon.Add(-time.Second), towpath.VEXStatement{ID: "CVE-7", State: towpath.VEXNotAffected, PURL: "pkg:npm/x@1"}), // nor in that
		opinions("stranger", noon.Add(-time.Second), about("CVE-7", towpath.VEXExploitable)))                                             // takes back what it closed
	rules := towpath.GateRules{Scan: in.Environment.Rules.Gates.Scan}
	got := Relied(rules, "c2", in.Attestations)
	var keys []string
	for _, a := range got {
		keys = append(keys, string(a.Key))
	}
	if want := []string{"scanner", "stranger", "product"}; !slices.Equal(keys, want) || got[2].Bundle != closes.Bundle {
		t.Errorf("named are those of %q, want %q", keys, want)
	}
	if open := Again(rules, "prod", in.Candidate, got, noon); len(open) > 0 {
		t.Errorf("what is named is not enough: %q", open)
	}
	if open := Again(rules, "prod", in.Candidate, got[:2], noon); len(open) != 1 || !strings.Contains(open[0], "CVE-7") {
		t.Errorf("without the document it says %q", open)
	}
}

// TestFlagged_VEX: what was closed is not found in what runs either.
func TestFlagged_VEX(t *testing.T) {
	scan := statement(towpath.EvidenceScan, "scanner")
	scan.Scan = &towpath.ScanFacts{Tool: "grype", Total: 1, Findings: []towpath.ScanFinding{{ID: "CVE-7", Severity: "high", PURL: leftPad}}}
	forged := opinions("product", noon, about("CVE-7", towpath.VEXNotAffected))
	forged.Refused = "it is forged"
	rule := FlagRule(nil)
	for _, tt := range []struct {
		name string
		vex  towpath.Attestation
		want int
	}{
		{"of a key that is trusted", opinions("product", noon, about("CVE-7", towpath.VEXNotAffected)), 0},
		{"of another", forged, 1},
	} {
		said := []towpath.Attestation{tt.vex, scan}
		flags, _ := Flagged(rule, said, noon)
		if found := Findings(rule, said, noon); len(flags) != tt.want || len(found) != tt.want {
			t.Errorf("%s: flagged are %v, found is %q", tt.name, flags, found)
		}
	}
	in := passing()
	in.Attestations = append(in.Attestations, opinions("product", noon, about("CVE-1", towpath.VEXNotAffected)))
	with(towpath.EvidenceScan, func(a *towpath.Attestation) {
		if a.Scan != nil {
			a.Scan.Findings[0].PURL = leftPad
		}
	})(&in)
	if got := PassedWith(in); got == nil || len(got.Excepted) != 0 || len(got.Closed) != 1 || got.Closed[0].Key != "product" {
		t.Errorf("the ledger gets %+v", got)
	}
}
