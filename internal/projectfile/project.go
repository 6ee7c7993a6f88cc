package projectfile

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// project reads the whole file.
func (r *reader) project(root *node, builders []kind.Builder) *towpath.ProjectSpec {
	o := r.object("", root)
	o.only(append(extensions(o), "version", "project", "naming", "components", "environments",
		"objectives", "requires", "policies", "migrations", "runbooks", "secrets", "pins")...)
	o.need("version", "begin the file with version: 1")
	o.need("project", "give the project a name: project: shop")
	p := &towpath.ProjectSpec{Version: r.version(o), Naming: readNaming(o)}
	if n, ok := o.scalar("project", kindString, "put the name in quotes"); ok {
		r.name(n, "project", n.text)
		p.Project = towpath.ProjectName(n.text)
	}
	for _, key := range []string{"policies", "migrations", "runbooks"} {
		r.folder(o, key, p)
	}
	components := readComponents(o, builders)
	environments := readEnvironments(o)
	p.Objectives = readObjectives(o)
	p.Requires = readRequires(o, p.Project)
	p.Allowed = readSecrets(o)
	p.Exceptions = readPins(o)
	r.checkReferences(components, environments, p.Objectives, o)
	r.checkKinds(components, environments, builders)
	for _, c := range components {
		p.Components = append(p.Components, c.spec)
	}
	slices.SortFunc(p.Components, func(a, b towpath.ComponentSpec) int { return cmp.Compare(a.Name, b.Name) })
	p.Environments = upstreamOrder(environments)
	return p
}

// extensions are the keys that begin with x-, which hold what aliases refer to.
func extensions(o object) []string {
	var out []string
	for _, f := range o.n.fields {
		if strings.HasPrefix(f.key, "x-") {
			out = append(out, f.key)
		}
	}
	return out
}

func (r *reader) version(o object) int {
	n, ok := o.scalar("version", kindInt, "write version: 1")
	if ok && n.text != "1" {
		r.problem(n, "version", fmt.Sprintf("version %s of the file can't be read", n.text), "this towpath reads version 1; a newer one may read yours")
	}
	return 1
}

func readNaming(o object) string {
	n, ok := o.scalar("naming", kindString, "put the pattern in quotes")
	if !ok {
		return ""
	}
	if _, err := regexp.Compile(n.text); err != nil {
		o.r.problem(n, "naming", fmt.Sprintf("%q is no regular expression: %v", n.text, err), "the syntax is RE2's; put it in single quotes")
	}
	return n.text
}

func (r *reader) folder(o object, key string, p *towpath.ProjectSpec) {
	n, ok := o.scalar(key, kindString, "")
	if !ok {
		return
	}
	path := r.path(n, key, n.text)
	switch key {
	case "policies":
		p.Policies = path
	case "migrations":
		p.Migrations = path
	case "runbooks":
		p.Runbooks = path
	}
}

func readRequires(o object, self towpath.ProjectName) []towpath.Requirement {
	var out []towpath.Requirement
	for _, e := range o.list("requires") {
		x := o.r.object(e.path, e.n)
		x.only("project", "component", "versions")
		x.need("project", "name the project that must run in the same environment")
		x.need("versions", `say which versions: ">=1.2 <2"`)
		q := towpath.Requirement{
			Project: towpath.ProjectName(x.str("project", "")), Component: towpath.ComponentName(x.str("component", "")),
			Versions: x.str("versions", ""),
		}
		for key, name := range map[string]string{"project": string(q.Project), "component": string(q.Component)} {
			if n, ok := x.value(key); ok && n.kind == kindString {
				o.r.name(n, x.at(key), name)
			}
		}
		if n, ok := x.value("versions"); ok && n.kind == kindString {
			if _, err := semver.NewConstraint(n.text); err != nil {
				o.r.problem(n, x.at("versions"), fmt.Sprintf("%q is no range of versions", n.text), `write one like ">=1.2 <2"`)
			}
		}
		if q.Project == self && self != "" {
			o.r.problem(e.n, x.at("project"), "a project can't require itself", "its components are always released together")
		}
		if slices.ContainsFunc(out, func(y towpath.Requirement) bool { return y.Project == q.Project && y.Component == q.Component }) {
			o.r.problem(e.n, e.path, "this is required a second time", "put both ranges into one, with a space between them")
		}
		out = append(out, q)
	}
	return out
}
