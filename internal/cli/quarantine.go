package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

type quarantineCall func(*client.Client, context.Context, towpath.ProjectName, string, string) (towpath.Release, error)

func newQuarantine(s *session) *cobra.Command {
	cmd := s.newQuarantineCommand("quarantine", "Revoke a release everywhere, or every release that is made with something", (*client.Client).Quarantine,
		func(ctx context.Context, c *client.Client, p towpath.ProjectName, material, reason string) error {
			q, err := c.QuarantineMaterial(ctx, p, material, reason)
			if err != nil {
				return err
			}
			q.Affected = s.settled(ctx, q.Affected, func(ctx context.Context) (towpath.Affected, error) {
				return c.AffectedByMaterial(ctx, p, q.Material)
			})
			return s.print(result{data: q, names: []string{q.Material}, show: func(page *page) {
				page.field("material", q.Material)
				page.field("quarantined", page.style.bad(q.Reason))
				page.field("project", orAll(q.Project))
				showAffected(page, q.Affected, "no release that you may see, so look whether the name is right")
				page.line("it holds for releases that are published later, too")
			}})
		})
	cmd.Long = "With RELEASE, revokes one release: no gate passes it, no rollback goes to it, a deployment that brings it goes back, and environments that run it are flagged.\n\n" +
		"With --material, revokes every release of the project that is made with it, now and later: a digest (sha256:…, of an image or a file), a " +
		"package URL (pkg:golang/example.com/lib@v1.2.0; without a version all of them), or the name of a pin of towpath.lock, as the " +
		"provenance and the bill of materials name them. With --everywhere, in every project at once, those that are made later too; it takes an admin " +
		"of everything, as does lifting it. The answer says how many releases that reaches, in how many projects, and which environments run one: of those that you " +
		"may see. A key is revoked with `towpath trust revoke`."
	cmd.Example = "  towpath quarantine 1.4.0 --reason 'it leaks'\n  towpath quarantine --material pkg:npm/left-pad@1.3.1 --reason CVE-2026-1234\n" +
		"  towpath quarantine --material pkg:npm/left-pad@1.3.1 --everywhere --reason CVE-2026-1234"
	cmd.AddCommand(newQuarantineList(s))
	return cmd
}

func newUnquarantine(s *session) *cobra.Command {
	return s.newQuarantineCommand("unquarantine", "Lift a release's quarantine, or a material's", (*client.Client).Unquarantine,
		func(ctx context.Context, c *client.Client, p towpath.ProjectName, material, reason string) error {
			if err := c.UnquarantineMaterial(ctx, p, material, reason); err != nil {
				return listed(err, "towpath quarantine list")
			}
			if p == "" {
				return s.done("material", material, "lifted; releases that were quarantined for it are lifted within moments")
			}
			if err := s.done("material", material, "lifted"); err != nil {
				return err
			}
			s.tellWhatStays(ctx, c, p, material)
			return nil
		})
}

// tellWhatStays names the releases that stay quarantined for a material that was
// lifted: each is lifted by itself, because somebody has to look at it. That they
// can't be found out is no error: it is lifted.
func (s *session) tellWhatStays(ctx context.Context, c *client.Client, p towpath.ProjectName, material string) {
	list, err := c.Releases(ctx, p, client.Page{Limit: 100})
	if err != nil {
		return
	}
	seen := map[towpath.Digest]bool{} // one release may be published more than once
	var stay []string
	for _, r := range list.Items {
		if !r.Quarantined || seen[r.Digest] {
			continue
		}
		seen[r.Digest] = true
		whole, err := c.Release(ctx, p, string(r.Digest))
		if err == nil && release.ForMaterial(whole.Quarantine, material) {
			stay = append(stay, r.Version)
		}
	}
	if len(stay) == 0 {
		return
	}
	s.say("%s quarantined for it: %s; lift each with: towpath unquarantine %s --reason …",
		plural(len(stay), "release stays", "releases stay"), strings.Join(stay, ", "), stay[0])
}

type materialCall func(ctx context.Context, c *client.Client, p towpath.ProjectName, material, reason string) error

func (s *session) newQuarantineCommand(name, short string, release quarantineCall, ofMaterial materialCall) *cobra.Command {
	var reason, material string
	var everywhere bool
	cmd := &cobra.Command{
		Use: name + " RELEASE --reason TEXT", Short: short, Args: positional(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (material != "") {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "name a release, or a material with --material"))
			}
			if everywhere && material == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--everywhere goes with --material: a release belongs to one project"))
			}
			c, project, err := s.targetOrAll(everywhere)
			if err != nil {
				return err
			}
			if reason == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--reason says why; it is kept in the ledger"))
			}
			if material != "" {
				return ofMaterial(cmd.Context(), c, project, material, reason)
			}
			r, err := release(c, cmd.Context(), project, args[0], reason)
			if err != nil {
				return s.suggestRelease(cmd.Context(), c, project, args[0], err)
			}
			return s.print(result{data: r, names: []string{string(r.Digest)}, show: func(p *page) { showRelease(p, r) }})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	cmd.Flags().StringVar(&material, "material", "", "what releases are made with: a digest, a package URL, or the name of a pin")
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "in every project")
	return cmd
}

// targetOrAll is the project that is meant; none when all of them are.
func (s *session) targetOrAll(everywhere bool) (*client.Client, towpath.ProjectName, error) {
	if !everywhere {
		return s.target()
	}
	c, err := s.client()
	return c, "", err
}

func newQuarantineList(s *session) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the materials with which no release may be made", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := s.targetOrAll(everywhere)
			if err != nil {
				return err
			}
			items, err := c.QuarantinedMaterials(cmd.Context(), project)
			if err != nil {
				return err
			}
			p := &page{now: s.apps.Now()}
			r := result{data: api.QuarantinedMaterials{Items: items}, none: "no material is quarantined; `towpath release list` shows releases that are"}
			r.table.columns = []string{"MATERIAL", "PROJECT", "BY", "AGE", "REASON"}
			for _, q := range items {
				r.names = append(r.names, q.Material)
				r.table.add(q.Material, orAll(q.Project), string(q.By), p.age(q.At), q.Reason)
			}
			return s.print(r)
		},
	}
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "only those of every project")
	return cmd
}
