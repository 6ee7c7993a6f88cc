package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
)

func newReplication(s *session) *cobra.Command {
	return s.group("replication", "Keep copies of releases in other registries",
		newReplicationAdd(s), newReplicationList(s), newReplicationRemove(s))
}

func newReplicationAdd(s *session) *cobra.Command {
	var r api.PostReplication
	var on string
	cmd := &cobra.Command{
		Use: "add NAME --to REGISTRY/REPOSITORY", Short: "Have releases copied to another registry, with everything that is attached to them",
		Long: "The server copies every release that is published from now on, or with --on what an environment runs; and again what is attached " +
			"later. It compares every digest there and lists what is attached; a registry that is down is tried again. The rule's repository is " +
			"written by nobody else. It logs in with the server's registry-auth.json, a configuration file as docker keeps it.",
		Example: "  towpath replication add eu --to registry.eu.example/shop\n  towpath replication add dr --to backup.example/shop --on prod",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.To == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to names the repository"))
			}
			r.Name, r.On = towpath.ReplicationName(args[0]), towpath.EnvironmentName(on)
			c, project, err := s.target()
			if err != nil {
				return err
			}
			rule, err := c.AddReplication(cmd.Context(), project, r)
			if err != nil {
				return err
			}
			return s.print(result{data: rule, names: []string{string(rule.Name)}, show: func(p *page) {
				p.line("%s copies %s to %s; `towpath replication list` shows how far it is", rule.Name, copiedWhat(rule), rule.To)
			}})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.To, "to", "", "repository, as in registry.example/shop")
	f.StringVar(&on, "on", "", "only what this environment runs (default: every release, when it is published)")
	f.BoolVar(&r.PlainHTTP, "plain-http", false, "the registry has no TLS; no password is sent to another machine then")
	return cmd
}

func copiedWhat(r towpath.ReplicationRule) string {
	if r.On == "" {
		return "every release"
	}
	return "what " + string(r.On) + " runs"
}

func newReplicationList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the places that releases are copied to, and how far each is behind", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			list, err := c.Replications(cmd.Context(), project)
			if err != nil {
				return err
			}
			p := &page{now: s.apps.Now()}
			r := result{data: list, none: "releases are copied nowhere; `towpath replication add` does that"}
			r.table.columns = []string{"RULE", "TO", "COPIES", "THERE", "BEHIND", "LAG", "ERROR"}
			for _, x := range list.Items {
				lag := dash
				if !x.Lag.IsZero() {
					lag = p.age(x.Lag)
				}
				r.names = append(r.names, string(x.Name))
				r.table.add(string(x.Name), x.To, copiedWhat(x.ReplicationRule), strconv.Itoa(x.Whole), strconv.Itoa(len(x.Behind)), lag, firstError(x))
			}
			return s.print(r)
		},
	}
}

func firstError(x replication.Status) string {
	for _, b := range x.Behind {
		if b.Error != "" {
			return b.Error
		}
	}
	return ""
}

func newReplicationRemove(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "End a rule; what was copied stays where it is", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			name := towpath.ReplicationName(args[0])
			if err := c.RemoveReplication(cmd.Context(), project, name); err != nil {
				return listed(err, "towpath replication list")
			}
			return s.print(result{data: map[string]string{"name": args[0]}, names: args, show: func(p *page) {
				p.line("%s copies nothing any more; what is there stays", name)
			}})
		},
	}
}
