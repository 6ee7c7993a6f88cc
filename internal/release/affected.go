package release

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// AffectedByMaterial says what the quarantine of a material reaches, as far as
// the actor may see it: in a project, or without one wherever it was quarantined by
// one request.
func (s *Service) AffectedByMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material string) (towpath.Affected, error) {
	if err := mayKnowMaterials(actor, p); err != nil {
		return towpath.Affected{}, err
	}
	cause := causeHere(material)
	if p == "" {
		cause = causeEverywhere(material)
	}
	return s.AffectedBy(ctx, actor, p, []string{cause}, func(projects []towpath.ProjectName) (string, []string) {
		keys := []string{string(p) + "/" + material}
		for _, name := range projects {
			keys = append(keys, string(name)+"/"+material)
		}
		return WorkMaterial, keys
	})
}

// AffectedBy says which releases are quarantined for causes that are a time behind
// one of some beginnings, in a project or without one in all of them, as far as the actor may
// see it. Work names what is still to be done: a kind of work and its keys.
func (s *Service) AffectedBy(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, causes []string,
	work func(projects []towpath.ProjectName) (kind string, keys []string),
) (towpath.Affected, error) {
	var out towpath.Affected
	projects := []towpath.ProjectName{p}
	if p == "" {
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
			all, err := tx.Projects(ctx)
			projects = nil
			for _, x := range all {
				projects = append(projects, x.Name)
			}
			return err
		})
		if err != nil {
			return out, err
		}
	}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) { // before: what ends meanwhile is counted
		kind, keys := work(projects)
		out.Looking, err = tx.Pending(ctx, kind, keys)
		return err
	})
	if err != nil {
		return out, err
	}
	out.Environments = []towpath.AffectedEnvironment{}
	for _, name := range projects {
		if access.Check(actor, access.ReleaseRead, access.Subject{Project: name}) != nil {
			continue
		}
		if err := s.affectedIn(ctx, actor, name, causes, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// affectedIn counts what is affected in one project.
func (s *Service) affectedIn(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, causes []string, out *towpath.Affected) error {
	releases := map[towpath.Digest]bool{}
	after := towpath.Digest("")
	for more := true; more; {
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
			page, err := tx.Quarantines(ctx, p, after, pageQuarantines)
			if err != nil {
				return err
			}
			for _, q := range page {
				after = q.Release
				if slices.ContainsFunc(causes, func(c string) bool { return isFor(q.Cause, c) }) {
					releases[q.Release] = true
				}
			}
			more = len(page) == pageQuarantines
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(releases) == 0 {
		return nil
	}
	out.Releases += len(releases)
	out.Projects++
	return s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		environments, err := tx.Environments(ctx, p)
		for _, e := range environments {
			may := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e.Name}) == nil
			if may && releases[e.Release] {
				out.Environments = append(out.Environments, towpath.AffectedEnvironment{Project: p, Environment: e.Name, Release: e.Release})
			}
		}
		return err
	})
}
