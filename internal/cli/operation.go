package cli

import (
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newOperation(s *session) *cobra.Command {
	return s.group("operation", "Decide operations that need a person", newOperationResolve(s))
}

func newOperationResolve(s *session) *cobra.Command {
	var again, withdraw bool
	var r api.Resolve
	cmd := &cobra.Command{
		Use: "resolve OPERATION (--again | --withdraw)", Short: "Decide an operation whose outcome nobody could tell",
		Long: "Look at the place first. --again runs the operation once more; --withdraw gives it up, and its deployment goes back.",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if again == withdraw {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "give --again or --withdraw"))
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			r.Again = again
			if err := c.Resolve(cmd.Context(), towpath.OperationID(args[0]), r); err != nil {
				return listed(err, "towpath deployment show, which names operations that wait for a person")
			}
			state := "withdrawn"
			if again {
				state = "to be run again"
			}
			return s.done("operation", args[0], state)
		},
	}
	cmd.Flags().BoolVar(&again, "again", false, "run it again")
	cmd.Flags().BoolVar(&withdraw, "withdraw", false, "withdraw it")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the ledger")
	return cmd
}
