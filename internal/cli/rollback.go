package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type rollbackOptions struct {
	env        towpath.EnvironmentName
	request    api.Rollback
	watch, yes bool
}

func newRollback(s *session) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use: "rollback ENV", Short: "Take an environment back to the last good release, or a named one",
		Long: "Deploys an earlier verified release, code and settings together. It pre-empts what is active; windows and freezes " +
			"never block it. It sets a hold: promotion goes on after towpath unhold.",
		Example: "  towpath rollback prod --dry-run\n  towpath rollback prod --reason 'errors at checkout' --watch",
		Args:    positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.env = towpath.EnvironmentName(args[0])
			return s.runRollback(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.request.To, "to", "", "a release (default: the last good one before what runs)")
	f.StringVar(&o.request.Reason, "reason", "", "why; shown with the hold and kept in the ledger")
	f.BoolVar(&o.request.DryRun, "dry-run", false, "say what would be done, do nothing")
	f.BoolVarP(&o.watch, "watch", "w", false, "follow until the end")
	f.BoolVarP(&o.yes, "yes", "y", false, "don't ask")
	return cmd
}

func (s *session) runRollback(ctx context.Context, o rollbackOptions) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	if !o.request.DryRun && !o.yes && guarded(ctx, c, project, o.env, "") {
		if s.interactive() {
			dry := o.request
			dry.DryRun = true
			r, err := c.Rollback(ctx, project, o.env, dry)
			if err != nil {
				return err
			}
			p := &page{style: s.style, now: s.apps.Now()}
			showRollback(p, r)
			s.sayPage(p)
			s.say("")
		}
		if err := s.confirm(ctx, "roll back", o.env, o.yes); err != nil {
			return err
		}
	}
	r, err := c.Rollback(ctx, project, o.env, o.request)
	if err != nil {
		if o.request.To != "" {
			return s.suggestPromotion(ctx, c, project, api.Promote{Release: o.request.To, Environment: o.env}, err)
		}
		return s.suggestEnvironment(ctx, c, project, o.env, err)
	}
	if o.watch && r.Deployment != nil {
		return s.watchDeployment(ctx, c, *r.Deployment)
	}
	out := result{data: r, names: []string{string(r.To)}, show: func(p *page) { showRollback(p, r) }}
	if r.Deployment != nil {
		out.names = []string{string(r.Deployment.ID)}
		s.say("follow it with: towpath deployment show %s --watch", r.Deployment.ID)
	}
	return s.print(out)
}

func showRollback(p *page, r deploy.RollbackResult) {
	would := "goes back"
	if r.DryRun {
		would = "would go back"
	}
	p.line("%s %s from %s to %s", p.style.bold(string(r.Environment)), would,
		orDash(r.FromVersion)+" "+p.style.dim("("+short(r.From)+")"), p.style.bold(orDash(r.ToVersion))+" "+p.style.dim("("+short(r.To)+")"))
	p.components(r.Components)
	if r.Deployment != nil {
		p.field("deployment", string(r.Deployment.ID))
	}
}
