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
	w := weigh(*rule, s.good, in.Now)
	inputs["findings"] = w.bad[:min(len(w.bad), shown)]
	if len(w.excepted) > 0 {
		inputs["excepted"] = w.excepted[:min(len(w.excepted), shown)]
	}
	if len(w.closed) > 0 {
		inputs["closed"] = w.closed[:min(len(w.closed), shown)]
	}
	var open []string
	for _, tool := range missingTools(*rule, newest) {
		open = append(open, fmt.Sprintf("No scan by %s that counts%s is attached to %s.", tool, by(rule.Keys), label(in)))
	}
	for _, a := range newest {
		if old(*rule, a, in.Now) {
			open = append(open, fmt.Sprintf("The last scan by %s is of %s, and it may be at most %s old.", a.Scan.Tool, moment(saidAt(a)), span(rule.MaxAge)))
		}
	}
	open = append(open, few(w.bad, "There are %d more findings.")...)
	if len(open) > 0 {
		return wait(inputs, "promote a release without it, or attach a fresh report, or a VEX document: towpath scan attach REPORT --release "+label(in)+" --key cosign.key; an exception is a rule of the environment",
			append(open, s.remarks...)...)
	}
	return allow(inputs, append(w.good(*rule), s.remarks...)...)
}

// saidAt is when a scan or a VEX document was made: as it says, and never later than
// it is known. Neither can be moved by who does not have the key.
func saidAt(a towpath.Attestation) time.Time {
	var made time.Time
	switch {
	case a.Scan != nil:
		made = a.Scan.Made
	case a.VEX != nil:
		made = a.VEX.Made
	}
	if !made.IsZero() && made.Before(a.First) {
		return made
	}
	return a.First
}

// newestScans is the last scan of each tool, by tool.
func newestScans(all []towpath.Attestation) []towpath.Attestation {
	all = slices.DeleteFunc(slices.Clone(all), func(a towpath.Attestation) bool { return a.Scan == nil })
	slices.SortFunc(all, func(a, b towpath.Attestation) int {
		return cmp.Or(saidAt(a).Compare(saidAt(b)), a.First.Compare(b.First), cmp.Compare(a.Artifact, b.Artifact))
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

// counted are the scans and VEX documents by whose keys a rule goes.
func counted(rule towpath.ScanRule, said []towpath.Attestation) []towpath.Attestation {
	return slices.DeleteFunc(slices.Clone(said), func(a towpath.Attestation) bool {
		return a.Type != towpath.EvidenceScan || !a.Verified() || len(rule.Keys) > 0 && !slices.Contains(rule.Keys, a.Key)
	})
}

// Flagged are the findings of the newest scans that a rule does not let pass
// today, each with the tool that made it, and how many more were left out.
func Flagged(rule towpath.ScanRule, said []towpath.Attestation, now time.Time) (found []Flag, more int) {
	for _, x := range weigh(rule, counted(rule, said), now).scans {
		for _, f := range x.bad {
			found = append(found, Flag{Tool: x.tool, ScanFinding: f})
		}
		more += x.hidden
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
	return few(weigh(rule, counted(rule, said), now).bad, "There are %d more findings.")
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
