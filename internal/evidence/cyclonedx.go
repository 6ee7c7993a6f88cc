package evidence

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// cycloneDX is what counts of a document: https://cyclonedx.org/docs/1.6/json/.
type cycloneDX struct {
	Metadata struct {
		Timestamp time.Time
		Tools     json.RawMessage
		Component cycloneDXComponent
	}
	Components      []cycloneDXComponent
	Vulnerabilities *[]cycloneDXVulnerability
}

type cycloneDXComponent struct {
	Ref           string `json:"bom-ref"`
	Name, Version string
	PURL          string `json:"purl"`
	Components    []cycloneDXComponent
}

type cycloneDXVulnerability struct {
	ID, Description string
	Ratings         []struct{ Severity string }
	Affects         []struct {
		Ref      string
		Versions []json.RawMessage
	}
	Analysis struct {
		State         towpath.VEXState
		Justification string
	}
}

// part is a component, as findings and statements name it.
type part struct{ in, purl, ref string }

func readCycloneDX(b []byte) (Scan, error) {
	var doc cycloneDX
	if err := json.Unmarshal(b, &doc); err != nil {
		return Scan{}, unreadable(err)
	}
	if doc.Vulnerabilities == nil {
		return Scan{}, towpath.E(towpath.KindInvalid, opReport, "the document has no vulnerabilities: that makes it a bill of materials, and not a report that none were found").
			WithHint("have the scanner look for them, as in trivy --format cyclonedx --scanners vuln, grype -o cyclonedx-json; where it found none, the list is there and empty")
	}
	s := Scan{Format: "cyclonedx", Made: doc.Metadata.Timestamp}
	tools, some := doc.tools()
	parts := doc.parts()
	var err error
	if !some && doc.isVEX() {
		s.Statements, err = statementsOf(*doc.Vulnerabilities, parts)
		return s, err
	}
	if s.Tool, err = theTool(tools); err != nil {
		return Scan{}, err
	}
	for _, v := range *doc.Vulnerabilities {
		if v.Analysis.State.Closes() {
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
			p := parts.of(a.Ref)
			s.Findings = append(s.Findings, towpath.ScanFinding{ID: id, Severity: worst, In: p.in, PURL: p.purl, Ref: p.ref})
		}
	}
	return s, nil
}

// tools are the names of those that made the document, and whether it says that
// there are any, with or without a name.
func (d cycloneDX) tools() (names []string, some bool) {
	type tool struct{ Name string }
	var list []tool // before version 1.5
	var object struct {
		Components []tool
		Services   []json.RawMessage
	}
	if json.Unmarshal(d.Metadata.Tools, &list) != nil {
		_ = json.Unmarshal(d.Metadata.Tools, &object)
		list = object.Components
	}
	for _, t := range list {
		if t.Name != "" {
			names = append(names, t.Name)
		}
	}
	return names, len(list)+len(object.Services) > 0
}

// isVEX reports whether somebody says of each vulnerability in which state it is.
func (d cycloneDX) isVEX() bool {
	all := *d.Vulnerabilities
	return len(all) > 0 && !slices.ContainsFunc(all, func(v cycloneDXVulnerability) bool { return v.Analysis.State == "" })
}

// parts are the components of a document by their bom-ref.
type parts map[string]part

func (d cycloneDX) parts() parts {
	out := parts{}
	var add func(all []cycloneDXComponent)
	add = func(all []cycloneDXComponent) {
		for _, c := range all {
			add(c.Components)
			if c.Ref == "" {
				continue
			}
			p := part{in: identity(strings.TrimSpace(c.Name + " " + c.Version)), purl: packageURL(c.PURL)}
			if p.purl == "" {
				p.purl = packageURL(c.Ref)
			}
			if p.purl == "" {
				p.ref = identity(c.Ref)
			}
			if was, twice := out[c.Ref]; twice && was != p {
				p = part{in: p.in} // nobody can tell which is meant
			}
			out[c.Ref] = p
		}
	}
	add([]cycloneDXComponent{d.Metadata.Component})
	add(d.Components)
	return out
}

// of is the component that a reference means: one of the document, or one of another
// document by its package URL, also in a link to that (urn:cdx:…#pkg:…).
func (p parts) of(ref string) part {
	if x, ok := p[ref]; ok {
		if x.in == "" {
			x.in = identity(ref)
		}
		return x
	}
	name := ref
	if _, fragment, ok := strings.Cut(ref, "#"); ok && strings.HasPrefix(ref, "urn:cdx:") {
		if plain, err := url.PathUnescape(fragment); err == nil && packageURL(fragment) == "" {
			fragment = plain
		}
		name = fragment
	}
	return part{in: identity(ref), purl: packageURL(name)}
}

// packageURL is a package URL as it is compared: without the number that syft and
// grype give each package of a report. What is none is empty.
func packageURL(text string) string {
	if !strings.HasPrefix(text, "pkg:") {
		return ""
	}
	name, rest, has := strings.Cut(text, "?")
	if !has {
		return identity(text)
	}
	qualifiers, sub, below := strings.Cut(rest, "#")
	kept := slices.DeleteFunc(strings.Split(qualifiers, "&"), func(q string) bool { return strings.HasPrefix(q, "package-id=") })
	if len(kept) > 0 {
		name += "?" + strings.Join(kept, "&")
	}
	if below {
		name += "#" + sub
	}
	return identity(name)
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
