package cli

import "github.com/spf13/cobra"

func newShim(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "shim DIR", Short: "Watch over one instance (started by the agent)", Hidden: true, Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.apps.Shim == nil {
				return missing("shim")
			}
			return s.apps.Shim(cmd.Context(), args[0])
		},
	}
}
