package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type repairOptions struct {
	env        towpath.EnvironmentName
	request    api.Repair
	watch, yes bool
}

func newRepair(s *session) *cobra.Command {
	var o repairOptions
	cmd := &cobra.Command{
		Use: "repair ENV [COMPONENT]", Short: "Replace what differs from what was deployed by the same again",
		Long: "Puts the files of the revision in place anew, starts fresh instances beside those that run, moves the traffic once they are " +
			"healthy, and drains and stops the old ones. Nothing that runs is changed in place. It brings nothing new, so it needs no approval, " +
			"and neither a hold nor a freeze blocks it; it waits for no deployment: it is refused while one is active.",
		Example: "  towpath repair prod --reason 'the hot fix of last night' --watch\n  towpath repair prod api --force",
		Args:    positional(1, 2), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.env = towpath.EnvironmentName(args[0])
			if len(args) == 2 {
				o.request.Component = towpath.ComponentName(args[1])
			}
			return s.runRepair(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.request.Reason, "reason", "", "why; kept in the ledger")
	f.BoolVar(&o.request.Force, "force", false, "also what has not drifted")
	f.BoolVarP(&o.watch, "watch", "w", false, "follow until the end")
	f.BoolVarP(&o.yes, "yes", "y", false, "don't ask")
	return cmd
}

func (s *session) runRepair(ctx context.Context, o repairOptions) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	if !o.yes && guarded(ctx, c, project, o.env, "") {
		if err := s.confirm(ctx, "repair", o.env, o.yes); err != nil {
			return err
		}
	}
	d, err := c.Repair(ctx, project, o.env, o.request)
	if err != nil {
		return s.suggestEnvironment(ctx, c, project, o.env, err)
	}
	if o.watch {
		return s.watchDeployment(ctx, c, d)
	}
	s.say("follow it with: towpath deployment show %s --watch", d.ID)
	return s.print(result{data: d, names: []string{string(d.ID)}, show: func(p *page) {
		p.line("%s is being repaired", p.style.bold(string(o.env)))
		for _, r := range d.Components {
			p.field("component", string(r.Component))
		}
		p.field("deployment", string(d.ID))
	}})
}
