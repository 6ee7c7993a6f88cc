package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

type quarantineCall func(*client.Client, context.Context, towpath.ProjectName, string, string) (towpath.Release, error)

func newQuarantine(s *session) *cobra.Command {
	return s.newQuarantineCommand("quarantine RELEASE --reason TEXT", "Revoke a release everywhere", (*client.Client).Quarantine)
}

func newUnquarantine(s *session) *cobra.Command {
	return s.newQuarantineCommand("unquarantine RELEASE --reason TEXT", "Lift a release's quarantine", (*client.Client).Unquarantine)
}

func (s *session) newQuarantineCommand(use, short string, do quarantineCall) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			if reason == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--reason says why; it is kept in the ledger"))
			}
			r, err := do(c, cmd.Context(), project, args[0], reason)
			if err != nil {
				return s.suggestRelease(cmd.Context(), c, project, args[0], err)
			}
			return s.print(result{data: r, names: []string{string(r.Digest)}, show: func(p *page) { showRelease(p, r) }})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}
