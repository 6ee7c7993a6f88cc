package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

func newReleaseDiff(s *session) *cobra.Command {
	var env string
	var code bool
	cmd := &cobra.Command{
		Use: "diff A B", Short: "Say what differs between two releases",
		Long: "Says what differs between two releases: components and their files, their settings in each environment, rules, and what belongs to the release as a whole: " +
			"what its references from outside stand for, objectives, policies. A release is named by its " +
			"version, its digest or the beginning of it. Exits 0, whether they differ or not; with --exit-code, as with git diff, 0 says that " +
			"they are identical, 2 that they differ (git says 1, which is an error here) and 1 that they could not be compared.",
		Example: "  towpath release diff 1.3.0 1.4.0 --env prod\n  towpath release diff 1.3.0 1.4.0 --exit-code >/dev/null || echo 'not the same'",
		Args:    positional(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.runReleaseDiff(cmd.Context(), args[0], args[1], towpath.EnvironmentName(env), code)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "in this environment only, exactly as it would be rendered")
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 2 when they differ")
	return cmd
}

func (s *session) runReleaseDiff(ctx context.Context, a, b string, env towpath.EnvironmentName, code bool) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	d, err := c.Diff(ctx, project, a, b, env)
	if err != nil {
		return s.suggestDiff(ctx, c, project, a, b, env, err)
	}
	r := result{data: d, show: func(p *page) { showDiff(p, d, a, b) }}
	for _, x := range d.Components {
		r.names = append(r.names, string(x.Component))
	}
	if err := s.print(r); err != nil {
		return err
	}
	if code && !d.Identical {
		return outcome(ExitChanges)
	}
	return nil
}

// suggestDiff adds a guess to the error of the one name that was not found.
func (s *session) suggestDiff(ctx context.Context, c *client.Client, project towpath.ProjectName, a, b string, env towpath.EnvironmentName, err error) error {
	message, _ := towpath.PublicMessage(err)
	for _, name := range []string{a, b} {
		if strings.Contains(message, fmt.Sprintf("%q", name)) {
			return s.suggestRelease(ctx, c, project, name, err)
		}
	}
	return s.suggestEnvironment(ctx, c, project, env, err)
}

func showDiff(p *page, d release.Diff, a, b string) {
	p.line("%s %s %s", p.named(a, d.A), p.style.dim("to"), p.named(b, d.B))
	if d.Identical {
		p.line("identical")
		return
	}
	// What destroys comes last, and is counted.
	removed := 0
	for _, last := range []bool{false, true} {
		for _, c := range d.Components {
			remove := c.Action == towpath.ActionRemove
			if remove != last {
				continue
			}
			if remove {
				removed++
			}
			where := ""
			if c.Environment != "" {
				where = " in " + string(c.Environment)
			}
			p.line("\n%s %s%s", p.action(c.Action), p.style.bold(string(c.Component)), where)
			p.changes(c.Changes)
			p.files(c.Files)
		}
	}
	if len(d.Changes) > 0 {
		p.line("\n%s %s", p.style.warn("~"), p.style.bold("the release"))
		p.changes(d.Changes)
	}
	for _, r := range d.Rules {
		p.line("\n%s rules of %s", p.style.warn("~"), p.style.bold(string(r.Environment)))
		p.changes(r.Changes)
		for _, l := range r.Loosens {
			p.line("    %s %s", p.style.warn("loosens:"), l)
		}
	}
	if removed > 0 {
		p.line("\n%s", p.style.bad(plural(removed, "component is removed", "components are removed")))
	}
}

// named is a release by the name that somebody gave it, and by its digest.
func (p *page) named(name string, d towpath.Digest) string {
	if strings.HasPrefix(string(d), name) || strings.HasPrefix(d.Hex(), name) {
		return short(d)
	}
	return p.style.bold(name) + " " + p.style.dim("("+short(d)+")")
}

// action is the sign of what happens to a component.
func (p *page) action(a towpath.ChangeAction) string {
	switch a {
	case towpath.ActionCreate:
		return p.style.good("+")
	case towpath.ActionRemove:
		return p.style.bad("-")
	case towpath.ActionReplace:
		return p.style.warn("~")
	}
	return "="
}

// files names the files that differ.
func (p *page) files(f *release.FilesDiff) {
	if f == nil {
		return
	}
	for _, part := range []struct {
		sign  string
		names []string
	}{{p.style.good("+"), f.Added}, {p.style.warn("~"), f.Changed}, {p.style.bad("-"), f.Removed}} {
		for _, name := range part.names {
			p.line("      %s %s", part.sign, name)
		}
	}
	if f.More > 0 {
		p.line("      and %s", plural(f.More, "file more", "files more"))
	}
	if f.Unread != "" {
		p.line("      %s", p.style.dim(f.Unread))
	}
}

func (p *page) changes(changes []towpath.Change) {
	for _, c := range changes {
		switch {
		case c.Before == "" && c.After == "":
			p.line("    %s", c.Path)
		case c.Before == "":
			p.line("    %s %s: %s", p.style.good("+"), c.Path, c.After)
		case c.After == "":
			p.line("    %s %s: %s", p.style.bad("-"), c.Path, c.Before)
		default:
			p.line("    %s %s: %s → %s", p.style.warn("~"), c.Path, c.Before, c.After)
		}
	}
}
