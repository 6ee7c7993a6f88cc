package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

type freezeOptions struct {
	reason, from, until string
	emergency, all      bool
}

func newFreeze(s *session) *cobra.Command {
	var o freezeOptions
	cmd := &cobra.Command{
		Use: "freeze [ENV] --reason TEXT", Short: "Stop promotions of a project or one environment; rollbacks go on",
		Example: "  towpath freeze prod --until 48h --reason 'launch week'\n  towpath freeze --emergency --all --reason 'incident 12'",
		Args:    positional(0, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.reason == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--reason says why; everybody who waits sees it"))
			}
			if len(args) == 0 {
				args = []string{""}
			}
			return s.runFreeze(cmd.Context(), towpath.EnvironmentName(args[0]), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.reason, "reason", "", "why")
	f.StringVar(&o.from, "from", "", "RFC 3339 time, or a duration from now (default now)")
	f.StringVar(&o.until, "until", "", "RFC 3339 time, or a duration from now (default: until lifted)")
	f.BoolVar(&o.emergency, "emergency", false, "stop what is under way between steps, too")
	f.BoolVar(&o.all, "all", false, "with --emergency: all projects")
	cmd.AddCommand(newFreezeList(s))
	return cmd
}

func (s *session) runFreeze(ctx context.Context, env towpath.EnvironmentName, o freezeOptions) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	r := api.PostFreeze{Environment: env, Reason: o.reason, Emergency: o.emergency}
	if !o.all {
		if _, r.Project, err = s.target(); err != nil {
			return err
		}
		// A freeze of an environment that is misspelt would stop nothing.
		if err := s.knownEnvironment(ctx, c, r.Project, env); err != nil {
			return err
		}
	}
	if r.From, err = s.moment(o.from); err != nil {
		return err
	}
	if r.Until, err = s.moment(o.until); err != nil {
		return err
	}
	x, err := c.Freeze(ctx, r)
	if err != nil {
		return s.suggestEnvironment(ctx, c, r.Project, env, err)
	}
	return s.print(result{data: x, names: []string{string(x.ID)}, show: func(p *page) {
		p.table(freezeTable(p, []towpath.Freeze{x}))
		p.line("lift it with: towpath unfreeze %s", x.ID)
	}})
}

// moment reads a time or a duration from now; empty is the zero time.
func (s *session) moment(v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(v); err == nil {
		return s.apps.Now().Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return t, towpath.E(towpath.KindInvalid, "", "%q is no time", v).WithHint("write 2026-12-24T18:00:00+01:00, or a duration from now such as 48h")
	}
	return t, nil
}

func newFreezeList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List freezes in force or to come", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			items, err := c.Freezes(cmd.Context(), project)
			if err != nil {
				return err
			}
			r := result{data: api.Freezes{Items: items}, none: "nothing is frozen", table: freezeTable(&page{now: s.apps.Now()}, items)}
			for _, x := range items {
				r.names = append(r.names, string(x.ID))
			}
			return s.print(r)
		},
	}
}

func freezeTable(p *page, items []towpath.Freeze) table {
	t := table{columns: []string{"FREEZE", "PROJECT", "ENVIRONMENT", "SINCE", "UNTIL", "BY", "REASON"}}
	for _, x := range items {
		project, env, until := string(x.Project), string(x.Environment), at(x.Until)
		if project == "" {
			project = "(all)"
		}
		if env == "" {
			env = "(all)"
		}
		if until == "" {
			until = "lifted"
		}
		reason := x.Reason
		if x.Emergency {
			reason = "EMERGENCY: " + reason
		}
		t.add(string(x.ID), project, env, p.age(x.From), until, string(x.By), reason)
	}
	return t
}

func newUnfreeze(s *session) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "unfreeze FREEZE", Short: "Lift a freeze", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if err := c.Unfreeze(cmd.Context(), towpath.FreezeID(args[0]), reason); err != nil {
				return listed(err, "towpath freeze list")
			}
			return s.done("freeze", args[0], "lifted")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

// done prints the result of a change that has nothing to show.
func (s *session) done(noun, id, state string) error {
	data := map[string]string{noun: id, "state": state}
	return s.print(result{data: data, names: []string{id}, show: func(p *page) {
		p.line("%s %s %s", noun, id, p.style.good(state))
	}})
}
