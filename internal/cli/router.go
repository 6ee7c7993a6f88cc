package cli

import "github.com/spf13/cobra"

func newRouter(s *session) *cobra.Command {
	replace := false
	cmd := &cobra.Command{
		Use: "router DIR", Short: "Carry traffic to instances (started by the agent)", Hidden: true, Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.apps.Router == nil {
				return missing("router")
			}
			return s.apps.Router(cmd.Context(), args[0], replace)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "take over from the router that runs")
	return cmd
}
