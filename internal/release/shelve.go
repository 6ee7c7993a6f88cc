package release

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// artifactOf is a release as an artifact of the registry, in its project's
// repository.
func artifactOf(p towpath.ProjectName, manifest []byte, m *oci.Manifest) towpath.Artifact {
	a := towpath.Artifact{
		Repository: towpath.ReleaseRepository(p), Digest: towpath.DigestOf(manifest),
		MediaType: towpath.MediaTypeManifest, ArtifactType: towpath.ArtifactTypeRelease, Size: int64(len(manifest)),
		References: []towpath.Reference{{Digest: m.Config.Digest, Size: m.Config.Size}},
	}
	for _, l := range m.Layers {
		a.References = append(a.References, towpath.Reference{Digest: l.Digest, Size: l.Size})
	}
	return a
}

// namedBy are the digests that an artifact names.
func namedBy(a towpath.Artifact) []towpath.Digest {
	out := make([]towpath.Digest, len(a.References))
	for i, r := range a.References {
		out[i] = r.Digest
	}
	return out
}

// sizeOf is the bytes of a release: manifest, content and layers.
func sizeOf(a towpath.Artifact) int64 {
	size := a.Size
	for _, r := range a.References {
		size += r.Size
	}
	return size
}

// shelve puts a release into the registry, under its digest and its versions.
// Its bytes are there already: both read the same blobs.
func shelve(ctx context.Context, tx Tx, a towpath.Artifact, versions []string, now time.Time) error {
	a.Pushed = now
	if err := tx.OpenRepository(ctx, a.Repository, now); err != nil {
		return err
	}
	for _, r := range a.References {
		if err := tx.LinkBlob(ctx, a.Repository, r.Digest, r.Size, false, now); err != nil {
			return err
		}
	}
	if err := tx.SaveArtifact(ctx, a); err != nil {
		return err
	}
	for _, v := range versions {
		tag := towpath.VersionTag(v)
		if tag == "" {
			continue // too long for a tag: it is there by its digest
		}
		if err := tx.SetTag(ctx, a.Repository, tag, a.Digest, now); err != nil {
			return err
		}
	}
	return nil
}

// Shelve puts what is about a release into the registry, under its digest and
// no tag.
func Shelve(ctx context.Context, tx Tx, a towpath.Artifact, now time.Time) error {
	if err := shelve(ctx, tx, a, nil, now); err != nil {
		return err
	}
	return tx.WakeReplications(ctx, a.Repository.Project(), now)
}

// shelving is how many releases one pass of [Service.Shelve] puts into the
// registry.
const shelving = 100

// Shelve puts releases into the registry that were published before there was
// one; again: there are more.
func (s *Service) Shelve(ctx context.Context) (again bool, err error) {
	var missing []towpath.Release
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		missing, err = tx.Unshelved(ctx, shelving)
		return err
	})
	if err != nil {
		return false, err
	}
	shared, err := s.latch.Share(ctx)
	if err != nil {
		return false, err
	}
	defer shared.Release()
	for _, r := range missing {
		if err := s.shelveOld(ctx, shared, r); err != nil {
			return false, err
		}
	}
	return len(missing) == shelving, nil
}

func (s *Service) shelveOld(ctx context.Context, shared Held, r towpath.Release) error {
	manifest, err := blob.ReadAll(ctx, s.blobs, r.Digest, oci.MaxManifest)
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest(manifest)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	return s.store.Update(ctx, under(shared, func(ctx context.Context, tx Tx) error {
		labels, err := tx.Versions(ctx, r.Project, r.Digest)
		if err != nil {
			return err
		}
		var versions []string
		for _, l := range labels {
			versions = append(versions, l.Version)
		}
		return shelve(ctx, tx, artifactOf(r.Project, manifest, m), versions, now)
	}))
}

// Protected is why a release can't be given up, as a part of a sentence; empty
// when no environment needs it. The environments stay as they are until the
// transaction ends.
func (s *Service) Protected(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest) (string, error) {
	environments, err := tx.Environments(ctx, p)
	if err != nil {
		return "", err
	}
	for _, e := range environments {
		if _, err := tx.LockEnvironment(ctx, p, e.Name); err != nil {
			return "", err
		}
	}
	all, err := histories(ctx, tx, p)
	if err != nil {
		return "", err
	}
	now := s.cfg.Now()
	for i, h := range all {
		if why := h.why(d, now); why != "" {
			return "environment " + string(environments[i].Name) + " " + why, nil
		}
	}
	return "", nil
}
