package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newProject(s *session) *cobra.Command {
	return s.group("project", "Register and list projects", newProjectRegister(s), newProjectList(s))
}

func newProjectRegister(s *session) *cobra.Command {
	var r api.RegisterProject
	cmd := &cobra.Command{
		Use: "register NAME [--repository PATH]", Short: "Make a project known to the server, or say where its repository lies",
		Long: "The server reads authors from the repository and moves the environments' branches in it. The path is one on the " +
			"server's machine. Without a repository, gates that need authors or branches wait.",
		Example: "  towpath project register shop --repository /srv/git/shop.git",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			r.Name = towpath.ProjectName(args[0])
			if r.Repository != "" && !filepath.IsAbs(r.Repository) {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--repository is an absolute path on the server's machine"))
			}
			p, err := c.RegisterProject(cmd.Context(), r)
			if err != nil {
				return err
			}
			return s.print(result{data: p, names: []string{string(p.Name)}, show: func(pg *page) {
				pg.field("project", string(p.Name))
				pg.field("repository", p.Repository)
			}})
		},
	}
	cmd.Flags().StringVar(&r.Repository, "repository", "", "path that the server can read")
	return cmd
}

func newProjectList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the projects that you may see", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			all, err := c.Projects(cmd.Context())
			if err != nil {
				return err
			}
			r := result{data: api.Projects{Items: all}, none: "no project is known, or you may see none; make one known with: towpath project register"}
			r.table.columns = []string{"PROJECT", "AGE", "REPOSITORY"}
			p := page{now: s.apps.Now()}
			for _, x := range all {
				r.names = append(r.names, string(x.Name))
				r.table.add(string(x.Name), p.age(x.CreatedAt), orDash(x.Repository))
			}
			return s.print(r)
		},
	}
}
