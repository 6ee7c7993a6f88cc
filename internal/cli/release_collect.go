package cli

import (
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newReleaseCollect(s *session) *cobra.Command {
	var r api.Collect
	cmd := &cobra.Command{
		Use: "collect", Short: "Give up the files of releases that retention does not keep",
		Long: "The server does this every hour by itself. What runs, what waits, the last good releases of each environment and " +
			"what its retention rule keeps stay. Records, versions and provenance stay for ever; building a commit again brings its files back.",
		Example: "  towpath release collect --dry-run",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			out, err := c.Collect(cmd.Context(), project, r)
			if err != nil {
				return err
			}
			return s.print(result{data: out, names: digests(out.Releases), show: func(p *page) {
				verb := "given up"
				if out.DryRun {
					verb = "would be given up"
				}
				p.line("%s kept, %d %s: %s, %s", plural(out.Kept, "release", "releases"), len(out.Releases), verb,
					plural(out.Blobs, "blob", "blobs"), size(out.Bytes))
				for _, d := range out.Releases {
					p.line("  %s", d)
				}
			}})
		},
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "say what would be given up, do nothing")
	return cmd
}

func digests(all []towpath.Digest) []string {
	out := make([]string, len(all))
	for i, d := range all {
		out[i] = string(d)
	}
	return out
}
