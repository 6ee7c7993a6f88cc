package projectfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// component is a component that was read, and where it stands.
type component struct {
	spec    towpath.ComponentSpec
	path    string
	at      *node   // its key
	depends []entry // of dependsOn
	section *node   // of its kind; may be nil
}

func readComponents(o object, builders []kind.Builder) []component {
	var out []component
	for _, e := range o.named("components", towpath.MaxComponents) {
		out = append(out, readComponent(o.r, e, builders))
	}
	return out
}

func readComponent(r *reader, e entry, builders []kind.Builder) component {
	o := r.object(e.path, e.n)
	kinds := kindNames(builders)
	keys := []string{"kind", "path", "inputs", "build", "uses", "dependsOn", "rollout", "drift"}
	for _, k := range kinds {
		keys = append(keys, string(k))
	}
	o.only(keys...)
	if e.n.kind == kindMap {
		o.n = &node{kind: kindMap, line: e.at.line, column: e.at.column, fields: e.n.fields}
		o.need("kind", "say what runs it: "+didyoumean.Hint("", kinds))
		o.need("path", "say where its files are, relative to the root of the repository: path: "+e.key)
	}
	c := component{path: e.path, at: e.at, spec: towpath.ComponentSpec{
		Name:   towpath.ComponentName(e.key),
		Kind:   choice(o, "kind", "", kinds...),
		Inputs: o.paths("inputs"),
		Build:  readBuild(o),
		Uses:   readUses(o),
	}}
	c.spec.Drift, c.spec.DriftRules = readDrift(o)
	c.spec.Rollout = readRollout(o)
	if n, ok := o.scalar("path", kindString, ""); ok {
		c.spec.Path = r.path(n, o.at("path"), n.text)
	}
	c.depends = o.texts("dependsOn", true)
	for _, d := range c.depends {
		c.spec.DependsOn = append(c.spec.DependsOn, towpath.ComponentName(d.n.text))
	}
	slices.Sort(c.spec.DependsOn)
	for _, k := range kinds {
		n, ok := o.value(string(k))
		switch {
		case !ok:
		case k == c.spec.Kind:
			c.section, c.spec.Spec = n, n.json()
		case c.spec.Kind != "":
			r.problem(n, o.at(string(k)), fmt.Sprintf("the component is of kind %s and has a section for %s", c.spec.Kind, k), "take the section out, or change the kind")
		}
	}
	return c
}

func kindNames(builders []kind.Builder) []towpath.ComponentKind {
	var out []towpath.ComponentKind
	for _, b := range builders {
		out = append(out, b.Kind())
	}
	slices.Sort(out)
	return out
}

var buildEnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func readBuild(o object) *towpath.BuildSpec {
	x, ok := o.child("build")
	if !ok {
		return nil
	}
	x.only("command", "env", "outputs")
	x.need("command", "name the program and its arguments: command: [make, api]")
	b := &towpath.BuildSpec{Outputs: x.paths("outputs")}
	for _, e := range x.texts("command", false) {
		b.Command = append(b.Command, e.n.text)
	}
	if n, ok := x.value("command"); ok && n.kind == kindList && (len(n.items) == 0 || (len(b.Command) > 0 && b.Command[0] == "")) {
		o.r.problem(n, x.at("command"), "the command is empty", "name the program and its arguments: [make, api]")
	}
	env, ok := x.child("env")
	if !ok {
		return b
	}
	b.Env = map[string]string{}
	for _, f := range env.n.fields {
		at := &node{line: f.line, column: f.column}
		switch {
		case !buildEnvName.MatchString(f.key):
			o.r.problem(at, env.at(f.key), fmt.Sprintf("%q is no name of an environment variable", f.key), "use letters, digits and underscores, not beginning with a digit")
		case f.key == "SOURCE_DATE_EPOCH" || strings.HasPrefix(f.key, "TOWPATH_"):
			o.r.problem(at, env.at(f.key), f.key+" is set by towpath", "take it out; SOURCE_DATE_EPOCH and TOWPATH_* are reserved")
		default:
			b.Env[f.key] = env.str(f.key, "")
		}
	}
	return b
}
