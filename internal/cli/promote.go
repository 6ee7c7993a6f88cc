package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type promoteOptions struct {
	request    api.Promote
	watch, yes bool
	people     bool // watch on while people have to approve
}

func newPromote(s *session) *cobra.Command {
	var o promoteOptions
	var env string
	cmd := &cobra.Command{
		Use: "promote RELEASE --to ENV", Short: "Move a release into an environment",
		Long: "Asks the gates of the environment and, when all allow, deploys. With --watch it follows until the end, or until " +
			"people have to do something: approve, lift a hold or a freeze, or resume a rollout that is paused, stands at a manual step or could not be judged (exit code 5). With --through-approval it waits for them too.",
		Example: "  towpath promote 1.4.0 --to staging --watch",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if env == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to says into which environment"))
			}
			o.request = api.Promote{Release: args[0], Environment: towpath.EnvironmentName(env)}
			return s.runPromote(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&env, "to", "", "the environment")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "follow until the end")
	cmd.Flags().BoolVar(&o.people, "through-approval", false, "with --watch: go on while it waits for people")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "don't ask")
	return cmd
}

func (s *session) runPromote(ctx context.Context, o promoteOptions) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	env := o.request.Environment
	if !o.yes && guarded(ctx, c, project, env, o.request.Release) {
		preview, err := c.Plan(ctx, project, o.request)
		if err != nil {
			return s.suggestPromotion(ctx, c, project, o.request, err)
		}
		if s.interactive() {
			p := &page{style: s.style, now: s.apps.Now()}
			showPreview(p, preview)
			s.sayPage(p)
			s.say("")
		}
		if err := s.confirm(ctx, "promote "+orDash(preview.Candidate.Version)+" into", env, o.yes); err != nil {
			return err
		}
	}
	promotion, err := c.Promote(ctx, project, o.request)
	if err != nil {
		return s.suggestPromotion(ctx, c, project, o.request, err)
	}
	if o.watch {
		return s.watchPromotion(ctx, c, promotion, o.people)
	}
	if err := s.printPromotion(promotion); err != nil {
		return err
	}
	if promotion.Phase == towpath.PromotionDenied {
		return outcome(ExitDenied)
	}
	s.say("follow it with: towpath promotion show %s --watch", promotion.ID)
	return nil
}
