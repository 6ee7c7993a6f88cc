package cli

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

func newAgent(s *session) *cobra.Command {
	var o AgentOptions
	var place string
	cmd := &cobra.Command{
		Use: "agent", Short: "Run components in a place; connects to the server, never the other way",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.apps.Agent == nil {
				return missing("agent")
			}
			if o.Server == "" || o.TokenFile == "" {
				s.flags.url = cmp.Or(o.Server, s.flags.url)
				set, err := s.settings()
				if err != nil {
					return err
				}
				o.Server, o.Token = set.URL, set.Token
			}
			o.Place = towpath.PlaceName(place)
			return s.apps.Agent(cmd.Context(), s.terminal(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Server, "server", "", "the server's URL")
	f.StringVar(&o.TokenFile, "token-file", "", "file with the agent's token (or TOWPATH_TOKEN)")
	f.StringVar(&place, "place", "local", "the place's name")
	f.StringVar(&o.Data, "data", agentData, "folder for the journal and for what runs")
	f.StringVar(&o.Trust, "trust", "", "file with the server's public key; approvals are checked with it")
	f.StringArrayVar(&o.ReleaseKeys, "release-key", nil, "file with a public key; nothing is run that no such key has signed (repeat it for several)")
	return cmd
}
