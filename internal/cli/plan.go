package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

func newPlan(s *session) *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use: "plan RELEASE --to ENV", Short: "Show every gate's verdict and exactly what would change, changing nothing",
		Long: "Exits 0 when every gate allows, 3 when one denies and 5 when one waits.",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if env == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to says into which environment"))
			}
			return s.runPlan(cmd.Context(), api.Promote{Release: args[0], Environment: towpath.EnvironmentName(env)})
		},
	}
	cmd.Flags().StringVar(&env, "to", "", "the environment")
	return cmd
}

func (s *session) runPlan(ctx context.Context, r api.Promote) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	v, err := c.Plan(ctx, project, r)
	if err != nil {
		return s.suggestPromotion(ctx, c, project, r, err)
	}
	err = s.print(result{data: v, names: []string{string(v.Candidate.ID)}, show: func(p *page) { showPreview(p, v) }})
	if err != nil {
		return err
	}
	return outcomeOf(v.Outcome)
}

// outcomeOf is nil when gates allow.
func outcomeOf(o towpath.Outcome) error {
	switch o {
	case towpath.Allow:
		return nil
	case towpath.Deny:
		return outcome(ExitDenied)
	}
	return outcome(ExitWaiting)
}

func showPreview(p *page, v promote.Preview) {
	p.line("%s %s into %s in place %s: %s", p.style.bold(orDash(v.Candidate.Version)), p.style.dim("("+short(v.Candidate.Release)+")"),
		p.style.bold(string(v.Environment)), v.Place, p.style.word(string(v.Outcome)))
	for _, l := range v.Loosens {
		p.line("%s it would loosen a rule in force: %s", p.style.warn("note:"), l)
	}
	p.verdicts(v.Verdicts)
	p.plan(v.Plan)
}

func (p *page) verdicts(verdicts []towpath.Verdict) {
	if len(verdicts) == 0 {
		return
	}
	p.heading("Gates")
	for _, v := range verdicts {
		sign := map[towpath.Outcome]string{
			towpath.Allow: p.style.good("✓"), towpath.Deny: p.style.bad("✗"), towpath.Wait: p.style.warn("…"),
		}[v.Outcome]
		first := ""
		if len(v.Reasons) > 0 {
			first = v.Reasons[0]
		}
		p.line("  %s %-14s %s", sign, v.Gate, first)
		for i, reason := range v.Reasons {
			if i > 0 {
				p.line("    %-14s %s", "", reason)
			}
		}
		if !v.Until.IsZero() && v.Outcome == towpath.Wait {
			p.line("    %-14s %s", "", "may open at "+at(v.Until)+" (in "+span(v.Until.Sub(p.now))+")")
		}
		if v.Hint != "" && v.Outcome != towpath.Allow {
			p.line("    %-14s %s %s", "", p.style.note("hint:"), v.Hint)
		}
	}
}

func (p *page) plan(plan *towpath.Plan) {
	if plan == nil {
		return
	}
	p.heading("Plan " + short(plan.Hash))
	p.components(plan.Components)
}

// components shows what would happen to each, removals last and counted.
func (p *page) components(components []towpath.ComponentPlan) {
	removed := 0
	for _, last := range []bool{false, true} {
		for _, c := range components {
			remove := c.Action == towpath.ActionRemove
			if remove != last {
				continue
			}
			if remove {
				removed++
			}
			p.line("  %s %s %s", p.action(c.Action), c.Component, p.style.dim(actionWord(c)))
			p.changes(c.Changes)
		}
	}
	if removed > 0 {
		p.line("  %s", p.style.bad(plural(removed, "component is removed", "components are removed")))
	}
}

func actionWord(c towpath.ComponentPlan) string {
	switch c.Action {
	case towpath.ActionNone:
		return "unchanged"
	case towpath.ActionReplace:
		return "replace " + short(c.From) + " by " + short(c.To)
	case towpath.ActionCreate:
		return "create " + short(c.To)
	}
	return string(c.Action)
}
