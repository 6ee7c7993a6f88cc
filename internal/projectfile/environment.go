package projectfile

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxEnvironments bounds the environments of one project.
const maxEnvironments = 100

// environment is an environment that was read, and where it stands.
type environment struct {
	spec     towpath.EnvironmentSpec
	path     string
	at       *node
	from     *node // may be nil
	branch   *node // may be nil
	settings []entry
}

func readEnvironments(o object) []environment {
	var out []environment
	for _, e := range o.named("environments", maxEnvironments) {
		if e.n.kind == kindNull { // dev: and nothing below is an environment with every default
			e.n = &node{kind: kindMap, line: e.at.line, column: e.at.column}
		}
		out = append(out, readEnvironment(o.r, e))
	}
	return out
}

func readEnvironment(r *reader, e entry) environment {
	o := r.object(e.path, e.n)
	o.only("branch", "from", "promotion", "place", "account", "region", "gates", "retention", "rollout", "concurrent", "watch", "components")
	out := environment{path: e.path, at: e.at}
	s := &out.spec
	s.Name = towpath.EnvironmentName(e.key)
	s.Place = towpath.PlaceName(o.str("place", "local"))
	if n, ok := o.value("place"); ok && n.kind == kindString {
		r.name(n, o.at("place"), n.text)
	}
	s.Account = label[towpath.CloudAccount](o, "account")
	s.Region = label[towpath.Region](o, "region")
	if n, ok := o.scalar("branch", kindString, "put the name in quotes"); ok {
		out.branch, s.Branch = n, r.branch(n, o.at("branch"))
	}
	if n, ok := o.scalar("from", kindString, ""); ok {
		out.from, s.From = n, towpath.EnvironmentName(n.text)
	}
	s.Gates = readGates(o)
	s.Promotion = choice(o, "promotion", defaultMode(*s), towpath.PromotionAutomatic, towpath.PromotionManual)
	s.Retention = readRetention(o)
	s.Rollout = choice(o, "rollout", "", towpath.StrategyBlueGreen, towpath.StrategyAllAtOnce)
	s.Concurrent = o.integer("concurrent", 0, 1, 1000)
	if _, ok := o.value("watch"); ok {
		watch := o.duration("watch", towpath.DefaultWatch, 0, 7*24*time.Hour)
		s.Watch = &watch
	}
	if x, ok := o.child("components"); ok {
		for _, f := range x.n.fields {
			out.settings = append(out.settings, entry{path: x.at(f.key), key: f.key, n: f.value, at: &node{line: f.line, column: f.column}})
		}
	}
	return out
}

var labelPattern = regexp.MustCompile(towpath.LabelPattern)

// label is the name of an account or a region; numbers of accounts may begin with
// zeros, and so are strings.
func label[T ~string](o object, key string) T {
	n, ok := o.scalar(key, kindString, "put it in quotes: an account's number is a name")
	if !ok {
		return ""
	}
	if !labelPattern.MatchString(n.text) {
		o.r.problem(n, o.at(key), fmt.Sprintf("%q does not name an account or a region", n.text), "use up to 63 letters, digits, dots, colons, dashes and underscores, as in eu-west-1")
		return ""
	}
	return T(n.text)
}

// defaultMode: what comes from another environment and needs approvals is for
// a person to begin, the rest goes by itself.
func defaultMode(s towpath.EnvironmentSpec) towpath.PromotionMode {
	if s.From != "" && s.Gates.Approvals != nil {
		return towpath.PromotionManual
	}
	return towpath.PromotionAutomatic
}

func readRetention(o object) towpath.RetentionRule {
	rule := towpath.RetentionRule{Keep: 10, Age: 720 * time.Hour}
	x, ok := o.child("retention")
	if !ok {
		return rule
	}
	x.only("keep", "age")
	rule.Keep = x.integer("keep", rule.Keep, 1, 10_000)
	rule.Age = x.duration("age", rule.Age, 0, 20*365*24*time.Hour)
	return rule
}

// badBranch is what git check-ref-format refuses in the name of a branch.
var badBranch = regexp.MustCompile(`^[-/.]|[/.]$|\.lock$|\.\.|//|/\.|\.lock/|@\{|[\x00-\x20\x7f~^:?*\[\\]|^@$`)

func (r *reader) branch(n *node, path string) string {
	if n.text == "" || badBranch.MatchString(n.text) {
		r.problem(n, path, fmt.Sprintf("%q is no name of a branch", n.text), "name a branch such as main; for none leave branch out")
		return ""
	}
	if strings.HasPrefix(n.text, "refs/") {
		r.problem(n, path, fmt.Sprintf("%q is the name of a ref", n.text), "name the branch alone: "+strings.TrimPrefix(n.text, "refs/heads/"))
		return ""
	}
	return n.text
}
