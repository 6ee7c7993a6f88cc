package cli

import "github.com/spf13/cobra"

func newDev(s *session) *cobra.Command {
	var o DevOptions
	cmd := &cobra.Command{
		Use: "dev", Short: "Run server, builder and agent in one process, with data in .towpath/",
		Long: "Runs all of Towpath for the project in this folder, prints the server's URL and where the token is, " +
			"and ends with Ctrl-C. What it runs goes on running, until the next dev or `towpath dev --stop`.",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.apps.Dev == nil {
				return missing("dev")
			}
			o.Dir = s.flags.dir
			return s.apps.Dev(cmd.Context(), s.terminal(), o)
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", "", "folder for records and blobs (default .towpath in the project)")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:7171", "loopback address; port 0 picks one")
	cmd.Flags().BoolVar(&o.Stop, "stop", false, "stop what an earlier dev left running, and end")
	return cmd
}
