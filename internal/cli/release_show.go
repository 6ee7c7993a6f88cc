package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

func newReleaseShow(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "show RELEASE", Short: "Show a release by version, digest, commit or candidate", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.runReleaseShow(cmd.Context(), args[0]) },
	}
}

func (s *session) runReleaseShow(ctx context.Context, name string) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	r, err := c.Release(ctx, project, name)
	if err != nil {
		return s.suggestRelease(ctx, c, project, name, err)
	}
	return s.print(result{data: r, names: []string{string(r.Digest)}, show: func(p *page) { showRelease(p, r) }})
}

func showRelease(p *page, r towpath.Release) {
	p.field("digest", string(r.Digest))
	for _, v := range r.Versions {
		p.field("version", p.style.bold(v.Version))
	}
	p.field("size", size(r.Size))
	p.field("published", at(r.Published))
	if q := r.Quarantine; q != nil {
		p.field("quarantined", p.style.bad(q.Reason)+" (by "+string(q.By)+", "+at(q.At)+")")
	}
	if len(r.Candidates) > 0 {
		p.heading("Candidates")
		t := table{columns: []string{"CANDIDATE", "VERSION", "COMMIT", "REF", "BY", "AGE", "SUBJECT"}}
		for _, c := range r.Candidates {
			t.add(string(c.ID), orDash(c.Version), short(c.Commit), orDash(c.Ref), orDash(c.PublishedBy), p.age(c.Published), c.Subject)
		}
		p.table(t)
	}
	showImages(p, r.Images)
	showRuns(p, r.Runs)
	if r.Content == nil {
		return
	}
	p.heading("Components")
	t := table{columns: []string{"COMPONENT", "KIND", "SIZE", "DEPENDS ON", "+LAYER"}}
	for _, c := range r.Content.Components {
		t.add(string(c.Name), string(c.Kind), size(c.Size), orDash(join(c.DependsOn)), string(c.Layer))
	}
	p.table(t)
	showPins(p, r.Content.Pins)
	p.heading("Environments")
	t = table{columns: []string{"ENVIRONMENT", "FROM", "BRANCH", "PROMOTION", "APPROVALS", "SOAK", "CHECKS"}}
	for _, e := range r.Content.Environments {
		approvals, soak := dash, dash
		if a := e.Rules.Gates.Approvals; a != nil {
			approvals = plural(a.Count, "person", "people")
		}
		if d := e.Rules.Gates.Soak; d > 0 {
			soak = d.String()
		}
		t.add(string(e.Rules.Name), orDash(e.Rules.From), orDash(e.Rules.Branch), string(e.Rules.Promotion), approvals, soak,
			orDash(join(e.Rules.Gates.Checks)))
	}
	p.table(t)
}

// showPins shows what a release takes from outside.
func showPins(p *page, pins []towpath.ReleasePin) {
	if len(pins) == 0 {
		return
	}
	p.heading("From outside")
	t := table{columns: []string{"REFERENCE", "KIND", "STANDS FOR"}}
	for _, x := range pins {
		t.add(x.Name, orDash(x.Kind), orDash(x.What()))
	}
	p.table(t)
}

// showRuns shows where a release runs or ran, and what nobody can tell of that.
func showRuns(p *page, runs []towpath.Run) {
	if len(runs) == 0 {
		return
	}
	p.heading("Ran in")
	t := table{columns: []string{"ENVIRONMENT", "SINCE", "UNTIL", "VERIFIED", "+CANDIDATE", "+DEPLOYMENT"}}
	for _, r := range runs {
		until, verified := "now", p.style.good("yes")
		if !r.Ended.IsZero() {
			until = at(r.Ended)
		}
		if !r.Verified {
			verified = p.style.bad("no: " + r.Doubt)
		}
		t.add(string(r.Environment), at(r.Began), until, verified, string(r.Candidate), string(r.Deployment))
	}
	p.table(t)
	for _, r := range runs {
		for _, line := range p.unseen(r.Unseen) {
			p.line("%s: %s", r.Environment, line)
		}
	}
}

// showImages shows what a release takes from other registries, and whether it is
// in ours.
func showImages(p *page, images []towpath.PinnedImage) {
	if len(images) == 0 {
		return
	}
	p.heading("From other registries")
	t := table{columns: []string{"NAME", "SOURCE", "DIGEST", "MIRRORED", "ERROR", "+REPOSITORY"}}
	for _, i := range images {
		mirrored := dash
		if !i.Mirrored.IsZero() {
			mirrored = p.age(i.Mirrored)
		}
		t.add(i.Name, i.Source, short(i.Digest), mirrored, orDash(i.Error), orDash(i.Repository))
	}
	p.table(t)
}
