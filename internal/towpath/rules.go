package towpath

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Fault is what is wrong with a rule of an environment. Whoever writes the rule, in
// towpath.yaml, and whoever takes a release in find the same ones.
type Fault struct {
	Path    string // from the environment on: "gates.windows[0].timezone"; empty: the rule itself
	Message string
	Hint    string // what to do; may be empty
}

// Bounds of the rules of environments.
const (
	MaxEnvironments = 100 // of a release
	MaxComponents   = 200 // of a release
	MaxObjectives   = 50  // of a component
	MaxConcurrent   = 1000
	// MaxProjectEnvironments is how many a project may have, opened or proposed.
	MaxProjectEnvironments = 200
	MaxWatch               = 7 * 24 * time.Hour
	MaxKeep                = 10_000 // releases
	MaxRetention           = 20 * 365 * 24 * time.Hour
	MaxSoak                = 90 * 24 * time.Hour
	MaxAge                 = 10 * 365 * 24 * time.Hour
	MaxApprovals           = 20
	MaxSignatures          = 20
	MaxWindows             = 50
	MaxListed              = 500 // names, keys or patterns in one list of a gate
	MinScanAge             = time.Hour
	MaxScanAge             = 365 * 24 * time.Hour
)

// maxText is the longest text in a rule, in bytes.
const maxText = 500

var (
	namePattern  = regexp.MustCompile(NamePattern)
	labelPattern = regexp.MustCompile(LabelPattern)
	// badBranch is what git check-ref-format refuses in the name of a branch.
	badBranch = regexp.MustCompile(`^[-/.]|[/.]$|\.lock$|\.\.|//|/\.|\.lock/|@\{|[\x00-\x20\x7f~^:?*\[\\]|^@$`)
)

// NameFault is what is wrong with a name that people choose, nil when nothing is.
func NameFault(name string) *Fault {
	if namePattern.MatchString(name) {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%q is no name", short(name)), Hint: "use up to 63 small letters, digits and dashes, beginning with a letter"}
}

// LabelFault is what is wrong with the name of an account or a region.
func LabelFault(label string) *Fault {
	if labelPattern.MatchString(label) {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%q does not name an account or a region", short(label)),
		Hint: "use up to 63 letters, digits, dots, colons, dashes and underscores, as in eu-west-1"}
}

// BranchFault is what is wrong with the name of an environment's branch.
func BranchFault(branch string) *Fault {
	switch {
	case branch == "" || len(branch) > maxText || badBranch.MatchString(branch) || !OneLine(branch):
		return &Fault{Message: fmt.Sprintf("%q is no name of a branch", short(branch)), Hint: "name a branch such as main; for none leave branch out"}
	case strings.HasPrefix(branch, "refs/"):
		return &Fault{Message: fmt.Sprintf("%q is the name of a ref", branch), Hint: "name the branch alone: " + strings.TrimPrefix(branch, "refs/heads/")}
	}
	return nil
}

// TextFault is what is wrong with a text that people read on a page beside others.
func TextFault(text string) *Fault {
	if strings.TrimSpace(text) == "" || len(text) > maxText || !OneLine(text) {
		return &Fault{Message: fmt.Sprintf("%q is no text of one line", short(text)),
			Hint: fmt.Sprintf("write it on one line, with at most %d bytes and without control characters", maxText)}
	}
	return nil
}

// OneLine reports whether a text is one line, and has no character that drives a
// terminal.
func OneLine(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) < 0
}

// short is a text from outside, short enough for a message.
func short(text string) string {
	const most = 120
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// faults collects what is wrong.
type faults []Fault

// at adds a fault, if there is one, at a path.
func (f *faults) at(path string, x *Fault) {
	if x != nil {
		*f = append(*f, Fault{Path: path, Message: x.Message, Hint: x.Hint})
	}
}

func (f *faults) say(path, format string, args ...any) {
	*f = append(*f, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// within wants a number, or a time, between two.
func within[T int | time.Duration](f *faults, path string, v, least, most T) {
	if v < least || v > most {
		f.say(path, "%v is not between %v and %v", v, least, most)
	}
}

// optional is [within] for what is 0 when nothing is said.
func optional[T int | time.Duration](f *faults, path string, v, least, most T) {
	if v != 0 {
		within(f, path, v, least, most)
	}
}

// oneOf wants one of a few words.
func oneOf[T ~string](f *faults, path string, v T, known ...T) {
	if !slices.Contains(known, v) {
		f.say(path, "%q is not known", short(string(v)))
	}
}

// each wants every member of a list to be right, and there once.
func each[T ~string](f *faults, path string, list []T, fault func(string) *Fault) {
	if len(list) > MaxListed {
		f.say(path, "there are %d of them, and at most %d are allowed", len(list), MaxListed)
		return
	}
	seen := map[T]bool{}
	for i, x := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		f.at(at, fault(string(x)))
		if seen[x] {
			f.say(at, "%q stands here a second time", short(string(x)))
		}
		seen[x] = true
	}
}

// Faults is everything that is wrong with the rules of an environment by
// themselves; what they say of other environments is not looked at. The settings of
// components are their kinds'.
func (e EnvironmentSpec) Faults() []Fault {
	var f faults
	f.at("", NameFault(string(e.Name)))
	f.at("place", NameFault(string(e.Place)))
	if e.Account != "" {
		f.at("account", LabelFault(string(e.Account)))
	}
	if e.Region != "" {
		f.at("region", LabelFault(string(e.Region)))
	}
	if e.Branch != "" {
		f.at("branch", BranchFault(e.Branch))
	}
	if e.From != "" {
		f.at("from", NameFault(string(e.From)))
	}
	oneOf(&f, "promotion", e.Promotion, PromotionAutomatic, PromotionManual)
	oneOf(&f, "rollout", e.Rollout, "", StrategyBlueGreen, StrategyAllAtOnce)
	optional(&f, "concurrent", e.Concurrent, 1, MaxConcurrent)
	if e.Watch != nil {
		within(&f, "watch", *e.Watch, 0, MaxWatch)
	}
	optional(&f, "retention.keep", e.Retention.Keep, 1, MaxKeep)
	within(&f, "retention.age", e.Retention.Age, 0, MaxRetention)
	e.Gates.faults(&f)
	if e.Gates.Soak > 0 && e.From == "" {
		f.at("gates.soak", SoakFault())
	}
	return f
}

// SoakFault is the fault of an environment that wants what comes from nowhere to
// have run there.
func SoakFault() *Fault {
	return &Fault{Message: "there is no environment to soak in", Hint: "say where candidates come from, as in from: staging, or take soak out"}
}
