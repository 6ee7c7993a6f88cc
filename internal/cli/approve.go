package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

type decision func(*client.Client, context.Context, towpath.PromotionID, string) (towpath.Promotion, error)

func newApprove(s *session) *cobra.Command {
	return s.newDecision("approve", "Agree to a promotion: to its candidate, its plan and the rules in force", judged, (*client.Client).Approve)
}

func newReject(s *session) *cobra.Command {
	return s.newDecision("reject", "Refuse a promotion", judged, (*client.Client).Reject)
}

func newCancel(s *session) *cobra.Command {
	return s.newDecision("cancel", "Withdraw a promotion",
		"it is recorded, and its deployment goes back to what ran before", (*client.Client).Cancel)
}

// judged is what follows from what people say to a promotion that waits.
const judged = "it is recorded, and the gates judge again"

// newDecision is a command that decides one promotion; open is what follows when
// that has not ended it.
func (s *session) newDecision(verb, short, open string, do decision) *cobra.Command {
	var env, reason string
	cmd := &cobra.Command{
		Use: verb + " (PROMOTION | --env ENV)", Short: short, Args: positional(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (env != "") {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "give the promotion, or --env to pick the only open one there"))
			}
			ctx := cmd.Context()
			c, err := s.client()
			if err != nil {
				return err
			}
			var id towpath.PromotionID
			if len(args) == 1 {
				id = towpath.PromotionID(args[0])
			} else if id, err = s.onlyOpen(ctx, towpath.EnvironmentName(env)); err != nil {
				return err
			}
			x, err := do(c, ctx, id, reason)
			if err != nil {
				return listed(err, "towpath promotion list --open")
			}
			if err := s.printPromotion(x); err != nil {
				return err
			}
			if !towpath.PromotionTransitions().Terminal(x.Phase) {
				s.say("%s; follow it with: towpath promotion show %s --watch", open, x.ID)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "the only open promotion into this environment")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

// onlyOpen is the single open promotion into an environment.
func (s *session) onlyOpen(ctx context.Context, env towpath.EnvironmentName) (towpath.PromotionID, error) {
	c, project, err := s.target()
	if err != nil {
		return "", err
	}
	list, err := c.Promotions(ctx, project, client.PromotionFilter{Environment: env, Open: true})
	if err != nil {
		return "", s.suggestEnvironment(ctx, c, project, env, err)
	}
	switch len(list.Items) {
	case 1:
		return list.Items[0].ID, nil
	case 0:
		err := towpath.E(towpath.KindNotFound, "", "no promotion into %s is open", env).
			WithHint("towpath promotion list --env %s shows what was; ask for one with: towpath promote RELEASE --to %[1]s", env)
		return "", s.suggestEnvironment(ctx, c, project, env, err)
	}
	var ids []towpath.PromotionID
	for _, x := range list.Items {
		ids = append(ids, x.ID)
	}
	return "", towpath.E(towpath.KindConflict, "", "%d promotions into %s are open", len(ids), env).WithHint("name one: %s", join(ids))
}
