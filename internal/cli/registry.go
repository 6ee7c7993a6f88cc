package cli

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

func newRegistry(s *session) *cobra.Command {
	return s.group("registry", "The registry: what it holds, and whether that is whole",
		newRegistryUsage(s), newRegistryGC(s), newRegistryScrub(s), newRegistryRules(s), newRegistryMirror(s))
}

func newRegistryUsage(s *session) *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use: "usage", Short: "Say what the registry holds by project, and what could be given up",
		Long: "What several repositories of a project have counts once. For administrators it also says how much the whole store has, and " +
			"how much of it `towpath registry gc` would delete.",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			u, err := c.Usage(cmd.Context(), towpath.ProjectName(project))
			if err != nil {
				return err
			}
			names := make([]string, len(u.Projects))
			for i, p := range u.Projects {
				names[i] = string(p.Project)
			}
			return s.print(result{data: u, names: names, show: func(p *page) { showUsage(p, u) }})
		},
	}
	cmd.Flags().StringVar(&project, "of", "", "only this project (default: all that you may read)")
	return cmd
}

func showUsage(p *page, u registry.Usage) {
	t := table{columns: []string{"PROJECT", "REPOSITORIES", "MANIFESTS", "TAGS", "BLOBS", "SIZE"}}
	for _, x := range u.Projects {
		t.add(string(x.Project), strconv.Itoa(x.Repositories), strconv.Itoa(x.Manifests), strconv.Itoa(x.Tags), strconv.Itoa(x.Blobs), size(x.Bytes))
	}
	p.table(t)
	if u.Store != nil {
		p.line("\nstore: %s, %s", plural(u.Store.Blobs, "blob", "blobs"), size(u.Store.Bytes))
	}
	if u.Away != nil {
		p.line("at the places of releases only: %s, %s", plural(u.Away.Blobs, "blob", "blobs"), size(u.Away.Bytes))
	}
	if u.Reclaimable != nil {
		p.line("could be given up: %s, %s", plural(u.Reclaimable.Blobs, "blob", "blobs"), size(u.Reclaimable.Bytes))
	}
}

func newRegistryGC(s *session) *cobra.Command {
	var dry bool
	var untagged time.Duration
	cmd := &cobra.Command{
		Use: "gc", Short: "Give up what nothing needs any more",
		Long: "The server does this every day by itself. What is about a manifest that is gone, blobs that no manifest names, and bytes that " +
			"nothing knows are given up when they have been there for a day: whoever is still pushing is not disturbed. What tags name, " +
			"releases and their evidence stay. Manifests without a tag stay unless --untagged-older-than says otherwise: clients may know " +
			"them by their digests.",
		Example: "  towpath registry gc --dry-run\n  towpath registry gc --untagged-older-than 720h",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if untagged < 0 || untagged > 0 && untagged < time.Minute {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--untagged-older-than is a minute at least"))
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			out, err := c.CollectGarbage(cmd.Context(), api.Garbage{DryRun: dry, UntaggedSeconds: int64(untagged / time.Second)})
			if err != nil {
				return err
			}
			names := make([]string, len(out.Projects))
			for i, p := range out.Projects {
				names[i] = string(p.Project)
			}
			return s.print(result{data: out, names: names, show: func(p *page) { showCollected(p, out) }})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be given up, do nothing")
	cmd.Flags().DurationVar(&untagged, "untagged-older-than", 0, "give up manifests too that no tag names and that are this old (default: keep them)")
	return cmd
}

func showCollected(p *page, out registry.Collected) {
	verb := "deleted"
	if out.DryRun {
		verb = "would be deleted"
	}
	if len(out.Projects) > 0 {
		t := table{columns: []string{"PROJECT", "ABOUT WHAT IS GONE", "UNTAGGED", "UNUSED BLOBS"}}
		for _, g := range out.Projects {
			t.add(string(g.Project), strconv.Itoa(g.Dangling), strconv.Itoa(g.Untagged), strconv.Itoa(g.Unused))
		}
		p.table(t)
		p.line("")
	}
	p.line("%s %s: %s", plural(out.Deleted.Blobs, "blob", "blobs"), verb, size(out.Deleted.Bytes))
	if out.Left > 0 {
		p.line("%s of writers that died removed", plural(out.Left, "file", "files"))
	}
}

func newRegistryScrub(s *session) *cobra.Command {
	var repair string
	var places bool
	cmd := &cobra.Command{
		Use: "scrub", Short: "Read all that is stored and find what is damaged or missing",
		Long: "Reads every blob that a record needs and compares it with its digest. What is damaged is put aside and never served; pushing " +
			"the same content again heals it, and so does --repair-from, which fetches it from where a rule of replication copies it. The places of releases " +
			"are asked whether they have what is only there; with --places it is read there too. Then it looks at the records of tags and artifacts, which have " +
			"sums, and at the files of SQLite: a damaged tag is mended by its sum or put aside, a damaged artifact is mended from its manifest. Exits 1 when " +
			"something is wrong and was not repaired.",
		Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			all := registry.Scrubbed{Findings: []registry.Finding{}}
			for {
				part, err := c.Scrub(cmd.Context(), api.Scrub{After: all.Next, Repair: towpath.ReplicationName(repair), Places: places})
				if err != nil {
					return err
				}
				all.Checked.Blobs += part.Checked.Blobs
				all.Checked.Bytes += part.Checked.Bytes
				all.Away.Blobs += part.Away.Blobs
				all.Away.Bytes += part.Away.Bytes
				all.Findings = append(all.Findings, part.Findings...)
				if all.Next = part.Next; all.Next == "" {
					break
				}
			}
			names, left := make([]string, len(all.Findings)), 0
			for i, f := range all.Findings {
				names[i] = cmp.Or(string(f.Digest), f.Record)
				if !f.Repaired {
					left++
				}
			}
			if err := s.print(result{data: all, names: names, show: func(p *page) { showScrubbed(p, all, repair == "") }}); err != nil || left == 0 {
				return err
			}
			return outcome(ExitError)
		},
	}
	cmd.Flags().BoolVar(&places, "places", false, "read what is only at the places of releases too, which takes as long as fetching it")
	cmd.Flags().StringVar(&repair, "repair-from", "", "rule of replication: fetch what is damaged again from where it copies releases")
	return cmd
}

// showScrubbed says what was found; fetch is that nothing was fetched from a copy yet.
func showScrubbed(p *page, all registry.Scrubbed, fetch bool) {
	p.line("%s read: %s", plural(all.Checked.Blobs, "blob", "blobs"), size(all.Checked.Bytes))
	if all.Away.Blobs > 0 {
		p.line("%s at the places of releases only: %s", plural(all.Away.Blobs, "blob", "blobs"), size(all.Away.Bytes))
	}
	if len(all.Findings) == 0 {
		p.line("all is as its digests say")
		return
	}
	p.line("")
	t := table{columns: []string{"WHAT", "IS", "NEEDED BY", "NOW"}}
	left := 0
	for _, f := range all.Findings {
		now := f.Why
		if f.Repaired {
			now = "repaired"
		} else {
			left++
		}
		t.add(cmp.Or(f.Record, string(f.Digest)), string(f.Harm), strings.Join(f.NeededBy, ", "), now)
	}
	p.table(t)
	if left == 0 {
		return
	}
	p.line("\nWhat is damaged is served to nobody. Push or publish the same content again to heal it, or restore it from a backup.")
	if fetch {
		p.line("What a rule of replication copied is fetched again by: towpath registry scrub --repair-from RULE (towpath replication list shows the rules)")
	}
}

func newRegistryRules(s *session) *cobra.Command {
	var immutable []string
	var none bool
	cmd := &cobra.Command{
		Use: "rules", Short: "Show or set which tags of the project never move",
		Long: "A tag that a pattern matches can't be moved or deleted once it is set: whoever tries gets 409. The versions of releases never " +
			"move, whatever the patterns say. Patterns are regular expressions (RE2).",
		Example: "  towpath registry rules\n  towpath registry rules --immutable '^v[0-9]' --immutable '^release-'",
		Args:    positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if none && len(immutable) > 0 {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--none takes every pattern away, and --immutable sets some: choose one"))
			}
			c, project, err := s.target()
			if err != nil {
				return err
			}
			rules := api.TagRules{Immutable: immutable}
			if none {
				rules.Immutable = []string{}
			}
			if rules.Immutable != nil {
				err = c.SetTagRules(cmd.Context(), project, rules)
			} else {
				rules, err = c.TagRules(cmd.Context(), project)
			}
			if err != nil {
				return err
			}
			r := result{data: rules, names: rules.Immutable, none: "every tag but the versions of releases may move"}
			r.table.columns = []string{"IMMUTABLE"}
			for _, pattern := range rules.Immutable {
				r.table.add(pattern)
			}
			return s.print(r)
		},
	}
	cmd.Flags().StringArrayVar(&immutable, "immutable", nil, "pattern of tags that never move; repeat for more; replaces those that are set")
	cmd.Flags().BoolVar(&none, "none", false, "take every pattern away")
	return cmd
}
