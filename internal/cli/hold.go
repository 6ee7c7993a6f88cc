package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

type holdCall func(*client.Client, context.Context, towpath.ProjectName, towpath.EnvironmentName, string) error

func newHold(s *session) *cobra.Command {
	return s.newHoldCommand("hold ENV --reason TEXT", "Stop automatic promotion into an environment", (*client.Client).Hold)
}

func newUnhold(s *session) *cobra.Command {
	return s.newHoldCommand("unhold ENV", "Lift the hold on an environment", (*client.Client).Unhold)
}

func (s *session) newHoldCommand(use, short string, do holdCall) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, env := cmd.Context(), towpath.EnvironmentName(args[0])
			c, project, err := s.target()
			if err != nil {
				return err
			}
			if err := do(c, ctx, project, env, reason); err != nil {
				return s.suggestEnvironment(ctx, c, project, env, err)
			}
			status, err := c.Status(ctx, project, env)
			if err != nil {
				return err
			}
			return s.printStatus(status.Environments)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

// printStatus prints environments as status does.
func (s *session) printStatus(environments []inventory.Status) error {
	return s.print(s.statusResult(environments))
}
