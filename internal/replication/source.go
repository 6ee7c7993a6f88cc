package replication

import (
	"context"
	"io"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// own is our own store as a source.
type own struct {
	store      Store
	blobs      blob.Store
	repository towpath.RepositoryName
}

var _ replicate.Source = own{}

// Manifest implements [replicate.Source].
func (o own) Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	return blob.ReadAll(ctx, o.blobs, towpath.Digest(d.Digest), d.Size)
}

// Blob implements [replicate.Source].
func (o own) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	r, _, err := o.blobs.Open(ctx, towpath.Digest(d.Digest))
	return r, err
}

// referrersPage is how many referrers are read at once.
const referrersPage = 500

// Referrers implements [replicate.Source].
func (o own) Referrers(ctx context.Context, subject v1.Descriptor) ([]v1.Descriptor, error) {
	var out []v1.Descriptor
	for after := towpath.Digest(""); ; {
		var page []towpath.Artifact
		err := o.store.View(ctx, func(ctx context.Context, tx Tx) error {
			var err error
			page, err = tx.Referrers(ctx, o.repository, towpath.Digest(subject.Digest), "", after, referrersPage)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, a := range page {
			out = append(out, v1.Descriptor{
				MediaType: a.MediaType, Digest: digest.Digest(a.Digest), Size: a.Size, ArtifactType: a.ArtifactType,
			})
		}
		if len(page) < referrersPage {
			return out, nil
		}
		after = page[len(page)-1].Digest
	}
}

// shipment is a release ready to be copied.
type shipment struct {
	source replicate.Source
	graph  *replicate.Graph
	tags   []string
	// candidates are those whose records are in it.
	candidates []towpath.CandidateID
}

// attached are the manifests that are about the release itself.
func (s shipment) attached() (out []towpath.Digest) {
	for _, n := range s.graph.About(s.graph.Root.Digest) {
		out = append(out, towpath.Digest(n.Digest))
	}
	return out
}

// content names everything in a shipment.
func (s shipment) content() towpath.Digest {
	parts := append([]string(nil), s.tags...)
	for _, n := range s.graph.Nodes {
		parts = append(parts, string(n.Digest))
	}
	return towpath.HashOf(parts...)
}

// pack finds a release with everything that is attached to it, and what it was
// published with.
func (s *Service) pack(ctx context.Context, p towpath.ProjectName, release towpath.Digest) (shipment, error) {
	src := own{s.store, s.blobs, towpath.ReleaseRepository(p)}
	var artifact towpath.Artifact
	var versions []towpath.VersionLabel
	var candidates []towpath.Candidate
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if artifact, err = tx.Artifact(ctx, src.repository, release); err != nil {
			return err
		}
		if versions, err = tx.Versions(ctx, p, release); err != nil {
			return err
		}
		candidates, err = tx.CandidatesOf(ctx, p, release)
		return err
	})
	if err != nil {
		return shipment{}, err
	}
	root := v1.Descriptor{MediaType: artifact.MediaType, Digest: digest.Digest(release), Size: artifact.Size, ArtifactType: artifact.ArtifactType}
	var records []oci.Attachment
	for _, c := range candidates {
		provenance, err := blob.ReadAll(ctx, s.blobs, c.Provenance, maxProvenance)
		if err != nil {
			return shipment{}, err
		}
		a, err := oci.AttachCandidate(oci.Blob{Digest: release, Size: artifact.Size},
			oci.CandidateRecord{Commit: c.Commit, Ref: c.Ref, Version: c.Version, Provenance: provenance})
		if err != nil {
			return shipment{}, err
		}
		records = append(records, a)
	}
	out := shipment{source: replicate.NewOverlay(src, root.Digest, records)}
	for _, c := range candidates {
		out.candidates = append(out.candidates, c.ID)
	}
	for _, v := range versions {
		if tag := towpath.VersionTag(v.Version); tag != "" {
			out.tags = append(out.tags, tag)
		}
	}
	out.graph, err = replicate.Walk(ctx, out.source, root, replicate.Config{})
	return out, err
}

// maxProvenance is the largest statement that a release is published with, in
// bytes.
const maxProvenance = 4 << 20
