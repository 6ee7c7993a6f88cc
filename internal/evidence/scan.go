package evidence

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TypeScan is the type of a statement of what a scanner found in a release.
const TypeScan = "https://towpath.dev/attestation/scan/v1"

// maxScanFindings bounds what one report may list, and keptFindings how many of
// them, the worst, are kept of a statement that is read.
const (
	maxScanFindings = 50_000
	keptFindings    = 500
)

// Scan is what a scanner found, in one form whatever the report's was.
type Scan struct {
	Tool     string                `json:"tool"`
	Format   string                `json:"format"`           // of the report: "sarif" or "cyclonedx"
	Report   towpath.Digest        `json:"report"`           // of its bytes
	Made     time.Time             `json:"made,omitzero"`    // when the report says that it was made; else when it was signed
	Findings []towpath.ScanFinding `json:"findings"`         // by severity, then ID; each ID once in a place
	Closed   int                   `json:"closed,omitempty"` // findings that the report itself calls resolved, false or not exploitable
	Errors   int                   `json:"-"`                // that the tool reports of its own run, which succeeded: it may have missed something
	// Statements are those of a VEX document, which no tool made and which finds nothing.
	Statements []towpath.VEXStatement `json:"-"`
}

// MakeScan is the statement of what a scanner found in a release, or of what a VEX
// document says of it.
func MakeScan(release towpath.Digest, s Scan) ([]byte, error) {
	if len(s.Statements) > 0 {
		return Make("", release, TypeScan, vex{Format: s.Format, Report: s.Report, Made: s.Made, Statements: s.Statements})
	}
	if s.Findings == nil {
		s.Findings = []towpath.ScanFinding{}
	}
	return Make("", release, TypeScan, s)
}

// ReadReport reads a scanner's report: SARIF 2.1
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/) or CycloneDX with
// vulnerabilities. One that no tool made, and that says of each vulnerability in which
// state it is, is a VEX document (https://cyclonedx.org/capabilities/vex/). It refuses what does not say what
// one tool found: a run that failed, results that were not computed or are in
// another file, a bill of materials that lists no vulnerabilities, a file of
// several tools.
func ReadReport(b []byte) (Scan, error) {
	var kind struct {
		Format  string `json:"bomFormat"`
		Version string `json:"version"`
		Runs    *json.RawMessage
	}
	_ = json.Unmarshal(b, &kind) // the version of a CycloneDX document is a number
	var s Scan
	var err error
	switch {
	case kind.Format == "CycloneDX":
		s, err = readCycloneDX(b)
	case kind.Runs != nil && strings.HasPrefix(kind.Version, "2."):
		s, err = readSARIF(b)
	default:
		return s, towpath.E(towpath.KindInvalid, opReport, "the report is neither SARIF 2 nor CycloneDX").
			WithHint("have the scanner write one of them, as in trivy --format sarif, grype -o cyclonedx-json")
	}
	if err != nil {
		return Scan{}, err
	}
	if len(s.Findings) > maxScanFindings {
		return s, towpath.E(towpath.KindExhausted, opReport, "the report lists more than %d findings", maxScanFindings)
	}
	s.Report = towpath.DigestOf(b)
	s.Findings = distinct(s.Findings)
	return s, nil
}

const opReport = "evidence.report"

func unreadable(err error) error {
	return towpath.E(towpath.KindInvalid, opReport, "the report can't be read").WithCause(err)
}

// theTool is the one tool that made a report, of the names that it gives. A
// clean report takes the place of the one before of the same tool, so what
// several found must not be said under the name of one.
func theTool(names []string) (string, error) {
	if len(names) == 0 || slices.Contains(names, "") {
		return "", towpath.E(towpath.KindInvalid, opReport, "the report does not say which tool made it").
			WithHint("a gate takes the newest report of each tool: name it in the report")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 1 {
		return "", towpath.E(towpath.KindInvalid, opReport, "the report is of several tools: %s", short(strings.Join(names, ", "))).
			WithHint("attach what each found by itself, in a file that names that tool alone: the newest report of each tool counts")
	}
	return names[0], nil
}

// named is the ID of a finding, also of one that the report gives none: it
// counts like any other, and has the same ID as long as the same is said of it.
func named(id, said string) string {
	switch {
	case id != "":
		return identity(id)
	case said == "":
		return "unnamed"
	}
	return "unnamed-" + towpath.DigestOf([]byte(said)).Hex()[:12]
}

// distinct leaves the worst of what was found in one place under one ID, the
// worst of all first.
func distinct(all []towpath.ScanFinding) []towpath.ScanFinding {
	sortFindings(all)
	type place struct{ id, in, purl, ref string }
	seen := map[place]bool{}
	return slices.DeleteFunc(all, func(f towpath.ScanFinding) bool {
		p := place{f.ID, f.In, f.PURL, f.Ref}
		was := seen[p]
		seen[p] = true
		return was
	})
}

// sortFindings puts the worst first.
func sortFindings(all []towpath.ScanFinding) {
	slices.SortFunc(all, func(a, b towpath.ScanFinding) int {
		if d := b.Severity.Rank() - a.Severity.Rank(); d != 0 {
			return d
		}
		return cmp.Or(strings.Compare(a.ID+"\x00"+a.In, b.ID+"\x00"+b.In), strings.Compare(a.PURL, b.PURL), strings.Compare(a.Ref, b.Ref))
	})
}

// ReadScan reads what a statement of a scan says; of very many findings the
// worst, and of each ID one before a second of any: rules and their exceptions
// are by ID.
func ReadScan(predicate json.RawMessage) (*towpath.ScanFacts, error) {
	var s Scan
	if err := json.Unmarshal(predicate, &s); err != nil || s.Tool == "" || s.Findings == nil {
		return nil, towpath.E(towpath.KindInvalid, "evidence.scan", "the predicate is no outcome of a scan").WithCause(err)
	}
	for i, f := range s.Findings {
		s.Findings[i] = towpath.ScanFinding{
			ID: named(f.ID, ""), Severity: severityOf(string(f.Severity)), // of those that are known
			In: identity(f.In), PURL: identity(f.PURL), Ref: identity(f.Ref),
		}
	}
	all := distinct(s.Findings)
	facts := &towpath.ScanFacts{Tool: identity(s.Tool), Made: s.Made, Total: len(all)}
	facts.Findings, facts.Hidden = bounded(all)
	return facts, nil
}

// bounded keeps the worst findings, marks those whose ID was found elsewhere too, and
// says how many IDs, by the worst that each has, are not among them.
func bounded(all []towpath.ScanFinding) (kept []towpath.ScanFinding, hidden map[towpath.Severity]int) {
	if len(all) <= keptFindings {
		return slices.Clone(all), nil // without room for those that were there twice
	}
	var more []towpath.ScanFinding // of IDs that came before
	seen := map[string]bool{}
	for _, f := range all {
		switch {
		case seen[f.ID]:
			more = append(more, f)
			continue
		case len(kept) < keptFindings:
			kept = append(kept, f)
		default:
			if hidden == nil {
				hidden = map[towpath.Severity]int{}
			}
			hidden[f.Severity]++
		}
		seen[f.ID] = true
	}
	room := min(len(more), keptFindings-len(kept))
	kept = append(kept, more[:room]...)
	lost := map[string]bool{}
	for _, f := range more[room:] {
		lost[f.ID] = true
	}
	for i, f := range kept {
		kept[i].Elsewhere = lost[f.ID]
	}
	sortFindings(kept)
	return kept, hidden
}
