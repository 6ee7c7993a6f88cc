package apitest

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

type projects struct{ w *World }

func (s projects) Register(ctx context.Context, actor towpath.Actor, name towpath.ProjectName, repository string) (towpath.Project, error) {
	if err := s.w.enter(ctx, actor, "projects.Register"); err != nil {
		return towpath.Project{}, err
	}
	defer s.w.mu.Unlock()
	p := towpath.Project{Name: name, Repository: repository}
	s.w.Projects = append(s.w.Projects, p)
	return p, nil
}

func (s projects) List(ctx context.Context, actor towpath.Actor) ([]towpath.Project, error) {
	if err := s.w.enter(ctx, actor, "projects.List"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Projects, nil
}

type releases struct{ w *World }

func (s releases) HasBlob(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, d towpath.Digest) (int64, error) {
	if err := s.w.enter(ctx, actor, "releases.HasBlob"); err != nil {
		return 0, err
	}
	defer s.w.mu.Unlock()
	b, ok := s.w.Blobs[d]
	if !ok {
		return 0, absent("blob", string(d))
	}
	return int64(len(b)), nil
}

func (s releases) PutBlob(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, d towpath.Digest, body io.Reader) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "blob.put", "the blob can't be stored").WithCause(err)
	}
	if towpath.DigestOf(b) != d {
		return towpath.E(towpath.KindInvalid, "blob.put", "the bytes don't have that digest").On(string(d))
	}
	if err := s.w.enter(ctx, actor, "releases.PutBlob"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	s.w.Blobs[d] = b
	return nil
}

func (s releases) Publish(ctx context.Context, actor towpath.Actor, r release.PublishRequest) (release.Published, error) {
	if err := s.w.enter(ctx, actor, "releases.Publish"); err != nil {
		return release.Published{}, err
	}
	defer s.w.mu.Unlock()
	digest := towpath.DigestOf(r.Manifest)
	c := towpath.Candidate{
		ID: towpath.CandidateOf(digest, towpath.DigestOf(r.Provenance), r.Commit), Project: r.Project, Release: digest,
		Provenance: towpath.DigestOf(r.Provenance), Commit: r.Commit, Ref: r.Ref, Version: r.Version, PublishedBy: actor.Account,
	}
	x := towpath.Release{Digest: digest, Project: r.Project, Candidates: []towpath.Candidate{c}}
	for _, has := range s.w.Releases {
		if slices.ContainsFunc(has.Candidates, func(was towpath.Candidate) bool { return was.ID == c.ID }) {
			return release.Published{Release: has, Candidate: c}, nil
		}
	}
	s.w.Releases = append(s.w.Releases, x)
	return release.Published{Release: x, Candidate: c, Created: true}, nil
}

func (s releases) List(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ release.Page) (release.List, error) {
	if err := s.w.enter(ctx, actor, "releases.List"); err != nil {
		return release.List{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Page, nil
}

func (s releases) Get(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, name string) (towpath.Release, error) {
	if err := s.w.enter(ctx, actor, "releases.Get"); err != nil {
		return towpath.Release{}, err
	}
	defer s.w.mu.Unlock()
	return s.get(name)
}

func (s releases) Provenance(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, name string) (towpath.Candidate, []byte, error) {
	if err := s.w.enter(ctx, actor, "releases.Provenance"); err != nil {
		return towpath.Candidate{}, nil, err
	}
	defer s.w.mu.Unlock()
	r, err := s.get(name)
	if err != nil {
		return towpath.Candidate{}, nil, err
	}
	return r.Candidates[0], s.w.Blobs[r.Candidates[0].Provenance], nil
}

func (s releases) get(name string) (towpath.Release, error) {
	return find(s.w.Releases, "release", name, func(r towpath.Release) bool {
		if strings.HasPrefix(string(r.Digest), name) {
			return true
		}
		for _, v := range r.Versions {
			if v.Version == name {
				return true
			}
		}
		return false
	})
}

func (s releases) Diff(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _, _ string, _ towpath.EnvironmentName) (release.Diff, error) {
	if err := s.w.enter(ctx, actor, "releases.Diff"); err != nil {
		return release.Diff{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Diff, nil
}

func (s releases) Collect(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, dryRun bool) (release.Collected, error) {
	if err := s.w.enter(ctx, actor, "releases.Collect"); err != nil {
		return release.Collected{}, err
	}
	defer s.w.mu.Unlock()
	return release.Collected{Project: p, DryRun: dryRun, Kept: 3, Releases: []towpath.Digest{towpath.DigestOf([]byte("old"))}, Blobs: 2, Bytes: 3 << 20}, nil
}

func (s releases) Quarantine(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, name, reason string) (towpath.Release, error) {
	if err := s.w.enter(ctx, actor, "releases.Quarantine"); err != nil {
		return towpath.Release{}, err
	}
	defer s.w.mu.Unlock()
	r, err := s.get(name)
	r.Quarantine = &towpath.Quarantine{Release: r.Digest, Reason: reason, By: actor.Account}
	return r, err
}

func (s releases) Unquarantine(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, name, _ string) (towpath.Release, error) {
	if err := s.w.enter(ctx, actor, "releases.Unquarantine"); err != nil {
		return towpath.Release{}, err
	}
	defer s.w.mu.Unlock()
	return s.get(name)
}

func (s releases) QuarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, reason string) (towpath.MaterialQuarantine, error) {
	if err := s.w.enter(ctx, actor, "releases.QuarantineMaterial"); err != nil {
		return towpath.MaterialQuarantine{}, err
	}
	defer s.w.mu.Unlock()
	q := towpath.MaterialQuarantine{Project: p, Material: material, Reason: reason, By: actor.Account}
	s.w.Materials = append(s.w.Materials, q)
	return q, nil
}

func (s releases) AffectedByMaterial(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ string) (towpath.Affected, error) {
	return s.w.affected(ctx, actor, "releases.AffectedByMaterial")
}

func (s releases) UnquarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, _ string) error {
	if err := s.w.enter(ctx, actor, "releases.UnquarantineMaterial"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	for i, q := range s.w.Materials {
		if q.Material == material && q.Project == p {
			s.w.Materials = append(s.w.Materials[:i:i], s.w.Materials[i+1:]...)
			return nil
		}
	}
	return absent("material", material)
}

func (s releases) QuarantinedMaterials(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error) {
	if err := s.w.enter(ctx, actor, "releases.QuarantinedMaterials"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.w.Materials), func(q towpath.MaterialQuarantine) bool { return q.Project != "" && q.Project != p }), nil
}
