package replication

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

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

// referrersPage is how many referrers are read at once, and maxReferrers how many
// of signed statements, and of all.
const (
	referrersPage = 500
	maxReferrers  = 50_000
)

// Referrers implements [replicate.Source]: the oldest first, so that what comes
// later pushes nothing out of a copy that has all that it may have.
func (o own) Referrers(ctx context.Context, subject v1.Descriptor) ([]v1.Descriptor, error) {
	var all []towpath.Artifact
	for _, kind := range []string{oci.MediaTypeBundle, ""} {
		some, err := o.about(ctx, towpath.Digest(subject.Digest), kind)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b towpath.Artifact) int {
		return cmp.Or(a.Pushed.Compare(b.Pushed), cmp.Compare(a.Digest, b.Digest))
	})
	out := make([]v1.Descriptor, len(all))
	for i, a := range all {
		out[i] = v1.Descriptor{MediaType: a.MediaType, Digest: digest.Digest(a.Digest), Size: a.Size, ArtifactType: a.ArtifactType}
	}
	return out, nil
}

// about lists what is about a subject, of one type or of any.
func (o own) about(ctx context.Context, subject towpath.Digest, kind string) (out []towpath.Artifact, err error) {
	for after := towpath.Digest(""); len(out) < maxReferrers; {
		var page []towpath.Artifact
		err := o.store.View(ctx, func(ctx context.Context, tx Tx) error {
			var err error
			page, err = tx.Referrers(ctx, o.repository, subject, kind, after, referrersPage)
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < referrersPage {
			break
		}
		after = page[len(page)-1].Digest
	}
	return out, nil
}

// needed are the statements about a release that a gate may wait for.
func (s *Service) needed(ctx context.Context, p towpath.ProjectName, release towpath.Digest) (out []towpath.Digest, err error) {
	said, err := s.cfg.Said.Statements(ctx, p, "", release)
	if towpath.KindOf(err) == towpath.KindExhausted {
		return nil, nil // no gate takes it then: it has a copy as far as there can be one
	}
	for _, a := range said {
		if a.Verified() {
			out = append(out, a.Artifact)
		}
	}
	return out, err
}

// leftOut counts what is left out of a copy.
type leftOut struct {
	n     int
	first string
}

func (l *leftOut) add(d v1.Descriptor, why error) {
	if l.n++; l.n == 1 {
		message, _ := towpath.PublicMessage(why)
		l.first = towpath.Short(towpath.Digest(d.Digest)) + ": " + message
	}
}

// String says what was left out, for people; empty: nothing.
func (l *leftOut) String() string {
	switch l.n {
	case 0:
		return ""
	case 1:
		return "a manifest about it is not copied: " + l.first
	}
	return fmt.Sprintf("%d manifests about it are not copied; the first is %s", l.n, l.first)
}

// shipment is a release ready to be copied.
type shipment struct {
	source replicate.Source
	graph  *replicate.Graph
	tags   []string
	// candidates are those whose records are in it.
	candidates []towpath.CandidateID
	left       string // out of it, for people
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
	needed, err := s.needed(ctx, p, release)
	if err != nil {
		return shipment{}, err
	}
	for _, r := range records {
		needed = append(needed, r.Digest)
	}
	var left leftOut
	out.graph, err = replicate.Walk(ctx, out.source, root, replicate.Config{Limits: s.cfg.Limits, Left: left.add, Needed: needed})
	out.left = left.String()
	return out, err
}

// maxProvenance is the largest statement that a release is published with, in
// bytes.
const maxProvenance = 4 << 20
