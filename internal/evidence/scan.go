package evidence

import (
	"encoding/json"
	"slices"
	"strconv"
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
	Made     time.Time             `json:"made,omitzero"`    // when the report says that it was made
	Findings []towpath.ScanFinding `json:"findings"`         // by severity, then ID
	Closed   int                   `json:"closed,omitempty"` // findings that the report itself calls resolved, false or not exploitable
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
// (https://cyclonedx.org/capabilities/vex/).
func ReadReport(b []byte) (Scan, error) {
	const op = "evidence.report"
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
		return s, towpath.E(towpath.KindInvalid, op, "the report is neither SARIF 2 nor CycloneDX").
			WithHint("have the scanner write one of them, as in trivy --format sarif, grype -o cyclonedx-json")
	}
	if err != nil {
		return s, towpath.E(towpath.KindInvalid, op, "the report can't be read").WithCause(err)
	}
	if s.Tool == "" {
		return s, towpath.E(towpath.KindInvalid, op, "the report does not say which tool made it").
			WithHint("a gate takes the newest report of each tool: name it in the report")
	}
	if len(s.Findings) > maxScanFindings {
		return s, towpath.E(towpath.KindExhausted, op, "the report lists more than %d findings", maxScanFindings)
	}
	s.Report = towpath.DigestOf(b)
	sortFindings(s.Findings)
	s.Findings = slices.Compact(s.Findings)
	return s, nil
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
	type named struct{ Name, Version string }
	var doc struct {
		Metadata struct {
			Timestamp time.Time
			Tools     json.RawMessage
		}
		Components []struct {
			Ref           string `json:"bom-ref"`
			Name, Version string
		}
		Vulnerabilities []struct {
			ID       string
			Ratings  []struct{ Severity string }
			Affects  []struct{ Ref string }
			Analysis struct{ State string }
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Scan{}, err
	}
	s := Scan{Format: "cyclonedx", Made: doc.Metadata.Timestamp}
	var list []named // before version 1.5
	var object struct{ Components []named }
	if json.Unmarshal(doc.Metadata.Tools, &list) != nil {
		_ = json.Unmarshal(doc.Metadata.Tools, &object)
		list = object.Components
	}
	for _, t := range list {
		if s.Tool == "" {
			s.Tool = t.Name
		}
	}
	names := map[string]string{}
	for _, c := range doc.Components {
		names[c.Ref] = strings.TrimSpace(c.Name + " " + c.Version)
	}
	for _, v := range doc.Vulnerabilities {
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
		if len(v.Affects) == 0 {
			s.Findings = append(s.Findings, towpath.ScanFinding{ID: short(v.ID), Severity: worst})
		}
		for _, a := range v.Affects {
			in := names[a.Ref]
			if in == "" {
				in = a.Ref
			}
			s.Findings = append(s.Findings, towpath.ScanFinding{ID: short(v.ID), Severity: worst, In: short(in)})
		}
	}
	return s, nil
}

func readSARIF(b []byte) (Scan, error) {
	type rule struct {
		ID         string
		Properties struct {
			Severity json.RawMessage `json:"security-severity"`
		}
		Default struct{ Level string } `json:"defaultConfiguration"`
	}
	var doc struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []rule
				}
			}
			Invocations []struct {
				End time.Time `json:"endTimeUtc"`
			}
			Results []struct {
				RuleID       string
				Level, Kind  string
				Suppressions []json.RawMessage
				Locations    []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Scan{}, err
	}
	s := Scan{Format: "sarif"}
	for _, run := range doc.Runs {
		if s.Tool == "" {
			s.Tool = run.Tool.Driver.Name
		}
		for _, i := range run.Invocations {
			if i.End.After(s.Made) {
				s.Made = i.End
			}
		}
		rules := map[string]rule{}
		for _, r := range run.Tool.Driver.Rules {
			rules[r.ID] = r
		}
		for _, r := range run.Results {
			if len(r.Suppressions) > 0 || r.Kind != "" && r.Kind != "fail" && r.Kind != "open" && r.Kind != "review" {
				s.Closed++
				continue
			}
			f := towpath.ScanFinding{ID: short(r.RuleID), Severity: sarifSeverity(rules[r.RuleID].Properties.Severity, r.Level, rules[r.RuleID].Default.Level)}
			if len(r.Locations) > 0 {
				f.In = short(r.Locations[0].PhysicalLocation.ArtifactLocation.URI)
			}
			s.Findings = append(s.Findings, f)
		}
	}
	return s, nil
}

// sarifSeverity is the CVSS score that tools put beside a rule, or else its
// level; a result without level is a warning.
func sarifSeverity(score json.RawMessage, level, standard string) towpath.Severity {
	if n, err := strconv.ParseFloat(strings.Trim(string(score), `" `), 64); err == nil && n >= 0 {
		switch {
		case n >= 9:
			return towpath.SeverityCritical
		case n >= 7:
			return towpath.SeverityHigh
		case n >= 4:
			return towpath.SeverityMedium
		}
		return towpath.SeverityLow
	}
	if level == "" {
		level = standard
	}
	switch level {
	case "error":
		return towpath.SeverityHigh
	case "warning", "":
		return towpath.SeverityMedium
	case "note", "none":
		return towpath.SeverityLow
	}
	return towpath.SeverityUnknown
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
// worst.
func ReadScan(predicate json.RawMessage) (*towpath.ScanFacts, error) {
	var s Scan
	if err := json.Unmarshal(predicate, &s); err != nil || s.Tool == "" || s.Findings == nil {
		return nil, towpath.E(towpath.KindInvalid, "evidence.scan", "the predicate is no outcome of a scan").WithCause(err)
	}
	for i, f := range s.Findings {
		if f.ID == "" {
			return nil, towpath.E(towpath.KindInvalid, "evidence.scan", "a finding has no ID")
		}
		s.Findings[i].Severity = severityOf(string(f.Severity)) // of those that are known
	}
	sortFindings(s.Findings)
	return &towpath.ScanFacts{Tool: s.Tool, Findings: s.Findings[:min(len(s.Findings), keptFindings)], Total: len(s.Findings)}, nil
}
