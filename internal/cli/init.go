package cli

import (
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

func newInit(s *session) *cobra.Command {
	var o InitOptions
	cmd := &cobra.Command{
		Use: "init", Short: "Make this repository a project: writes towpath.yaml and changes nothing else",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Project = towpath.ProjectName(s.flags.project)
			return s.runInit(cmd, o)
		},
	}
	return cmd
}

func (s *session) runInit(cmd *cobra.Command, o InitOptions) error {
	if s.apps.Init == nil {
		return missing("init")
	}
	done, err := s.apps.Init(cmd.Context(), s.flags.dir, o)
	if err != nil {
		return err
	}
	for _, note := range done.Notes {
		s.say("%s", note)
	}
	return s.print(result{data: done, names: []string{string(done.Project)}, show: func(p *page) {
		if done.Created {
			p.line("%s %s", p.style.good("wrote"), done.File)
		} else {
			p.line("%s is there already; nothing was changed", done.File)
		}
		p.field("project", string(done.Project))
		p.field("components", join(done.Components))
		p.field("environments", join(done.Environments))
		p.line("next: read the file, commit it, then run: towpath dev")
	}})
}
