package gate

import (
	"cmp"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxRelied bounds what [Relied] names of each type of evidence.
const maxRelied = 32

// Again judges anew what evidence by itself can tell, with the rules of the gates
// that ask for it: signatures by enough keys, a provenance of the commit from
// where they say, a bill of materials, scans without bad findings. It answers, as
// sentences, what they do not let pass. What it takes records to know, such as who
// reviewed it, is left out.
func Again(rules towpath.GateRules, e towpath.EnvironmentName, c towpath.Candidate, said []towpath.Attestation, now time.Time) []string {
	if rules.Provenance != nil {
		rule := *rules.Provenance
		rule.Reviewed = false
		rules.Provenance = &rule
	}
	c.Version = cmp.Or(c.Version, towpath.Short(c.Release))
	in := Input{
		Now: now, Candidate: c, Attestations: said,
		Environment: towpath.Environment{Name: e, Rules: towpath.EnvironmentSpec{Name: e, Gates: rules}},
	}
	var out []string
	for _, j := range []judge{signed, provenance, sbom, scan} {
		if f := j(in); f.outcome != towpath.Allow {
			out = append(out, f.reasons[0])
		}
	}
	return out
}

// Relied are the statements that let a candidate pass the gates of evidence, the
// newest first of each type, at most [maxRelied]: what [Again] needs, however many
// others say the same.
func Relied(rules towpath.GateRules, commit towpath.CommitID, said []towpath.Attestation) []towpath.Attestation {
	in := Input{Attestations: said}
	var out []towpath.Attestation
	newest := func(all []towpath.Attestation, same func(towpath.Attestation) any) {
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b towpath.Attestation) int { return b.First.Compare(a.First) })
		seen := map[any]bool{}
		for _, a := range all {
			if w := same(a); !seen[w] && len(seen) < maxRelied {
				seen[w] = true
				out = append(out, a)
			}
		}
	}
	words := func(a towpath.Attestation) any { return a.Words() }
	if r := rules.Signed; r != nil {
		newest(statements(in, towpath.EvidenceSignature, r.Keys).good, func(a towpath.Attestation) any { return a.KeyID })
	}
	if r := rules.Provenance; r != nil {
		newest(slices.DeleteFunc(statements(in, towpath.EvidenceProvenance, r.Keys).good, func(a towpath.Attestation) bool {
			return a.Provenance == nil || a.Provenance.Commit != commit || len(contradictions(*r, *a.Provenance)) > 0
		}), words)
	}
	if r := rules.SBOM; r != nil {
		newest(slices.DeleteFunc(statements(in, towpath.EvidenceSBOM, r.Keys).good, func(a towpath.Attestation) bool {
			return a.SBOM == nil || r.Complete && a.SBOM.Incomplete
		}), words)
	}
	if r := rules.Scan; r != nil {
		good := statements(in, towpath.EvidenceScan, r.Keys).good
		scans := newestScans(good)
		// Those that are asked for by name are there whatever else scanned it.
		slices.SortStableFunc(scans, func(a, b towpath.Attestation) int {
			return rank(!slices.Contains(r.Tools, a.Scan.Tool)) - rank(!slices.Contains(r.Tools, b.Scan.Tool))
		})
		scans = scans[:min(len(scans), maxRelied)]
		_, vex := closings(*r, scans, good)
		out = append(append(out, scans...), vex...)
	}
	return out
}
