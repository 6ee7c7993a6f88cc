package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

func newStatus(s *session) *cobra.Command {
	var code bool
	cmd := &cobra.Command{
		Use: "status [ENV]", Short: "Show what runs where: version, age, how far behind, health, hold, active work",
		Args: positional(0, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			env := towpath.EnvironmentName("")
			if len(args) == 1 {
				env = towpath.EnvironmentName(args[0])
			}
			return s.runStatus(cmd.Context(), env, code)
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 2 when an environment has drifted")
	return cmd
}

func (s *session) runStatus(ctx context.Context, env towpath.EnvironmentName, code bool) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	status, err := c.Status(ctx, project, env)
	if err != nil {
		return s.suggestEnvironment(ctx, c, project, env, err)
	}
	r := s.statusResult(status.Environments)
	if len(status.Environments) == 0 {
		if err := s.knownProject(ctx, c, project); err != nil {
			return err
		}
	}
	if env != "" && len(status.Environments) == 1 {
		r.show = func(p *page) { showStatus(p, status.Environments[0]) }
	}
	if err := s.print(r); err != nil {
		return err
	}
	if env == "" && s.flags.output.forPeople() {
		for _, e := range status.Environments {
			if e.Deployment != nil && e.Deployment.Asks {
				s.say("why %s waits for you: towpath status %s", orDash(e.Deployment.Version), e.Environment)
			}
		}
	}
	for _, e := range status.Environments {
		if code && e.Drift.Standing() {
			return outcome(ExitChanges)
		}
	}
	return nil
}

func (s *session) statusResult(environments []inventory.Status) result {
	r := result{data: api.Status{Environments: environments}, none: "the project has no environment yet; publish a release first"}
	r.table.columns = []string{"ENVIRONMENT", "VERSION", "PHASE", "HEALTH", "AGE", "BEHIND", "HOLD", "ACTIVE", "QUEUE", "DRIFT", "+DIGEST", "+COMMIT", "+NEWEST", "+REQUIRES"}
	p := page{now: s.apps.Now(), style: s.styled(s.stdout)}
	for _, e := range environments {
		hold, active := dash, dash
		if e.Hold != nil {
			hold = p.style.warn(e.Hold.Reason)
		}
		if d := e.Deployment; d != nil {
			active = doing(d)
			if d.Asks {
				active = p.style.warn(orDash(d.Version) + " waits for you")
			}
			if len(d.Away) > 0 {
				active += p.style.warn(" (agent away)")
			}
		}
		r.names = append(r.names, string(e.Environment))
		r.table.add(string(e.Environment), version(e), p.style.word(string(e.Phase)), p.style.word(string(e.Health)), p.age(e.Since),
			fmt.Sprint(e.Behind), hold, active, fmt.Sprint(len(e.Queue)), driftWord(&p, e.Drift), short(e.Release), short(e.Commit), orDash(e.Newest), orDash(strings.Join(p.requirements(e.Requires), "; ")))
	}
	return r
}

// instances says how many run, of both revisions while one replaces the other.
func instances(c inventory.ComponentStatus) string {
	if r := c.Replacing; r != nil {
		return fmt.Sprintf("%d of %d new, %d old", r.New, r.Wanted, r.Old)
	}
	return fmt.Sprint(c.Instances)
}

// unseen says what nobody can tell of a rollout that ended, of objectives of a
// component that lack the same at once.
func (p *page) unseen(all []towpath.Unseen) []string {
	var out []string
	said := map[towpath.Unseen]int{}
	var names [][]string
	var firsts []towpath.Unseen
	for _, u := range all {
		same := u
		same.Objective = ""
		i, known := said[same]
		if !known {
			i = len(names)
			said[same] = i
			names, firsts = append(names, nil), append(firsts, u)
		}
		names[i] = append(names[i], u.Objective)
	}
	for i, u := range firsts {
		if u.Unasked {
			out = append(out, fmt.Sprintf("%s was not judged by %s: %s", u.Component, strings.Join(names[i], ", "), u.Why))
			continue
		}
		line := fmt.Sprintf("no evidence of %s of %s when it got all of the traffic: %s", strings.Join(names[i], ", "), u.Component, strings.TrimRight(u.Why, "."))
		if u.By != "" {
			line += fmt.Sprintf(" (%s let it pass)", u.By)
		}
		out = append(out, p.style.warn(line))
	}
	return out
}

// doing is what a deployment is, in a few words.
func doing(d *towpath.Deployment) string {
	if d.Experiment != nil {
		return "experiment with " + orDash(d.Version)
	}
	return fmt.Sprintf("%s of %s", d.Kind, orDash(d.Version))
}

// doingIn is [doing] with where.
func doingIn(d towpath.Deployment) string {
	if d.Experiment != nil {
		return doing(&d) + " in " + string(d.Environment)
	}
	return doing(&d) + " into " + string(d.Environment)
}

// requirements says of each thing that a release needs what runs, and whether
// that will do.
func (p *page) requirements(all []inventory.RequirementStatus) []string {
	var out []string
	for _, r := range all {
		found := p.style.good("✓ " + r.Found)
		if !r.Satisfied {
			found = p.style.bad("✗ " + orNone(r.Found))
		}
		out = append(out, needed(r)+" "+r.Versions+" "+found)
	}
	return out
}

// needed names what a requirement is about.
func needed(r inventory.RequirementStatus) string {
	if r.Component == "" {
		return string(r.Project)
	}
	return string(r.Project) + "/" + string(r.Component)
}

func orNone(version string) string {
	if version == "" {
		return "none runs"
	}
	return version
}

func version(e inventory.Status) string {
	v := orDash(e.Version)
	if e.Quarantined {
		v += " (quarantined)"
	}
	if e.Expired {
		v += " (expired)"
	}
	if len(e.Unbelieved) > 0 {
		v += " (signatures don't count)"
	}
	if n := len(e.Findings); n > 0 {
		v += " (" + plural(n, "finding", "findings") + ")"
	}
	if len(e.Rescans) > 0 {
		v += " (scan due)"
	}
	return v
}

func showStatus(p *page, e inventory.Status) {
	p.field("environment", p.style.bold(string(e.Environment)))
	p.field("version", version(e))
	p.field("release", string(e.Release))
	p.field("commit", string(e.Commit))
	p.field("phase", p.style.word(string(e.Phase)))
	p.field("health", p.style.word(string(e.Health)))
	p.field("drift", driftLine(p, e))
	if !e.Since.IsZero() {
		p.field("since", at(e.Since)+" ("+p.age(e.Since)+")")
	}
	if e.Behind > 0 {
		p.field("behind", plural(e.Behind, "candidate", "candidates")+"; newest is "+orDash(e.Newest))
	}
	if e.Expired {
		p.field("expired", p.style.bad(at(e.Expires)+": the rules take no release that old; promote one with other content"))
	}
	for _, u := range e.Unbelieved {
		p.field("signatures", p.style.bad(u))
	}
	if len(e.Unbelieved) > 0 && e.Quarantine == nil {
		p.line("%-13s no gate lets it in any more: sign it again with a key that is trusted (towpath release build --key), or promote a release that is", "")
	}
	for _, f := range e.Findings {
		p.field("found", p.style.bad(f))
	}
	for _, r := range e.Rescans {
		p.field("scan due", p.style.warn(r))
	}
	if len(e.Rescans) > 0 {
		p.line("%-13s attach a fresh report: towpath scan attach REPORT --release %s --key cosign.key", "", e.Version)
	}
	showWayOut(p, e)
	if e.Doubt != "" {
		p.field("verified", p.style.bad("not any more: "+e.Doubt))
	}
	p.fields("unseen", p.unseen(slices.DeleteFunc(slices.Clone(e.Unseen), func(u towpath.Unseen) bool { return u.Unasked })))
	if e.Proposed != nil {
		p.field("proposed", p.style.warn("nobody has opened it, so nothing is deployed"))
		showRules(p, e.Proposed.Rules)
		p.line("%-13s whoever has the role %s opens it with: towpath open %s", "", towpath.RoleAdmin, e.Environment)
	}
	if h := e.Hold; h != nil {
		p.field("hold", p.style.warn(h.Reason)+" (by "+h.By+", "+p.age(h.At)+" ago)")
		p.line("%-13s lift it with: towpath unhold %s", "", e.Environment)
	}
	if b := e.Branch; b != nil {
		pending := ""
		if b.Pending != "" {
			pending = " " + p.style.warn("("+b.Pending+")")
		}
		p.field("branch", b.Name+pending)
	}
	if len(e.Components) > 0 {
		p.heading("Components")
		t := table{columns: []string{"COMPONENT", "HEALTH", "ADDRESS", "INSTANCES", "SEEN", "DRIFT", "DETAIL", "+REVISION", "+RUNNING"}}
		for _, c := range e.Components {
			t.add(string(c.Component), p.style.word(string(c.Health)), orDash(c.Address), instances(c), p.age(c.Observed),
				driftWord(p, c.Drift), c.Detail, string(c.Revision), orDash(c.Running))
		}
		p.table(t)
		for _, c := range e.Components {
			if c.Preview != "" {
				p.line("%s can be looked at before it has traffic at %s", c.Component, c.Preview)
			}
			if !c.KeptUntil.IsZero() {
				p.line("%s has its revision before running until %s: a rollback starts nothing", c.Component, at(c.KeptUntil))
			}
		}
		if differs(e) {
			p.line("how it differs: towpath drift %s", e.Environment)
		}
	}
	if len(e.Requires) > 0 {
		p.heading("Requires")
		t := table{columns: []string{"NEEDS", "VERSIONS", "RUNS", "COMPATIBLE"}}
		for _, r := range e.Requires {
			compatible := p.style.good("yes")
			if !r.Satisfied {
				compatible = p.style.bad("no")
			}
			t.add(needed(r), r.Versions, orNone(r.Found), compatible)
		}
		p.table(t)
	}
	if d := e.Deployment; d != nil {
		p.heading("Active deployment")
		p.waiting(*d)
		p.tree(*d)
	}
	if len(e.Freezes) > 0 {
		p.heading("Frozen")
		p.table(freezeTable(p, e.Freezes))
	}
	if len(e.Queue) > 0 {
		p.heading("Queue")
		t := table{columns: []string{"PROMOTION", "VERSION", "PHASE", "BY", "AGE", "REASON"}}
		for _, x := range e.Queue {
			t.add(string(x.ID), orDash(x.Version), p.style.word(string(x.Phase)), string(x.RequestedBy), p.age(x.RequestedAt), x.Reason)
		}
		p.table(t)
	}
}

// showWayOut says why what runs, or what comes, is quarantined, and what to do.
func showWayOut(p *page, e inventory.Status) {
	if q := e.Quarantine; q != nil {
		why := q.Reason
		if !e.Quarantined {
			why = "what the rollback brings, which goes on: " + why
		}
		p.field("quarantined", p.style.bad(why)+" (by "+string(q.By)+", "+p.age(q.At)+" ago)")
	}
	switch {
	case e.Rollback != nil:
		p.line("%-13s go back with: towpath rollback %s --to %s", "", e.Environment, e.Rollback.Version)
	case e.Quarantine != nil && e.Deployment != nil && e.Deployment.Kind == towpath.DeploymentRollback && e.Deployment.Release != e.Quarantine.Release:
		// the way back is under way
	case e.Quarantine != nil:
		p.line("%-13s no earlier good release is left to go back to: promote one that is good", "")
	case len(e.Findings) > 0:
		p.line("%-13s go back with: towpath rollback %s", "", e.Environment)
	}
}

// differs reports whether there is something that `towpath drift` shows.
func differs(e inventory.Status) bool {
	for _, c := range e.Components {
		if len(c.Differences) > 0 {
			return true
		}
	}
	return e.Drift.Standing()
}

// driftLine is the drift of an environment in one line: the first difference of
// what most needs a person, and how many more there are.
func driftLine(p *page, e inventory.Status) string {
	first, n := "", 0
	for _, c := range e.Components {
		if n += len(c.Differences); first == "" && c.Drift == e.Drift && len(c.Differences) > 0 {
			first = ": " + string(c.Component) + ": " + c.Differences[0].Sentence
		}
	}
	if n > 1 {
		first += fmt.Sprintf(" (%d more: towpath drift %s)", n-1, e.Environment)
	}
	return driftWord(p, e.Drift) + first
}

// completeEnvironments completes an argument with the project's environments.
func (s *session) completeEnvironments(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, project, err := s.target()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	status, err := c.Status(cmd.Context(), project, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, e := range status.Environments {
		names = append(names, string(e.Environment))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
