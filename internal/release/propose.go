package release

import (
	"context"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

// offer proposes the environments that the release names, and asks all of them to
// look at the candidate. The rules of one that was opened stay as they are in force,
// unless nothing ran in it yet and the release puts it elsewhere.
func offer(ctx context.Context, tx Tx, actor towpath.Actor, content *towpath.ReleaseContent, published towpath.Event) error {
	known, err := tx.Environments(ctx, content.Project)
	if err != nil {
		return err
	}
	if err := bounded(actor, content, known); err != nil {
		return err
	}
	inForce := rulesInForce(content, known)
	for i, e := range content.Environments {
		if !inForce[e.Rules.Name] {
			err = propose(ctx, tx, actor, content.Project, e, i, published)
		}
		if err == nil {
			err = tx.Enqueue(ctx, WorkEnvironment, string(content.Project)+"/"+string(e.Rules.Name), published.At)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openNamed opens what a release names that was published before, where the actor
// may: whoever publishes it again says so again.
func openNamed(ctx context.Context, tx Tx, actor towpath.Actor, content *towpath.ReleaseContent, published towpath.Event) error {
	known, err := tx.Environments(ctx, content.Project)
	if err != nil {
		return err
	}
	inForce := rulesInForce(content, known)
	for i, e := range content.Environments {
		if inForce[e.Rules.Name] || !mayOpen(actor, content.Project, e.Rules) {
			continue
		}
		err := propose(ctx, tx, actor, content.Project, e, i, published)
		if err == nil {
			err = tx.Enqueue(ctx, WorkEnvironment, string(content.Project)+"/"+string(e.Rules.Name), published.At)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bounded refuses a release that proposes more environments than a project may have
// to who can't open them.
func bounded(actor towpath.Actor, content *towpath.ReleaseContent, known []towpath.Environment) error {
	have, proposed := map[towpath.EnvironmentName]bool{}, 0
	for _, k := range known {
		have[k.Name] = true
	}
	for _, e := range content.Environments {
		if !have[e.Rules.Name] && !mayOpen(actor, content.Project, e.Rules) {
			proposed++
		}
	}
	if n := len(known) + proposed; proposed > 0 && n > towpath.MaxProjectEnvironments {
		return towpath.E(towpath.KindExhausted, "release.publish", "with this release the project would have %d environments, opened or only proposed, and at most %d are allowed", n, towpath.MaxProjectEnvironments).
			WithHint("take the new ones out, or let an admin of the project publish it, who opens them by that")
	}
	return nil
}

// rulesInForce are the environments whose rules a release does not change by being
// published.
func rulesInForce(content *towpath.ReleaseContent, known []towpath.Environment) map[towpath.EnvironmentName]bool {
	out := map[towpath.EnvironmentName]bool{}
	for _, k := range known {
		if e, named := content.Environment(k.Name); named {
			out[k.Name] = !takesRules(k, e.Rules.Place)
		}
	}
	return out
}

// takesRules reports whether a release may propose an environment's rules: nobody has
// opened it, or nothing has run in it, nor is about to, where it was opened, and
// the release puts it elsewhere.
func takesRules(env towpath.Environment, place towpath.PlaceName) bool {
	return env.Opened == nil || env.Opened.Place != place && env.Release == "" && env.Active == ""
}

func mayOpen(actor towpath.Actor, p towpath.ProjectName, rules towpath.EnvironmentSpec) bool {
	return access.Check(actor, access.EnvironmentOpen, access.Subject{Project: p, Environment: rules.Name, Place: rules.Place}) == nil
}

// propose registers an environment as a release has it, unless its rules came into
// force meanwhile. Whoever may open it does so by publishing.
func propose(ctx context.Context, tx Tx, actor towpath.Actor, p towpath.ProjectName, e towpath.ReleaseEnvironment, position int, published towpath.Event) error {
	env := towpath.Environment{Project: p, Name: e.Rules.Name, Position: position, Rules: e.Rules, PolicyVersion: gate.PolicyVersion(e.Rules)}
	opens := mayOpen(actor, env.Project, env.Rules)
	if opens {
		env.Opened = &towpath.Opening{Place: env.Rules.Place, By: actor.Account, At: published.At}
	}
	created, err := tx.InsertEnvironment(ctx, env)
	if err != nil {
		return err
	}
	if !created {
		was, err := tx.LockEnvironment(ctx, env.Project, env.Name)
		if err != nil || !takesRules(was, env.Rules.Place) || was.PolicyVersion == env.PolicyVersion && !opens {
			return err
		}
		was.Position, was.Rules, was.PolicyVersion, was.Opened = env.Position, env.Rules, env.PolicyVersion, env.Opened
		if err := tx.SaveEnvironment(ctx, was); err != nil {
			return err
		}
	}
	ev := towpath.NewEvent(published.At, published.Actor, "environment.registered")
	ev.Project, ev.Environment, ev.Subject, ev.Release = env.Project, env.Name, string(env.PolicyVersion), published.Release
	if err := tx.Record(ctx, ev); err != nil || !opens {
		return err
	}
	ev = towpath.NewEvent(published.At, published.Actor, "environment.opened")
	ev.Project, ev.Environment, ev.Subject, ev.Release = env.Project, env.Name, string(env.PolicyVersion), published.Release
	ev.Reason = "in place " + string(env.Rules.Place)
	return tx.Record(ctx, ev)
}
