package projectfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxIgnore bounds the patterns of files that are no drift.
const maxIgnore = 50

// readDrift reads what is done about drift: a policy, or a map with one.
func readDrift(o object) (towpath.DriftPolicy, *towpath.DriftRules) {
	n, ok := o.value("drift")
	if !ok {
		return towpath.DriftReport, nil
	}
	if n.kind != kindMap {
		return choice(o, "drift", towpath.DriftReport, towpath.DriftReport, towpath.DriftRepair), nil
	}
	x, _ := o.child("drift")
	x.only("mode", "ignore", "debounce", "backoff", "backoffMax", "flapping")
	mode := choice(x, "mode", towpath.DriftReport, towpath.DriftReport, towpath.DriftRepair)
	rules := towpath.DriftRules{
		Ignore:     readIgnore(x),
		Debounce:   x.duration("debounce", 0, time.Second, time.Hour),
		Backoff:    x.duration("backoff", 0, time.Second, 24*time.Hour),
		BackoffMax: x.duration("backoffMax", 0, time.Second, 7*24*time.Hour),
	}
	if f, ok := x.child("flapping"); ok {
		f.only("repairs", "within")
		rules.Repairs = f.integer("repairs", 0, 1, towpath.MaxRepairs)
		rules.Window = f.duration("within", 0, time.Minute, 7*24*time.Hour)
		if at, ok := f.value("within"); ok && rules.Window > 0 {
			n := cmp.Or(rules.Repairs, towpath.DefaultRepairs)
			if least := towpath.LeastWindow(n, rules.Debounce); rules.Window < least {
				x.r.problem(at, f.at("within"), fmt.Sprintf("%d repairs, each after its difference was seen for %s (debounce), hardly come together in %s: the component would be repaired for ever", n, rules.Debounce, rules.Window),
					fmt.Sprintf("let it be at least %s, or the debounce shorter", least))
			}
		}
		if len(f.n.fields) == 0 {
			x.r.problem(f.n, x.at("flapping"), "nothing says how often is too often", "write flapping: {repairs: 3, within: 1h}")
		}
	}
	if at, ok := x.value("backoffMax"); ok && rules.BackoffMax > 0 && rules.BackoffMax < rules.Backoff {
		x.r.problem(at, x.at("backoffMax"), fmt.Sprintf("the longest pause (%s) is shorter than the first one (%s)", rules.BackoffMax, rules.Backoff), "let it be at least as long")
	}
	if rules.Zero() {
		return mode, nil
	}
	return mode, &rules
}

// readIgnore reads the patterns of files that a component's programs write.
func readIgnore(x object) []string {
	var out []string
	for i, e := range x.texts("ignore", true) {
		if i == maxIgnore {
			x.r.problem(e.n, e.path, fmt.Sprintf("there are more than %d patterns", maxIgnore), "name a folder: cache/**")
			break
		}
		p := x.r.glob(e.n, e.path, e.n.text)
		switch {
		case p == "":
		case tooWide(p):
			x.r.problem(e.n, e.path, fmt.Sprintf("%q covers files of any name: nobody would see that one of the release was edited, or added to it", p),
				"name a folder that the component writes into (cache/**) or an ending (*.log)")
		case slices.Contains(out, p):
			x.r.problem(e.n, e.path, fmt.Sprintf("%q stands here a second time", p), "take one out")
		default:
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// tooWide reports whether a pattern covers names that nobody chose for it: one
// that has no letter of its own anywhere covers whatever it likes to.
func tooWide(pattern string) bool {
	for segment := range strings.SplitSeq(pattern, "/") {
		if named(segment) {
			return false
		}
	}
	return true
}

// named reports whether a segment of a pattern asks for something: a letter or
// digit outside of brackets, which say only what one letter may be.
func named(segment string) bool {
	class := false
	for i := 0; i < len(segment); i++ {
		switch c := segment[i]; {
		case c == '[':
			class = true
		case c == ']' && class:
			class = false
		case class, c == '*', c == '?', c == '.', c == '-', c == '_':
		default:
			return true
		}
	}
	return false
}
