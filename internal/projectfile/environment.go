package projectfile

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

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
	for _, e := range o.named("environments", towpath.MaxEnvironments) {
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
		out.branch, s.Branch = n, n.text
		r.fault(n, o.at("branch"), towpath.BranchFault(n.text))
	}
	if n, ok := o.scalar("from", kindString, ""); ok {
		out.from, s.From = n, towpath.EnvironmentName(n.text)
	}
	s.Gates = readGates(o)
	s.Promotion = choice(o, "promotion", defaultMode(*s), towpath.PromotionAutomatic, towpath.PromotionManual)
	s.Retention = readRetention(o)
	s.Rollout = choice(o, "rollout", "", towpath.StrategyBlueGreen, towpath.StrategyAllAtOnce)
	s.Concurrent = o.integer("concurrent", 0, 1, towpath.MaxConcurrent)
	if _, ok := o.value("watch"); ok {
		watch := o.duration("watch", towpath.DefaultWatch, 0, towpath.MaxWatch)
		s.Watch = &watch
	}
	if x, ok := o.child("components"); ok {
		for _, f := range x.n.fields {
			out.settings = append(out.settings, entry{path: x.at(f.key), key: f.key, n: f.value, at: &node{line: f.line, column: f.column}})
		}
	}
	return out
}

// label is the name of an account or a region; numbers of accounts may begin with
// zeros, and so are strings.
func label[T ~string](o object, key string) T {
	n, ok := o.scalar(key, kindString, "put it in quotes: an account's number is a name")
	if !ok {
		return ""
	}
	o.r.fault(n, o.at(key), towpath.LabelFault(n.text))
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
	rule.Keep = x.integer("keep", rule.Keep, 1, towpath.MaxKeep)
	rule.Age = x.duration("age", rule.Age, 0, towpath.MaxRetention)
	return rule
}
