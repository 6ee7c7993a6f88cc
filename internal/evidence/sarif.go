package evidence

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// sarifRun is what counts of a run: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.
type sarifRun struct {
	Tool struct {
		Driver struct {
			Name  string
			Rules []sarifRule
		}
		Extensions []struct{ Rules []sarifRule } // packs of rules, as CodeQL has them
	}
	Invocations []struct {
		End           time.Time           `json:"endTimeUtc"`
		Successful    *bool               `json:"executionSuccessful"`
		Execution     []sarifNotification `json:"toolExecutionNotifications"`
		Configuration []sarifNotification `json:"toolConfigurationNotifications"`
	}
	Results  *[]sarifResult // nil: nothing was looked for; empty: nothing was found (3.14.23)
	External struct {
		Driver                           json.RawMessage
		Extensions, Invocations, Results []json.RawMessage
	} `json:"externalPropertyFileReferences"`
}

// sarifNotification is what a tool says of its own run.
type sarifNotification struct{ Level string }

// sarifRule is a reporting descriptor.
type sarifRule struct {
	ID         string
	Properties struct {
		Severity json.RawMessage `json:"security-severity"`
		Tags     json.RawMessage
	}
	Default struct{ Level string } `json:"defaultConfiguration"`
}

// sarifResult is a finding, or something that is none.
type sarifResult struct {
	RuleID       string
	RuleIndex    *int
	Rule         sarifReference
	Message      sarifMessage
	Level, Kind  string
	Suppressions []struct{ Status string }
	Locations    []struct {
		PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
	}
}

// sarifReference names a rule of the driver, or of an extension.
type sarifReference struct {
	ID, GUID      string
	Index         *int
	ToolComponent *struct{ Index *int }
}

// sarifMessage is a text, or names one that its rule has.
type sarifMessage struct {
	Text, Markdown, ID string
	Arguments          []string
}

func (m sarifMessage) String() string {
	return cmp.Or(m.Text, m.Markdown, strings.Join(append([]string{m.ID}, m.Arguments...), " "))
}

func readSARIF(b []byte) (Scan, error) {
	var doc struct {
		Runs   []sarifRun
		Inline []json.RawMessage `json:"inlineExternalProperties"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Scan{}, unreadable(err)
	}
	if len(doc.Inline) > 0 {
		return Scan{}, elsewhere("some of the report stands beside its runs, under inlineExternalProperties")
	}
	s := Scan{Format: "sarif"}
	var tools []string
	for _, run := range doc.Runs {
		if err := run.whole(); err != nil {
			return Scan{}, err
		}
		tools = append(tools, run.Tool.Driver.Name)
		for _, i := range run.Invocations {
			if i.End.After(s.Made) {
				s.Made = i.End
			}
			for _, n := range slices.Concat(i.Execution, i.Configuration) {
				if n.Level == "error" {
					s.Errors++
				}
			}
		}
		byID := run.rules()
		for _, r := range *run.Results {
			if r.closed() {
				s.Closed++
				continue
			}
			id := run.idOf(r)
			f := towpath.ScanFinding{ID: named(id, r.Message.String()), Severity: r.severity(rulesOf(id, byID))}
			if id == "" && r.hasRule() {
				f.Severity = towpath.SeverityUnknown
			}
			if len(r.Locations) > 0 {
				f.In = identity(r.Locations[0].PhysicalLocation.ArtifactLocation.URI)
			}
			s.Findings = append(s.Findings, f)
		}
	}
	var err error
	s.Tool, err = theTool(tools)
	return s, err
}

// whole refuses a run that need not list all that its tool would find: one that
// failed, one whose results were not computed, one that is in other files too.
func (run sarifRun) whole() error {
	tool := cmp.Or(short(run.Tool.Driver.Name), "the tool")
	for _, i := range run.Invocations {
		if i.Successful != nil && !*i.Successful {
			return towpath.E(towpath.KindInvalid, opReport, "the report says that %s failed: executionSuccessful is false", tool).
				WithHint("see in the scanner's own output why, have it run to its end, and attach that report")
		}
	}
	if x := run.External; len(x.Results)+len(x.Invocations)+len(x.Extensions) > 0 || x.Driver != nil && string(x.Driver) != "null" {
		return elsewhere("what %s has to say is in other files too (externalPropertyFileReferences), and these are not read", tool)
	}
	if run.Results == nil {
		return towpath.E(towpath.KindInvalid, opReport, "a run of %s has no results: that says that they were not computed, and not that nothing was found", tool).
			WithHint("have the scanner run to its end; where it found nothing, its results are an empty list")
	}
	return nil
}

func elsewhere(format string, args ...any) error {
	return towpath.E(towpath.KindInvalid, opReport, format, args...).WithHint("have the scanner write one file, with the results in its runs")
}

// closed reports whether a result is no finding, or one that the report itself
// takes back. A suppression that was rejected, or is under review still, takes
// nothing back, and beside one of these another does not either.
func (r sarifResult) closed() bool {
	switch r.Kind {
	case "", "fail", "open", "review":
	default:
		return true
	}
	for _, s := range r.Suppressions {
		if s.Status != "" && s.Status != "accepted" {
			return false
		}
	}
	return len(r.Suppressions) > 0
}

// rules are those of the driver and of all extensions, by ID: two may have one
// of the same.
func (run sarifRun) rules() map[string][]sarifRule {
	out := map[string][]sarifRule{}
	add := func(rules []sarifRule) {
		for _, r := range rules {
			out[r.ID] = append(out[r.ID], r)
		}
	}
	add(run.Tool.Driver.Rules)
	for _, e := range run.Tool.Extensions {
		add(e.Rules)
	}
	return out
}

// idOf is the ID of a result's rule, which it says or points at.
func (run sarifRun) idOf(r sarifResult) string {
	if id := cmp.Or(r.RuleID, r.Rule.ID); id != "" {
		return id
	}
	rules := run.Tool.Driver.Rules
	if c := r.Rule.ToolComponent; c != nil {
		if c.Index == nil || *c.Index < 0 || *c.Index >= len(run.Tool.Extensions) {
			return ""
		}
		rules = run.Tool.Extensions[*c.Index].Rules
	}
	i := cmp.Or(r.Rule.Index, r.RuleIndex)
	if i == nil || *i < 0 || *i >= len(rules) {
		return ""
	}
	return rules[*i].ID
}

// hasRule reports whether a result points at a rule, by whatever means.
func (r sarifResult) hasRule() bool {
	if i := cmp.Or(r.Rule.Index, r.RuleIndex); i != nil && *i >= 0 {
		return true
	}
	return r.Rule.GUID != "" || r.Rule.ToolComponent != nil
}

// rulesOf are all that may be the rule with an ID. CA1000/1 is of the rule
// CA1000, unless it has one of its own.
func rulesOf(id string, byID map[string][]sarifRule) []sarifRule {
	for {
		cut := strings.LastIndexByte(id, '/')
		if rules := byID[id]; len(rules) > 0 || cut < 0 {
			return rules
		}
		id = id[:cut]
	}
}

// severity is the worst that any of the rules says of a result.
func (r sarifResult) severity(rules []sarifRule) towpath.Severity {
	if len(rules) == 0 {
		return sarifSeverity(nil, r.Level, "")
	}
	worst := towpath.SeverityLow
	for _, x := range rules {
		s := sarifSeverity(x.Properties.Severity, r.Level, x.Default.Level)
		if x.unrated() {
			s = towpath.SeverityUnknown
		}
		if s.Rank() > worst.Rank() {
			worst = s
		}
	}
	return worst
}

// unrated reports whether a rule is about something that nobody rated. Trivy says so
// in a tag, beside a score of 0.0 and the level "note", which are those of what is
// harmless.
func (r sarifRule) unrated() bool {
	if n, ok := scoreOf(r.Properties.Severity); ok && n > 0 {
		return false
	}
	var tags []any
	_ = json.Unmarshal(r.Properties.Tags, &tags) // other tools have something else there
	return slices.Contains(tags, any("UNKNOWN"))
}

// scoreOf is a CVSS score, as a number or in a text.
func scoreOf(raw json.RawMessage) (float64, bool) {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	return n, err == nil && n >= 0
}

// sarifSeverity is the CVSS score that tools put beside a rule, or else its
// level; a result without level is a warning.
func sarifSeverity(score json.RawMessage, level, standard string) towpath.Severity {
	if n, ok := scoreOf(score); ok {
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
