package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion(s *session) *cobra.Command {
	type version struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}
	return &cobra.Command{
		Use: "version", Short: "Print the version of this binary", Args: positional(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := version{s.apps.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return s.print(result{data: v, names: []string{v.Version}, show: func(p *page) {
				p.line("towpath %s (%s, %s)", v.Version, v.Go, v.Platform)
			}})
		},
	}
}
