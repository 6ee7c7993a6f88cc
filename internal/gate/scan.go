package gate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// scan wants fresh outcomes of scans without bad findings. It waits rather than
// denies: a scanner may say something else tomorrow, and the rules may make an
// exception.
func scan(in Input) finding {
	rule := in.Environment.Rules.Gates.Scan
	inputs := map[string]any{"rule": rule}
	if rule == nil {
		return allow(inputs, fmt.Sprintf("%s asks for no scans.", in.Environment.Name))
	}
	s := statements(in, towpath.EvidenceScan, rule.Keys)
	inputs["seen"] = s.seen
	newest := newestScans(s.good)
	bad, good := weigh(*rule, newest, in.Now)
	inputs["findings"] = bad[:min(len(bad), shown)]
	var open []string
	for _, tool := range missingTools(*rule, newest) {
		open = append(open, fmt.Sprintf("No scan by %s that counts%s is attached to %s.", tool, by(rule.Keys), label(in)))
	}
	for _, a := range newest {
		if age := in.Now.Sub(scanned(a)); rule.MaxAge > 0 && age > rule.MaxAge {
			open = append(open, fmt.Sprintf("The last scan by %s is of %s, and it may be at most %s old.", a.Scan.Tool, moment(scanned(a)), span(rule.MaxAge)))
		}
	}
	for i, f := range bad {
		if i == shown {
			open = append(open, fmt.Sprintf("There are %d more findings.", len(bad)-shown))
			break
		}
		open = append(open, f)
	}
	if len(open) > 0 {
		return wait(inputs, "promote a release without it, or attach a fresh report: towpath scan attach REPORT --release "+label(in)+" --key cosign.key; an exception is a rule of the environment",
			append(open, s.remarks...)...)
	}
	return allow(inputs, append(good, s.remarks...)...)
}

// scanned is when a scan was made: as its report says, and never later than it
// is known. Neither can be moved by who does not have the scanner's key.
func scanned(a towpath.Attestation) time.Time {
	if made := a.Scan.Made; !made.IsZero() && made.Before(a.First) {
		return made
	}
	return a.First
}

// newestScans is the last scan of each tool, by tool.
func newestScans(all []towpath.Attestation) []towpath.Attestation {
	all = slices.DeleteFunc(slices.Clone(all), func(a towpath.Attestation) bool { return a.Scan == nil })
	slices.SortFunc(all, func(a, b towpath.Attestation) int {
		return cmp.Or(scanned(a).Compare(scanned(b)), a.First.Compare(b.First), cmp.Compare(a.Artifact, b.Artifact))
	})
	last := map[string]towpath.Attestation{}
	for _, a := range all {
		last[a.Scan.Tool] = a
	}
	out := make([]towpath.Attestation, 0, len(last))
	for _, a := range last {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b towpath.Attestation) int { return cmp.Compare(a.Scan.Tool, b.Scan.Tool) })
	return out
}

// FlagRule is by what the findings about what runs are judged: the rule of the
// environment, or without one that what is high or worse counts.
func FlagRule(rule *towpath.ScanRule) towpath.ScanRule {
	if rule == nil {
		return towpath.ScanRule{Severity: towpath.SeverityHigh}
	}
	return *rule
}

// counted are the scans by whose keys a rule goes.
func counted(rule towpath.ScanRule, said []towpath.Attestation) []towpath.Attestation {
	return slices.DeleteFunc(slices.Clone(said), func(a towpath.Attestation) bool {
		return a.Type != towpath.EvidenceScan || !a.Verified() || len(rule.Keys) > 0 && !slices.Contains(rule.Keys, a.Key)
	})
}

// Flagged are the findings of the newest scans that a rule does not let pass
// today, each with the tool that made it, and how many more were left out.
func Flagged(rule towpath.ScanRule, said []towpath.Attestation, now time.Time) (found []Flag, more int) {
	today := now.UTC().Format(time.DateOnly)
	for _, a := range newestScans(counted(rule, said)) {
		for _, f := range a.Scan.Findings {
			excepted := slices.ContainsFunc(rule.Exceptions, func(e towpath.ScanException) bool { return e.ID == f.ID && e.Until >= today })
			if f.Severity.Rank() >= rule.Severity.Rank() && !excepted {
				found = append(found, Flag{Tool: a.Scan.Tool, ScanFinding: f})
			}
		}
		more += hidden(rule, a.Scan.Hidden)
	}
	return found, more
}

// Flag is a finding with the tool that made it.
type Flag struct {
	Tool string
	towpath.ScanFinding
}

// Findings says, as sentences, which findings about what runs in an environment
// its rules would not let pass today; age and tools are for the way in only.
func Findings(rule towpath.ScanRule, said []towpath.Attestation, now time.Time) []string {
	bad, _ := weigh(rule, newestScans(counted(rule, said)), now)
	if n := len(bad) - shown; n > 0 {
		bad = append(bad[:shown], fmt.Sprintf("There are %d more findings.", n))
	}
	return bad
}

// missingTools are those that must have scanned the release and did not.
func missingTools(rule towpath.ScanRule, newest []towpath.Attestation) []string {
	if len(rule.Tools) == 0 && len(newest) == 0 {
		return []string{"any scanner"}
	}
	var out []string
	for _, tool := range rule.Tools {
		if !slices.ContainsFunc(newest, func(a towpath.Attestation) bool { return a.Scan.Tool == tool }) {
			out = append(out, tool)
		}
	}
	return out
}

// weigh says, as sentences, which findings are as bad as a rule names and have
// no exception today, and what else there is to say of the scans.
func weigh(rule towpath.ScanRule, scans []towpath.Attestation, now time.Time) (bad, good []string) {
	today := now.UTC().Format(time.DateOnly)
	var unseen []string
	for _, a := range scans {
		counted, excepted := 0, 0
		for _, f := range a.Scan.Findings {
			if f.Severity.Rank() < rule.Severity.Rank() {
				continue
			}
			counted++
			i := slices.IndexFunc(rule.Exceptions, func(e towpath.ScanException) bool { return e.ID == f.ID })
			switch {
			case i >= 0 && rule.Exceptions[i].Until >= today:
				excepted++
			case i >= 0:
				bad = append(bad, fmt.Sprintf("%s found %s (%s)%s; the exception for it ended on %s.", a.Scan.Tool, f.ID, f.Severity, inside(f.In), rule.Exceptions[i].Until))
			default:
				bad = append(bad, fmt.Sprintf("%s found %s (%s)%s.", a.Scan.Tool, f.ID, f.Severity, inside(f.In)))
			}
		}
		// Findings has one of each ID that it has room for; what it lacks may have an
		// exception or not.
		if n := hidden(rule, a.Scan.Hidden); n > 0 {
			unseen = append(unseen, fmt.Sprintf("%s found %s %s or worse beside those that are kept of a report, so nobody can tell whether they are excepted.",
				a.Scan.Tool, count(n, "more thing"), isOrAre(n, rule.Severity)))
		}
		text := fmt.Sprintf("%s found %s, none of them %s or worse.", a.Scan.Tool, count(a.Scan.Total, "thing"), rule.Severity)
		if excepted > 0 {
			text = fmt.Sprintf("%s found %s %s or worse, all of them excepted.", a.Scan.Tool, count(counted, "thing"), isOrAre(counted, rule.Severity))
		}
		good = append(good, text)
	}
	slices.Sort(bad)
	return append(unseen, slices.Compact(bad)...), good
}

// hidden counts what a rule means among what was left out.
func hidden(rule towpath.ScanRule, all map[towpath.Severity]int) int {
	n := 0
	for s, of := range all {
		if s.Rank() >= rule.Severity.Rank() {
			n += of
		}
	}
	return n
}

func isOrAre(n int, s towpath.Severity) string {
	if n == 1 {
		return "that is " + string(s)
	}
	return "that are " + string(s)
}

func inside(where string) string {
	if where == "" {
		return ""
	}
	return " in " + where
}
