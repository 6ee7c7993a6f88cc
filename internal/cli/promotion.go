package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newPromotion(s *session) *cobra.Command {
	return s.group("promotion", "List and show promotions", newPromotionList(s), newPromotionShow(s))
}

func newPromotionList(s *session) *cobra.Command {
	var f client.PromotionFilter
	var env string
	cmd := &cobra.Command{
		Use: "list [ENV]", Aliases: []string{"ls"}, Short: "List promotions, newest first", Args: positional(0, 1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if f.Environment, err = environmentOf(cmd, args, env); err != nil {
				return err
			}
			return s.runPromotionList(cmd.Context(), f)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "into this environment only")
	cmd.Flags().BoolVar(&f.Open, "open", false, "only those that have not ended")
	pageFlags(cmd, &f.Page)
	return cmd
}

func (s *session) runPromotionList(ctx context.Context, f client.PromotionFilter) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	list, err := c.Promotions(ctx, project, f)
	if err != nil {
		return err
	}
	if len(list.Items) == 0 {
		if err := s.knownEnvironment(ctx, c, project, f.Environment); err != nil {
			return err
		}
	}
	r := result{data: list, none: "there is no such promotion"}
	r.table.columns = []string{"PROMOTION", "INTO", "VERSION", "PHASE", "BY", "AGE", "REASON", "+DIGEST", "+CANDIDATE", "+DEPLOYMENT"}
	p := page{now: s.apps.Now(), style: s.styled(s.stdout)}
	for _, x := range list.Items {
		r.names = append(r.names, string(x.ID))
		r.table.add(string(x.ID), string(x.Environment), orDash(x.Version), p.style.word(string(x.Phase)), string(x.RequestedBy),
			p.age(x.RequestedAt), x.Reason, short(x.Release), string(x.Candidate), orDash(x.Deployment))
	}
	s.more(list.Next)
	return s.print(r)
}

func newPromotionShow(s *session) *cobra.Command {
	var watch, people bool
	cmd := &cobra.Command{
		Use: "show PROMOTION", Short: "Show a promotion: gates, plan, approvals", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			x, err := c.Promotion(cmd.Context(), towpath.PromotionID(args[0]))
			if err != nil {
				return listed(err, "towpath promotion list")
			}
			if watch {
				return s.watchPromotion(cmd.Context(), c, x, people)
			}
			return s.printPromotion(x)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow until the end")
	cmd.Flags().BoolVar(&people, "through-approval", false, "with --watch: go on while it waits for people")
	return cmd
}

func (s *session) printPromotion(x towpath.Promotion) error {
	return s.print(result{data: x, names: []string{string(x.ID)}, show: func(p *page) { showPromotion(p, x) }})
}

func showPromotion(p *page, x towpath.Promotion) {
	p.field("promotion", string(x.ID))
	p.field("release", orDash(x.Version)+" "+p.style.dim("("+short(x.Release)+", commit "+short(x.Commit)+")"))
	p.field("into", p.style.bold(string(x.Environment)))
	phase := p.style.word(string(x.Phase))
	if x.Reason != "" {
		phase += ": " + x.Reason
	}
	p.field("phase", phase)
	if e := x.Experiment; e != nil {
		p.field("experiment", percent(e.Share)+" of the traffic for "+e.For.String()+", and back: towpath experiment show "+string(x.Environment))
	}
	p.field("requested", at(x.RequestedAt)+" by "+string(x.RequestedBy)+" ("+string(x.Mode)+")")
	p.field("deployment", string(x.Deployment))
	p.verdicts(x.Verdicts)
	if len(x.Approvals) > 0 {
		p.heading("Approvals")
		t := table{columns: []string{"BY", "SAYS", "AGE", "REASON"}}
		for _, a := range x.Approvals {
			says := p.style.good("yes")
			if !a.Approve {
				says = p.style.bad("no")
			}
			if x.Plan != nil && a.PlanHash != x.Plan.Hash || a.PolicyVersion != x.PolicyVersion {
				says += " " + p.style.warn("(lapsed)")
			}
			t.add(string(a.By), says, p.age(a.At), a.Reason)
		}
		p.table(t)
	}
	p.plan(x.Plan)
}
