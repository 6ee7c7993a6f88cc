package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestRelied holds that an authorisation names what an agent needs to judge again,
// however much else was attached and verified.
func TestRelied(t *testing.T) {
	const commit = "0123456789abcdef"
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	rules := towpath.GateRules{
		Signed: &towpath.SignedRule{Count: 2}, Provenance: &towpath.ProvenanceRule{Builders: []string{"ci"}},
		SBOM: &towpath.SBOMRule{}, Scan: &towpath.ScanRule{Severity: towpath.SeverityHigh, Tools: []string{"Trivy"}},
	}
	var said []towpath.Attestation
	add := func(t towpath.EvidenceType, key string, at time.Duration, change func(*towpath.Attestation)) {
		n := len(said)
		a := towpath.Attestation{
			Type: t, Key: towpath.KeyName(key), KeyID: key, Recorded: noon.Add(at), First: noon.Add(at),
			Artifact: towpath.Digest(fmt.Sprintf("sha256:%03d", n)), Bundle: towpath.Digest(fmt.Sprintf("sha256:b%03d", n)), Payload: towpath.Digest(fmt.Sprintf("sha256:p%03d", n)),
		}
		if change != nil {
			change(&a)
		}
		said = append(said, a)
	}
	built := func(builder, of string) func(*towpath.Attestation) {
		return func(a *towpath.Attestation) {
			a.Provenance = &towpath.ProvenanceFacts{Builder: builder, Commit: towpath.CommitID(of)}
		}
	}
	for i := range 40 { // what says nothing, all of it verified
		at := time.Duration(i) * time.Minute
		add(towpath.EvidenceSignature, "builder", at, nil)
		add(towpath.EvidenceProvenance, "builder", at, built("ci", fmt.Sprint("other", i)))
		add(towpath.EvidenceProvenance, "builder", at, built("laptop", commit))
		add(towpath.EvidenceSBOM, "builder", at, func(a *towpath.Attestation) { a.SBOM = &towpath.SBOMFacts{Format: "CycloneDX"} })
		add(towpath.EvidenceScan, "builder", at, func(a *towpath.Attestation) { a.Scan = &towpath.ScanFacts{Tool: fmt.Sprint("A", i)} })
	}
	add(towpath.EvidenceSignature, "second", time.Hour, nil)
	add(towpath.EvidenceProvenance, "builder", time.Hour, built("ci", commit))
	add(towpath.EvidenceSBOM, "builder", time.Hour, func(a *towpath.Attestation) {
		a.SBOM, a.Bundle = &towpath.SBOMFacts{Format: "CycloneDX"}, "sha256:newest"
	})
	add(towpath.EvidenceScan, "builder", time.Hour, func(a *towpath.Attestation) { a.Scan = &towpath.ScanFacts{Tool: "Trivy"} })
	got := Relied(rules, commit, said)
	c := towpath.Candidate{Commit: commit, Version: "1.0.0"}
	if open := Again(rules, "prod", c, got, noon.Add(2*time.Hour)); len(open) > 0 {
		t.Errorf("what is named is not enough: %q", open)
	}
	of := map[towpath.EvidenceType][]towpath.Attestation{}
	for _, a := range got {
		of[a.Type] = append(of[a.Type], a)
	}
	if len(of[towpath.EvidenceSignature]) != 2 || len(of[towpath.EvidenceProvenance]) != 1 || len(of[towpath.EvidenceSBOM]) != maxRelied || len(of[towpath.EvidenceScan]) != maxRelied {
		t.Errorf("named are %d signatures, %d provenances, %d bills, %d scans", len(of[towpath.EvidenceSignature]), len(of[towpath.EvidenceProvenance]), len(of[towpath.EvidenceSBOM]), len(of[towpath.EvidenceScan]))
	}
	if first := of[towpath.EvidenceSBOM][0].Bundle; first != "sha256:newest" {
		t.Errorf("the first bill is %s", first)
	}
}
