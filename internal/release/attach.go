package release

import (
	"context"
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// maxEvidence is how many manifests one request may attach.
const maxEvidence = 64

// evidence reads and checks what a request attaches: that it is about this
// release, and that all of it may be named. Who signed it, and what that is
// worth, is judged where it is relied on.
func (s *Service) evidence(ctx context.Context, actor towpath.Actor, r PublishRequest, release towpath.Digest) ([]towpath.Artifact, error) {
	const op = "release.publish"
	if len(r.Evidence) > maxEvidence {
		return nil, towpath.E(towpath.KindExhausted, op, "more than %d things are attached to the release", maxEvidence).
			WithHint("attach more of them through the registry")
	}
	if err := s.reachable(ctx, actor, r.Project, r.Evidence); err != nil {
		return nil, err
	}
	var out []towpath.Artifact
	var named []towpath.Digest
	for _, d := range r.Evidence {
		manifest, err := blob.ReadAll(ctx, s.blobs, d, oci.MaxManifest)
		if err != nil {
			return nil, err
		}
		m, err := oci.ParseAttachment(manifest)
		if err != nil {
			return nil, err
		}
		if m.Subject != release {
			return nil, towpath.E(towpath.KindInvalid, op, "evidence %s is about something else, not about release %s", towpath.Short(d), towpath.Short(release)).
				WithHint("publish the evidence that was made with this release")
		}
		a := towpath.Artifact{
			Repository: towpath.ReleaseRepository(r.Project), Digest: d, MediaType: towpath.MediaTypeManifest,
			Size: int64(len(manifest)), ArtifactType: m.ArtifactType, Annotations: m.Annotations, Subject: m.Subject,
		}
		if a.AnnotationBytes() > towpath.MaxAnnotations {
			return nil, towpath.E(towpath.KindInvalid, op, "evidence %s has more than %d bytes of annotations, which are listed with it", towpath.Short(d), towpath.MaxAnnotations).
				WithHint("attach what is long as a layer of it")
		}
		for _, b := range m.Blobs {
			a.References = append(a.References, towpath.Reference{Digest: b.Digest, Size: b.Size})
		}
		out, named = append(out, a), append(named, namedBy(a)...)
	}
	if err := s.reachable(ctx, actor, r.Project, named); err != nil {
		return nil, err
	}
	return out, s.sized(ctx, out)
}

// sized makes sure that what evidence names is there, as large as it says.
func (s *Service) sized(ctx context.Context, evidence []towpath.Artifact) error {
	for _, a := range evidence {
		for _, b := range a.References {
			info, err := s.blobs.Stat(ctx, b.Digest)
			if err != nil {
				return err
			}
			if info.Size != b.Size {
				return towpath.E(towpath.KindInvalid, "release.publish", "a blob of the evidence has %d bytes, its manifest says %d", info.Size, b.Size).On(string(b.Digest))
			}
		}
	}
	return nil
}

// attach puts evidence into the registry beside its release, and records what
// is new of it.
func attach(ctx context.Context, tx Tx, evidence []towpath.Artifact, ev towpath.Event, now time.Time) error {
	type attached struct {
		Digest towpath.Digest `json:"digest"`
		Type   string         `json:"type"`
	}
	var added []attached
	for _, a := range evidence {
		// It came as a blob, and is kept as what it is.
		if err := tx.UnlinkUpload(ctx, a.Repository, a.Digest); err != nil {
			return err
		}
		_, err := tx.Artifact(ctx, a.Repository, a.Digest)
		if err == nil {
			continue
		}
		if towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
		if err := shelve(ctx, tx, a, nil, now); err != nil {
			return err
		}
		added = append(added, attached{a.Digest, a.ArtifactType})
	}
	if len(added) == 0 {
		return nil
	}
	data, err := json.Marshal(added)
	if err != nil {
		return towpath.E(towpath.KindInternal, "release.publish", "the event can't be encoded").WithCause(err)
	}
	ev.Data = data
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return tx.WakePromotions(ctx, ev.Project, now) // a gate may wait for it
}
