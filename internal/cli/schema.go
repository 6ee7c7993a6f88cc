package cli

import "github.com/spf13/cobra"

func newSchema(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of towpath.yaml", Args: positional(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if s.apps.Schema == nil {
				return missing("schema")
			}
			_, err := s.stdout.Write(s.apps.Schema())
			return err
		},
	}
}
