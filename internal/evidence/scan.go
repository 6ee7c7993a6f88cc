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
}

// MakeScan is the statement of what a scanner found in a release.
func MakeScan(release towpath.Digest, s Scan) ([]byte, error) {
	if s.Findings == nil {
		s.Findings = []towpath.ScanFinding{}
	}
	return Make("", release, TypeScan, s)
}

// ReadReport reads a scanner's report: SARIF 2.1
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/) or CycloneDX with
// vulnerabilities, which VEX documents are too
// (https://cyclonedx.org/capabilities/vex/). It refuses what does not say what
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
	type place struct{ id, in string }
	seen := map[place]bool{}
	return slices.DeleteFunc(all, func(f towpath.ScanFinding) bool {
		p := place{f.ID, f.In}
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
		return strings.Compare(a.ID+"\x00"+a.In, b.ID+"\x00"+b.In)
	})
}

func readCycloneDX(b []byte) (Scan, error) {
	type tool struct{ Name string }
	var doc struct {
		Metadata struct {
			Timestamp time.Time
			Tools     json.RawMessage
		}
		Components []struct {
			Ref           string `json:"bom-ref"`
			Name, Version string
		}
		Vulnerabilities *[]struct {
			ID, Description string
			Ratings         []struct{ Severity string }
			Affects         []struct{ Ref string }
			Analysis        struct{ State string }
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Scan{}, unreadable(err)
	}
	if doc.Vulnerabilities == nil {
		return Scan{}, towpath.E(towpath.KindInvalid, opReport, "the document has no vulnerabilities: that makes it a bill of materials, and not a report that none were found").
			WithHint("have the scanner look for them, as in trivy --format cyclonedx --scanners vuln, grype -o cyclonedx-json; where it found none, the list is there and empty")
	}
	s := Scan{Format: "cyclonedx", Made: doc.Metadata.Timestamp}
	var list []tool // before version 1.5
	var object struct{ Components []tool }
	if json.Unmarshal(doc.Metadata.Tools, &list) != nil {
		_ = json.Unmarshal(doc.Metadata.Tools, &object)
		list = object.Components
	}
	var tools []string
	for _, t := range list {
		if t.Name != "" {
			tools = append(tools, t.Name)
		}
	}
	var err error
	if s.Tool, err = theTool(tools); err != nil {
		return Scan{}, err
	}
	names := map[string]string{}
	for _, c := range doc.Components {
		names[c.Ref] = strings.TrimSpace(c.Name + " " + c.Version)
	}
	for _, v := range *doc.Vulnerabilities {
		switch v.Analysis.State {
		case "resolved", "resolved_with_pedigree", "false_positive", "not_affected":
			s.Closed++
			continue
		}
		worst := towpath.SeverityUnknown
		for i, r := range v.Ratings {
			if x := severityOf(r.Severity); i == 0 || x.Rank() > worst.Rank() {
				worst = x
			}
		}
		id := named(v.ID, v.Description)
		if len(v.Affects) == 0 {
			s.Findings = append(s.Findings, towpath.ScanFinding{ID: id, Severity: worst})
		}
		for _, a := range v.Affects {
			in := names[a.Ref]
			if in == "" {
				in = a.Ref
			}
			s.Findings = append(s.Findings, towpath.ScanFinding{ID: id, Severity: worst, In: identity(in)})
		}
	}
	return s, nil
}

func severityOf(text string) towpath.Severity {
	switch strings.ToLower(text) {
	case "critical":
		return towpath.SeverityCritical
	case "high":
		return towpath.SeverityHigh
	case "medium", "moderate":
		return towpath.SeverityMedium
	case "low", "info", "informational", "none", "negligible":
		return towpath.SeverityLow
	}
	return towpath.SeverityUnknown
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
		s.Findings[i].ID = cmp.Or(f.ID, named("", ""))
		s.Findings[i].Severity = severityOf(string(f.Severity)) // of those that are known
	}
	all := distinct(s.Findings)
	facts := &towpath.ScanFacts{Tool: s.Tool, Made: s.Made, Total: len(all)}
	facts.Findings, facts.Hidden = bounded(all)
	return facts, nil
}

// bounded keeps the worst findings, and says how many IDs, by the worst that
// each has, are not among them.
func bounded(all []towpath.ScanFinding) (kept []towpath.ScanFinding, hidden map[towpath.Severity]int) {
	if len(all) <= keptFindings {
		return all, nil
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
	kept = append(kept, more[:min(len(more), keptFindings-len(kept))]...)
	sortFindings(kept)
	return kept, hidden
}
