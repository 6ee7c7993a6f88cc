package cli

import "github.com/spf13/cobra"

func newDemo(s *session) *cobra.Command {
	var o DemoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "Show everything in a minute, offline, with a sample project",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.apps.Demo == nil {
				return missing("demo")
			}
			t := s.terminal()
			t.Interactive, t.Colour = isTerminal(s.stdout), s.colour(s.stdout) // the story is its data
			return s.apps.Demo(cmd.Context(), t, o)
		},
	}
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave it running at the end")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "folder for the sample project (default: a temporary one)")
	return cmd
}
