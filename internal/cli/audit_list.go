package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newAuditList(s *session) *cobra.Command {
	f := client.EventFilter{Newest: true}
	var env string
	var all, oldest bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what happened, newest first", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Environment, f.Newest = towpath.EnvironmentName(env), !oldest
			return s.runAuditList(cmd.Context(), f, all)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&env, "env", "", "in this environment only")
	fl.StringVar(&f.Subject, "subject", "", "about this ID only")
	fl.StringVar(&f.Action, "action", "", "this action only, such as promotion.requested")
	fl.Var((*count)(&f.Limit), "limit", "how many at most (default 100)")
	fl.Int64Var(&f.Before, "before", 0, "older than this entry")
	fl.Int64Var(&f.After, "after", 0, "newer than this entry")
	fl.BoolVar(&oldest, "oldest", false, "oldest first")
	fl.BoolVar(&all, "all", false, "of all projects")
	return cmd
}

func (s *session) runAuditList(ctx context.Context, f client.EventFilter, all bool) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if !all {
		if _, f.Project, err = s.target(); err != nil {
			return err
		}
	}
	list, err := c.Events(ctx, f)
	if err != nil {
		return err
	}
	if len(list.Items) == 0 && !all {
		if err := s.knownEnvironment(ctx, c, f.Project, f.Environment); err != nil {
			return err
		}
	}
	r := result{data: list, none: "the ledger has no such entry"}
	r.table.columns = []string{"SEQ", "TIME", "ACTOR", "ACTION", "ENVIRONMENT", "SUBJECT", "REASON", "+PROJECT", "+RELEASE", "+REQUEST"}
	for _, e := range list.Items {
		r.names = append(r.names, string(e.Event.ID))
		r.table.add(fmt.Sprint(e.Seq), at(e.Event.At), e.Event.Actor, e.Event.Action, orDash(e.Event.Environment), orDash(e.Event.Subject),
			e.Event.Reason, orDash(e.Event.Project), short(e.Event.Release), e.Event.RequestID)
	}
	if list.Next > 0 && s.flags.output != formatJSON && s.flags.output != formatYAML {
		flag := "--before"
		if !f.Newest {
			flag = "--after"
		}
		s.say("there may be more: %s %d", flag, list.Next)
	}
	return s.print(r)
}
