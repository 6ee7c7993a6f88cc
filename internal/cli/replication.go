package cli

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

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
	var on, account, region, cache string
	var place bool
	keep := 7 * 24 * time.Hour
	cmd := &cobra.Command{
		Use: "add NAME --to REGISTRY/REPOSITORY", Short: "Have releases copied to another registry, with everything that is attached to them",
		Long: "The server copies every release that is published from now on, under whatever version, and what environments run; or with --on what one " +
			"of them runs; what the gate replicated waits for; and again what is attached later. With --account or --region it copies what runs in any environment " +
			"whose `account` and `region` in towpath.yaml are these, with both in those that have both; environments that come later or change count by the rules " +
			"in force there. It compares every digest there and lists what is attached; a registry that is down is tried again. The rule's repository is " +
			"written by nobody else. It logs in with the server's registry-auth.json, a configuration file as docker keeps it.\n\n" +
			"With --place the releases live there: none is promoted before it was compared there, its layers leave the server after --keep, or when " +
			"those of the project have more than --cache together, and are read from there when somebody needs them. Layers of what runs, is on its " +
			"way, or would be gone back to stay here too, and so does everything that is judged: manifests, contents, evidence.",
		Example: "  towpath replication add eu --to registry.eu.example/shop\n  towpath replication add dr --to backup.example/shop --on prod\n" +
			"  towpath replication add ireland --to registry.ie.example/shop --account 123456789012 --region eu-west-1\n" +
			"  towpath replication add home --to registry.example/shop --place --keep 168h --cache 20GiB",
		Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.To == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--to names the repository"))
			}
			if !place && (cmd.Flags().Changed("keep") || cmd.Flags().Changed("cache")) {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--keep and --cache are about --place"))
			}
			if place {
				bytes, err := parseSize(cache)
				if err != nil || keep < 0 {
					return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--keep is a time such as 168h, and --cache a size such as 20GiB"))
				}
				r.Place = &api.Place{KeepSeconds: int64(keep / time.Second), CacheBytes: bytes}
			}
			r.Name, r.On = towpath.ReplicationName(args[0]), towpath.EnvironmentName(on)
			r.Account, r.Region = towpath.CloudAccount(account), towpath.Region(region)
			c, project, err := s.target()
			if err != nil {
				return err
			}
			rule, err := c.AddReplication(cmd.Context(), project, r)
			if err != nil {
				return err
			}
			return s.print(result{data: rule, names: []string{string(rule.Name)}, show: func(p *page) {
				if rule.Place != nil {
					p.line("the releases move to %s, by the rule %s; `towpath replication list` shows how far it is", rule.To, rule.Name)
					return
				}
				p.line("%s copies %s to %s; `towpath replication list` shows how far it is", rule.Name, copiedWhat(rule), rule.To)
			}})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.To, "to", "", "repository, as in registry.example/shop")
	f.StringVar(&on, "on", "", "only what this environment runs (default: every release, when it is published)")
	f.StringVar(&account, "account", "", "only what environments of this account run")
	f.StringVar(&region, "region", "", "only what environments of this region run; with --account: of both")
	f.BoolVar(&place, "place", false, "the releases live there: their layers need not stay on the server")
	f.DurationVar(&keep, "keep", keep, "with --place: how long a layer stays on the server after it came")
	f.StringVar(&cache, "cache", "", "with --place: the most that the layers have on the server together, as in 20GiB (default: any)")
	f.BoolVar(&r.PlainHTTP, "plain-http", false, "the registry has no TLS; no password is sent to another machine then")
	return cmd
}

// parseSize is a number of bytes, with or without a unit; empty: 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	shift := 0
	for unit, s := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = number, s
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 0 || n > math.MaxInt64>>shift) {
		err = strconv.ErrRange
	}
	return n << shift, err
}

func copiedWhat(r towpath.ReplicationRule) string {
	if r.Place != nil {
		if !r.IsPlace() {
			return "nothing: what lives there is brought back"
		}
		return "every release, which live there"
	}
	switch {
	case r.OnPublish():
		return "every release"
	case r.On != "":
		return "what " + string(r.On) + " runs"
	case r.Account == "":
		return "what runs in " + string(r.Region)
	case r.Region == "":
		return "what runs in the account " + string(r.Account)
	}
	return "what runs in " + string(r.Region) + " of the account " + string(r.Account)
}

func newReplicationList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the places that releases are copied to, and how far each is behind", Args: positional(0, 0),
		Long: "BEHIND counts what should be there and is not, LAG is since when the first of it should, TRYING for how long an attempt is under way, " +
			"and ERROR why the last one failed, or what is about a release and is not copied.",
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
			r.table.columns = []string{"RULE", "TO", "COPIES", "THERE", "BEHIND", "LAG", "TRYING", "ERROR"}
			for _, x := range list.Items {
				lag, trying := dash, dash
				if !x.Lag.IsZero() {
					lag = p.age(x.Lag)
				}
				if i := slices.IndexFunc(x.Behind, func(b towpath.Replication) bool { return !b.Trying.IsZero() }); i >= 0 {
					trying = p.age(x.Behind[i].Trying)
				}
				r.names = append(r.names, string(x.Name))
				r.table.add(string(x.Name), x.To, copiedWhat(x.ReplicationRule), strconv.Itoa(x.Whole), strconv.Itoa(len(x.Behind)), lag, trying, firstError(x))
			}
			return s.print(r)
		},
	}
}

func firstError(x replication.Status) string {
	if x.Place != nil && x.Place.Error != "" {
		return x.Place.Error
	}
	for _, b := range x.Behind {
		if b.Error != "" {
			return b.Error
		}
	}
	if len(x.Left) > 0 {
		return x.Left[0]
	}
	return ""
}

func newReplicationRemove(s *session) *cobra.Command {
	var abandon bool
	cmd := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "End a rule; what was copied stays where it is", Args: positional(1, 1),
		Long: "What was copied stays where it is. Where releases live, the server brings back first what is only there; the rule ends by itself " +
			"then, and `towpath replication list` shows it until it has. --abandon ends it at once: layers that are only there are lost.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			name := towpath.ReplicationName(args[0])
			all, err := c.Replications(cmd.Context(), project)
			if err != nil {
				return err
			}
			place := slices.ContainsFunc(all.Items, func(x replication.Status) bool { return x.Name == name && x.Place != nil })
			if err := c.RemoveReplication(cmd.Context(), project, name, abandon); err != nil {
				return listed(err, "towpath replication list")
			}
			return s.print(result{data: map[string]string{"name": args[0]}, names: args, show: func(p *page) {
				if place && !abandon {
					p.line("what is only there is brought back; %s ends then: `towpath replication list`", name)
					return
				}
				p.line("%s copies nothing any more; what is there stays", name)
			}})
		},
	}
	cmd.Flags().BoolVar(&abandon, "abandon", false, "end the place of releases at once: what is only there is lost")
	return cmd
}
