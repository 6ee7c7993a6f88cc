package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// weighed is what a rule makes of scans on some day.
type weighed struct {
	scans    []weighedScan
	bad      []string   // what it does not let pass, as sentences
	excepted []Excepted // what an exception lets pass, each ID once
	closed   []Closed   // what a VEX document closes
}

// weighedScan is what a rule makes of one scan.
type weighedScan struct {
	tool     string
	total    int                   // found, however bad
	bad      []towpath.ScanFinding // that count, and have no exception
	excepted int
	closed   int
	hidden   int // that count, and were left out of the scan
}

// Excepted is a finding that an exception lets pass, by the worst that was found of
// it.
type Excepted struct {
	ID       string           `json:"id"`
	Severity towpath.Severity `json:"severity"`
	Until    string           `json:"until"`
	Reason   string           `json:"reason"`
}

// Closed is a finding that a VEX document closes.
type Closed struct {
	ID            string           `json:"id"`
	Severity      towpath.Severity `json:"severity"`
	In            string           `json:"in,omitempty"`
	Key           towpath.KeyName  `json:"key"` // that signed it
	State         towpath.VEXState `json:"state"`
	Justification string           `json:"justification,omitempty"`
}

// weigh says, of scans and VEX documents that count, which findings are as bad as a
// rule names, which of them are closed, and which have an exception today.
func weigh(rule towpath.ScanRule, good []towpath.Attestation, now time.Time) weighed {
	scans := newestScans(good)
	vex, _ := closings(rule, scans, good)
	today := now.UTC().Format(time.DateOnly)
	var out weighed
	var unseen []string
	for _, a := range scans {
		x := weighedScan{tool: a.Scan.Tool, total: a.Scan.Total, hidden: hidden(rule, a.Scan.Hidden)}
		for _, f := range a.Scan.Findings {
			if f.Severity.Rank() < rule.Severity.Rank() {
				continue
			}
			if c, ok := vex.of(f); ok {
				x.closed++
				out.close(c)
				continue
			}
			e, has := exceptionFor(rule.Exceptions, f.ID)
			if has && e.Until >= today {
				x.excepted++
				out.except(f, e)
				continue
			}
			x.bad = append(x.bad, f)
			text := fmt.Sprintf("%s found %s (%s)%s", x.tool, f.ID, f.Severity, inside(f.In))
			if has {
				text += "; the exception for it ended on " + e.Until
			}
			out.bad = append(out.bad, text+".")
		}
		// Findings has one of each ID that it has room for; what it lacks may have an
		// exception or not.
		if x.hidden > 0 {
			unseen = append(unseen, fmt.Sprintf("%s found %s %s or worse beside those that are kept of a report, so nobody can tell whether they are excepted.",
				x.tool, count(x.hidden, "more thing"), isOrAre(x.hidden, rule.Severity)))
		}
		out.scans = append(out.scans, x)
	}
	slices.Sort(out.bad)
	out.bad = append(unseen, slices.Compact(out.bad)...)
	slices.SortFunc(out.excepted, func(a, b Excepted) int { return strings.Compare(a.ID, b.ID) })
	slices.SortStableFunc(out.closed, func(a, b Closed) int { return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.In, b.In)) })
	return out
}

// close notes that a statement closes a finding.
func (w *weighed) close(c Closed) {
	if !slices.Contains(w.closed, c) {
		w.closed = append(w.closed, c)
	}
}

// except notes that an exception was used.
func (w *weighed) except(f towpath.ScanFinding, e towpath.ScanException) {
	i := slices.IndexFunc(w.excepted, func(x Excepted) bool { return x.ID == f.ID })
	if i < 0 {
		w.excepted = append(w.excepted, Excepted{ID: f.ID, Severity: f.Severity, Until: e.Until, Reason: e.Reason})
	} else if f.Severity.Rank() > w.excepted[i].Severity.Rank() {
		w.excepted[i].Severity = f.Severity
	}
}

// exceptionFor is the exception for an ID; of several the one that ends last.
func exceptionFor(all []towpath.ScanException, id string) (last towpath.ScanException, has bool) {
	for _, e := range all {
		if e.ID == id && (!has || e.Until > last.Until) {
			last, has = e, true
		}
	}
	return last, has
}

// good says, as sentences, why scans pass in which nothing is bad.
func (w weighed) good(rule towpath.ScanRule) []string {
	var out []string
	for _, x := range w.scans {
		n := x.excepted + x.closed
		found := fmt.Sprintf("%s found %s %s or worse", x.tool, count(n, "thing"), isOrAre(n, rule.Severity))
		switch {
		case n == 0:
			found = fmt.Sprintf("%s found %s, none of them %s or worse", x.tool, count(x.total, "thing"), rule.Severity)
		case x.closed == 0:
			found += ", all of them excepted"
		case x.excepted == 0:
			found += ", all of them closed by VEX"
		default:
			found += fmt.Sprintf(", %d of them closed by VEX and %d excepted", x.closed, x.excepted)
		}
		out = append(out, found+".")
	}
	var closed []string
	for _, c := range w.closed {
		why := string(c.State)
		if c.Justification != "" {
			why += ", " + c.Justification
		}
		closed = append(closed, fmt.Sprintf("%s (%s)%s is closed by VEX of %s: %s.", c.ID, c.Severity, inside(c.In), c.Key, why))
	}
	out = append(out, few(slices.Compact(closed), "There are %d more that are closed by VEX.")...)
	var excepted []string
	for _, e := range w.excepted {
		excepted = append(excepted, fmt.Sprintf("%s (%s) is excepted until %s: %s.", e.ID, e.Severity, e.Until, quote(e.Reason)))
	}
	return append(out, few(excepted, "There are %d more that are excepted.")...)
}

// few are the first sentences, and how many more there are.
func few(all []string, more string) []string {
	if n := len(all) - shown; n > 0 {
		return append(slices.Clip(all[:shown]), fmt.Sprintf(more, n))
	}
	return all
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

// Passed is what scans found that a rule would not let pass, and why it did.
type Passed struct {
	Excepted []Excepted `json:"excepted,omitempty"`
	Closed   []Closed   `json:"closed,omitempty"`
	More     int        `json:"more,omitempty"` // that there is no room for
}

// maxPassed bounds what each list of a [Passed] names.
const maxPassed = 100

// PassedWith says which bad findings the gate of scans lets pass; nil when none.
func PassedWith(in Input) *Passed {
	rule := in.Environment.Rules.Gates.Scan
	if rule == nil {
		return nil
	}
	w := weigh(*rule, statements(in, towpath.EvidenceScan, rule.Keys).good, in.Now)
	if len(w.excepted)+len(w.closed) == 0 {
		return nil
	}
	out := &Passed{Excepted: w.excepted[:min(len(w.excepted), maxPassed)], Closed: w.closed[:min(len(w.closed), maxPassed)]}
	out.More = len(w.excepted) + len(w.closed) - len(out.Excepted) - len(out.Closed)
	return out
}
