package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// maxTags is how many tags one push may set.
const maxTags = 32

// PushRequest pushes a manifest whose blobs have been pushed before.
type PushRequest struct {
	Repository  towpath.RepositoryName
	Reference   string   // a tag or a digest
	Tags        []string // more tags
	ContentType string   // as it was sent; may be empty
	Manifest    []byte
}

// Pushed is the answer to a [PushRequest].
type Pushed struct {
	Digest  towpath.Digest
	Subject towpath.Digest // empty: it has none
	Tags    []string       // that name it now, of those asked for
}

// Push takes a manifest in: it checks it and what it names, and adds it with
// its tags in one transaction. Its subject may come later.
func (s *Service) Push(ctx context.Context, actor towpath.Actor, r PushRequest) (Pushed, error) {
	const op = "registry.push"
	if err := allowed(op, actor, access.RegistryPush, r.Repository); err != nil {
		return Pushed{}, err
	}
	a, tags, err := s.check(r)
	if err != nil {
		return Pushed{}, err
	}
	if _, _, err := s.blobs.Put(ctx, a.Digest, bytes.NewReader(r.Manifest), int64(s.cfg.MaxManifest)); err != nil {
		return Pushed{}, as(err, towpath.KindInvalid, DigestInvalid, op, "the manifest does not have the digest %s", a.Digest)
	}
	failpoint.Hit("registry.manifest.stored")
	now := s.cfg.Now()
	a.Pushed, a.ByClient = now, true
	ev := event(now, actor, "artifact.pushed", r.Repository, a.Digest)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := open(ctx, tx, op, r.Repository, now); err != nil {
			return err
		}
		created, err := s.addArtifact(ctx, tx, a)
		if err != nil {
			return err
		}
		var moved []string
		for _, tag := range tags {
			changed, err := setTag(ctx, tx, r.Repository, tag, a.Digest, now)
			if err != nil {
				return err
			}
			if changed {
				moved = append(moved, tag)
			}
		}
		if !created && len(moved) == 0 {
			return nil // the same again is no change
		}
		ev, err := withData(ev, pushedData{a.MediaType, a.ArtifactType, a.Subject, a.Size, moved})
		if err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil || a.Subject == "" {
			return err
		}
		if err := tx.WakeReplications(ctx, r.Repository.Project(), now); err != nil {
			return err
		}
		if r.Repository == towpath.ReleaseRepository(r.Repository.Project()) {
			if err := tx.WakeExaminations(ctx, r.Repository.Project(), a.Subject, now); err != nil {
				return err
			}
		}
		return tx.WakePromotions(ctx, r.Repository.Project(), now) // a gate may wait for what is said about a release
	})
	if err != nil {
		return Pushed{}, err
	}
	s.sound(ArtifactKey{a.Repository, a.Digest}.name())
	failpoint.Hit("registry.manifest.recorded")
	if err := s.settled(ctx, op, a.Digest); err != nil {
		return Pushed{}, err
	}
	return Pushed{Digest: a.Digest, Subject: a.Subject, Tags: tags}, nil
}

// pushedData are the facts of an artifact.pushed event.
type pushedData struct {
	MediaType    string         `json:"mediaType"`
	ArtifactType string         `json:"artifactType,omitempty"`
	Subject      towpath.Digest `json:"subject,omitempty"`
	Size         int64          `json:"size"`
	Tags         []string       `json:"tags,omitempty"` // that name it since
}

// check reads a request by itself.
func (s *Service) check(r PushRequest) (towpath.Artifact, []string, error) {
	const op = "registry.push"
	if len(r.Manifest) > s.cfg.MaxManifest {
		return towpath.Artifact{}, nil, fail(TooLarge, op, "the manifest has more than %d bytes", s.cfg.MaxManifest)
	}
	digest, tag, err := reference(op, r.Reference)
	if err != nil {
		return towpath.Artifact{}, nil, err
	}
	tags := slices.Clone(r.Tags)
	if tag != "" {
		tags = append(tags, tag)
	}
	slices.Sort(tags) // everybody locks tags in the same order
	tags = slices.Compact(tags)
	if len(tags) > maxTags {
		return towpath.Artifact{}, nil, fail(TooManyRequests, op, "one push sets at most %d tags", maxTags)
	}
	for _, t := range tags {
		if !towpath.ValidTag(t) {
			return towpath.Artifact{}, nil, badReference(op, t)
		}
	}
	a, err := parse(r.ContentType, r.Manifest)
	if err != nil {
		return towpath.Artifact{}, nil, err
	}
	h := towpath.NewHash(digest.Algorithm())
	h.Write(r.Manifest)
	a.Repository, a.Digest = r.Repository, towpath.DigestSum(digest.Algorithm(), h)
	if digest != "" && digest != a.Digest {
		return towpath.Artifact{}, nil, fail(DigestInvalid, op, "the manifest has the digest %s, not %s", a.Digest, digest).
			WithHint("it was changed or cut off on its way: send it again")
	}
	return a, tags, nil
}

// addArtifact records an artifact when everything that it names is there, and
// reports whether it is new. A damaged record of it is mended.
func (s *Service) addArtifact(ctx context.Context, tx Tx, a towpath.Artifact) (bool, error) {
	k := ArtifactKey{a.Repository, a.Digest}
	_, err := tx.Artifact(ctx, k.Repository, k.Digest)
	created := towpath.KindOf(err) == towpath.KindNotFound
	if err != nil && !created {
		x, damaged, again := tx.LockDamagedArtifact(ctx, k)
		if again != nil || !damaged {
			return false, err
		}
		was := a
		s.date(tx, x, &was)
		if _, err := tx.MendArtifact(ctx, k, was); err != nil {
			return false, err
		}
		created = true
	}
	// Everybody locks what is named in the same order.
	refs := slices.Clone(a.References)
	slices.SortFunc(refs, func(x, y towpath.Reference) int { return compare(x.Digest, y.Digest) })
	for _, ref := range slices.CompactFunc(refs, func(x, y towpath.Reference) bool { return x == y }) {
		if err := keep(ctx, tx, a.Repository, ref); err != nil {
			return false, err
		}
	}
	return created, tx.SaveArtifact(ctx, a)
}

func compare(a, b towpath.Digest) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// keep makes sure that the repository has what a manifest names, and keeps it
// until the transaction ends. An index may also name blobs.
func keep(ctx context.Context, tx Tx, r towpath.RepositoryName, ref towpath.Reference) error {
	const op = "registry.push"
	what, size := "blob", int64(0)
	err := error(nil)
	if ref.Manifest {
		what = "manifest"
		var a towpath.Artifact
		a, err = tx.LockArtifact(ctx, r, ref.Digest)
		size = a.Size
	}
	if !ref.Manifest || towpath.KindOf(err) == towpath.KindNotFound {
		size, err = tx.KeepBlob(ctx, r, ref.Digest)
	}
	if towpath.KindOf(err) == towpath.KindNotFound {
		return fail(ManifestBlobUnknown, op, "the manifest names a %s that the repository does not have", what).
			On(string(ref.Digest)).WithHint("push it first")
	}
	if err == nil && size != ref.Size {
		return fail(ManifestInvalid, op, "the manifest says that %s has %d bytes, and it has %d", ref.Digest, ref.Size, size)
	}
	return err
}

// reference tells a digest from a tag.
func reference(op, ref string) (towpath.Digest, string, error) {
	if d := towpath.Digest(ref); d.Algorithm() != "" {
		return d, "", nil
	}
	if towpath.ValidTag(ref) {
		return "", ref, nil
	}
	return "", "", badReference(op, ref)
}

func badReference(op, ref string) error {
	return fail(DigestInvalid, op, "%q is neither a tag nor a digest", shown(ref)).
		WithHint("a tag has up to 128 letters, digits, '.', '_' and '-'; a digest is sha256: and 64 hex digits, or sha512: and 128")
}

// event mints an event about something in a repository.
func event(now time.Time, actor towpath.Actor, action string, r towpath.RepositoryName, d towpath.Digest) towpath.Event {
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Subject, ev.RequestID = r.Project(), string(r), actor.RequestID
	if d != "" {
		ev.Subject += "@" + string(d)
	}
	return ev
}

func withData(ev towpath.Event, v any) (towpath.Event, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ev, towpath.E(towpath.KindInternal, "registry.record", "an event can't be encoded").WithCause(err)
	}
	ev.Data = raw
	return ev, nil
}
