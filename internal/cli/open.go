package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newOpen(s *session) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "open ENV", Short: "Let an environment run in its place, by the rules that a release proposes",
		Long: `Let an environment run in its place, by the rules that a release proposes.

Whoever may publish releases can name environments, and nothing is deployed into one before
somebody with the role admin has looked at where it would run and by which rules. An admin
who publishes a release that names it, also one that was published before, opens it by that. Afterwards the rules change
only with releases that pass them.`,
		Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, env := cmd.Context(), towpath.EnvironmentName(args[0])
			c, project, err := s.target()
			if err != nil {
				return err
			}
			status, err := c.Status(ctx, project, env)
			if err != nil {
				return s.suggestEnvironment(ctx, c, project, env, err)
			}
			if e := status.Environments[0]; e.Proposed != nil {
				p := page{now: s.apps.Now(), style: s.style}
				showRules(&p, e.Proposed.Rules)
				s.sayPage(&p)
				if err := s.confirm(ctx, "open", env, yes); err != nil {
					return err
				}
				if err := c.OpenEnvironment(ctx, project, env, e.Proposed.PolicyVersion); err != nil {
					return err
				}
				if status, err = c.Status(ctx, project, env); err != nil {
					return err
				}
			}
			return s.printStatus(status.Environments)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// noteProposed says which environments of a project wait for somebody to open them.
// That the server can't tell is no error: status says so too.
func (s *session) noteProposed(ctx context.Context, c *client.Client, p towpath.ProjectName) {
	status, err := c.Status(ctx, p, "")
	if err != nil {
		return
	}
	var names []string
	for _, e := range status.Environments {
		if e.Proposed != nil {
			names = append(names, string(e.Environment))
		}
	}
	if len(names) > 0 {
		s.say("%s nothing is deployed into %s before somebody with the role %s has seen its rules: towpath open %s",
			s.style.note("note:"), strings.Join(names, ", "), towpath.RoleAdmin, names[0])
	}
}

// showRules says where an environment runs, and by which rules.
func showRules(p *page, r towpath.EnvironmentSpec) {
	p.field("place", string(r.Place))
	p.field("account", string(r.Account))
	p.field("region", string(r.Region))
	p.field("from", cmp.Or(string(r.From), "anywhere"))
	p.field("branch", r.Branch)
	p.field("promotion", string(r.Promotion))
	p.field("rollout", string(r.Rollout))
	if r.Concurrent > 0 {
		p.field("concurrent", plural(r.Concurrent, "component", "components"))
	}
	p.field("watch", r.WatchTime().String())
	p.field("retention", retentionOf(r.Retention))
	p.field("gates", cmp.Or(strings.Join(gatesOf(r.Gates), ", "), "none"))
}

// retentionOf says what an environment keeps; what it leaves open is the server's.
func retentionOf(r towpath.RetentionRule) string {
	var out []string
	if r.Keep > 0 {
		out = append(out, "the last "+plural(r.Keep, "release", "releases"))
	}
	if r.Age > 0 {
		out = append(out, "what ran within "+r.Age.String())
	}
	return strings.Join(out, ", and ")
}

// gatesOf are the rules of gates that are set, with what they say.
func gatesOf(rules towpath.GateRules) []string {
	text, _ := json.Marshal(rules) // of our own nouns
	var set map[string]json.RawMessage
	_ = json.Unmarshal(text, &set)
	if scan := rules.Scan; scan != nil && scan.MaxAge > 0 {
		set["scan"] = bytes.Replace(set["scan"], fmt.Appendf(nil, `"maxAge":%d`, scan.MaxAge), fmt.Appendf(nil, `"maxAge":%q`, scan.MaxAge.String()), 1)
	}
	times := map[string]time.Duration{"soak": rules.Soak, "age": rules.Age}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		says := string(set[name])
		if d, is := times[name]; is {
			says = d.String()
		}
		out = append(out, name+" "+says)
	}
	return out
}
