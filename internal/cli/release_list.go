package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
)

// pageFlags are those of every list.
func pageFlags(cmd *cobra.Command, p *client.Page) {
	cmd.Flags().Var((*count)(&p.Limit), "limit", "how many at most (default 50)")
	cmd.Flags().StringVar(&p.Cursor, "cursor", "", "go on where the page before ended")
}

// more says how to get the next page.
func (s *session) more(next string) {
	if next != "" && s.flags.output != formatJSON && s.flags.output != formatYAML {
		s.say("there are more: --cursor %s", next)
	}
}

func newReleaseList(s *session) *cobra.Command {
	var page client.Page
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List releases, newest first", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.runReleaseList(cmd.Context(), page) },
	}
	pageFlags(cmd, &page)
	return cmd
}

func (s *session) runReleaseList(ctx context.Context, q client.Page) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	list, err := c.Releases(ctx, project, q)
	if err != nil {
		return err
	}
	if len(list.Items) == 0 && q.Cursor == "" {
		if err := s.knownProject(ctx, c, project); err != nil {
			return err
		}
	}
	r := result{data: list, none: "there is no release yet; make one with: towpath release build"}
	r.table.columns = []string{"VERSION", "DIGEST", "COMMIT", "AGE", "RUNS IN", "SUBJECT", "+CANDIDATE", "+REF", "+BY"}
	p := page{now: s.apps.Now()}
	for _, x := range list.Items {
		version := x.Version
		if x.Quarantined {
			version += " (quarantined)"
		}
		r.names = append(r.names, string(x.Digest))
		r.table.add(orDash(version), short(x.Digest), short(x.Commit), p.age(x.Published), orDash(join(x.Environments)), x.Subject,
			string(x.Candidate), orDash(x.Ref), string(x.PublishedBy))
	}
	s.more(list.Next)
	return s.print(r)
}
