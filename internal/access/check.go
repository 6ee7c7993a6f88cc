package access

import (
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Subject is what a verb is done to. What is empty does not apply: a release
// has no environment, a freeze of everything has no project.
type Subject struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Place       towpath.PlaceName
	Account     towpath.AccountName // whose tokens, for TokenManage
}

// String names the subject for people.
func (s Subject) String() string {
	var parts []string
	if s.Project != "" {
		parts = append(parts, string(s.Project))
	}
	if s.Environment != "" {
		parts = append(parts, string(s.Environment))
	}
	name := strings.Join(parts, "/")
	if s.Place != "" {
		name = strings.TrimSpace(name + " at " + string(s.Place))
	}
	if s.Account != "" {
		name = strings.TrimSpace(name + " account " + string(s.Account))
	}
	if name == "" {
		return "everything"
	}
	return name
}

// Check is nil when the actor may do the verb to the subject. Otherwise it is
// a [*towpath.Error] of KindForbidden that says who may not do what and which
// role would be needed.
//
// A grant covers a subject when each of its project, environment and place is
// empty or equal to the subject's: a grant in one environment does not reach
// what belongs to the whole project, except for reading releases and the like.
func Check(actor towpath.Actor, verb Verb, subject Subject) error {
	r, known := find(verb)
	if !known {
		return towpath.E(towpath.KindForbidden, "access.check", "nobody may do %q", verb).
			On(subject.String()).WithHint("this is a verb that this version of towpath does not know")
	}
	if actor.Account == "" {
		return forbidden(r, "an anonymous caller", subject).
			WithHint("sign in: towpath token create makes a token")
	}
	if isSystem(actor) {
		if r.system {
			return nil
		}
		return forbidden(r, "towpath itself", subject).WithHint("a person with the role %s must do this", oneOf(r.roles))
	}
	if verb == TokenManage && subject.Account == actor.Account {
		return nil
	}
	if len(held(actor, r, subject)) > 0 {
		return nil
	}
	return forbidden(r, string(actor.Account), subject).WithHint("%s", hint(actor, r, subject))
}

// Held lists the roles by which an account may do a verb to a subject, by the same
// rule as [Check]: one that is held at a place only is none of what has no place.
func Held(actor towpath.Actor, verb Verb, subject Subject) []towpath.Role {
	r, _ := find(verb)
	return held(actor, r, subject)
}

func held(actor towpath.Actor, r rule, s Subject) (out []towpath.Role) {
	for _, g := range actor.Grants {
		if slices.Contains(r.roles, g.Role) && covers(g, r, s) {
			out = append(out, g.Role)
		}
	}
	return out
}

// Projects says in which projects the actor may do a verb to what belongs to
// the project as a whole, for lists that filter in SQL; all means every project,
// and names is empty then. It agrees with [Check] of a subject that has a project
// only: a grant at one place, or in one environment of which the verb knows
// nothing, reaches none.
func Projects(actor towpath.Actor, verb Verb) (all bool, names []towpath.ProjectName) {
	r, _ := find(verb)
	if isSystem(actor) {
		return r.system, nil
	}
	if actor.Account == "" {
		return false, nil
	}
	for _, g := range actor.Grants {
		if !slices.Contains(r.roles, g.Role) || !covers(g, r, Subject{Project: g.Project}) {
			continue
		}
		if g.Project == "" {
			return true, nil
		}
		names = append(names, g.Project)
	}
	slices.Sort(names)
	return false, slices.Compact(names)
}

// Somewhere reports whether the actor may do a verb to anything at all, for what
// is about many things: each has its own [Check].
func Somewhere(actor towpath.Actor, verb Verb) bool {
	r, _ := find(verb)
	return isSystem(actor) && r.system ||
		actor.Account != "" && slices.ContainsFunc(actor.Grants, func(g towpath.Grant) bool { return slices.Contains(r.roles, g.Role) })
}

// Scope is where something may be done. The zero Scope is nowhere.
type Scope struct {
	All bool      // everywhere; In is empty then
	In  []Subject // in each a project, an environment of every project, or one of a project
}

// Within says where in a place the actor may do a verb, for lists that filter in
// SQL. What such a list answers is for [Check] to judge all the same.
func Within(actor towpath.Actor, verb Verb, place towpath.PlaceName) (out Scope) {
	r, _ := find(verb)
	if isSystem(actor) {
		return Scope{All: r.system}
	}
	if actor.Account == "" {
		return out
	}
	for _, g := range actor.Grants {
		if !slices.Contains(r.roles, g.Role) || g.Place != "" && g.Place != place {
			continue
		}
		in := Subject{Project: g.Project, Environment: g.Environment}
		if in == (Subject{}) {
			return Scope{All: true}
		}
		if !slices.Contains(out.In, in) {
			out.In = append(out.In, in)
		}
	}
	return out
}

// isSystem: an authenticated account always has a token, so that an account
// which got the system's name is not taken for it.
func isSystem(a towpath.Actor) bool {
	return a.Account == towpath.System().Account && a.Token == "" && len(a.Grants) == 0
}

func covers(g towpath.Grant, r rule, s Subject) bool {
	project := g.Project == "" || g.Project == s.Project || (r.anyProject && s.Project == "")
	environment := g.Environment == "" || g.Environment == s.Environment || (r.anyEnvironment && s.Environment == "")
	place := g.Place == "" || g.Place == s.Place
	return project && environment && place
}

func forbidden(r rule, who string, s Subject) *towpath.Error {
	e := towpath.E(towpath.KindForbidden, "access.check", "%s may not %s", who, r.does).On(s.String())
	e.Fields = map[string]string{"verb": string(r.verb), "roles": joinRoles(r.roles, ",")}
	return e
}

// hint says which role is missing, or that it is held elsewhere.
func hint(actor towpath.Actor, r rule, s Subject) string {
	var elsewhere []string
	for _, g := range actor.Grants {
		if slices.Contains(r.roles, g.Role) {
			scope := Subject{Project: g.Project, Environment: g.Environment, Place: g.Place}
			elsewhere = append(elsewhere, string(g.Role)+" in "+scope.String())
		}
	}
	needed := "it needs the role " + oneOf(r.roles) + " in " + s.String() + "; an admin can grant it"
	if len(elsewhere) == 0 {
		return needed
	}
	slices.Sort(elsewhere)
	return needed + " (" + string(actor.Account) + " is " + strings.Join(slices.Compact(elsewhere), ", ") + " only)"
}

func oneOf(r []towpath.Role) string { return joinRoles(r, " or ") }

func joinRoles(r []towpath.Role, sep string) string {
	s := make([]string, len(r))
	for i := range r {
		s[i] = string(r[i])
	}
	return strings.Join(s, sep)
}
