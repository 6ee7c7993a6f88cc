package registry

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// maxSubjects bounds how far a chain of subjects is followed.
const maxSubjects = 16

// Delete deletes a tag, or the manifest with a digest and the tags that name
// it. Bytes are left to the collection of garbage.
func (s *Service) Delete(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, ref string) error {
	const op = "registry.delete"
	if err := allowed(op, actor, access.RegistryPush, r); err != nil {
		return err
	}
	digest, tag, err := reference(op, ref)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	if tag != "" {
		ev := event(now, actor, "tag.deleted", r, "")
		ev.Subject += ":" + tag
		return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			if err := deleteTag(ctx, tx, r, tag); err != nil {
				return err
			}
			return tx.Record(ctx, ev)
		})
	}
	ev := event(now, actor, "artifact.deleted", r, digest)
	given := event(now, actor, "release.collected", r, "")
	given.Subject, given.Release = string(digest), digest
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		wasRelease, err := s.deleteArtifact(ctx, tx, actor, r, digest, now)
		if err != nil {
			return err
		}
		if wasRelease {
			if err := tx.Record(ctx, given); err != nil {
				return err
			}
		}
		return tx.Record(ctx, ev)
	})
	if err == nil {
		s.sound(ArtifactKey{r, digest}.name())
	}
	return err
}

func deleteTag(ctx context.Context, tx Tx, r towpath.RepositoryName, tag string) error {
	const op = "registry.delete"
	if _, err := tx.LockTag(ctx, r, tag); err != nil {
		return explain(ctx, tx, op, r, err, tag)
	}
	if label, err := labelled(ctx, tx, r, tag); err != nil {
		return err
	} else if label != "" {
		return immutable(op, r, tag, "a version of the project, and a version stays for ever")
	}
	if pattern, err := ruled(ctx, tx, r, tag); err != nil {
		return err
	} else if pattern != "" {
		return immutable(op, r, tag, "kept from deletion by the project's rule "+pattern)
	}
	return tx.DeleteTag(ctx, r, tag)
}

// deleteArtifact deletes a manifest that nothing needs, and reports whether it
// was a release, whose record stays.
func (s *Service) deleteArtifact(ctx context.Context, tx Tx, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, now time.Time) (bool, error) {
	const op = "registry.delete"
	a, err := lockDeletable(ctx, tx, actor, ArtifactKey{r, d})
	if err != nil {
		return false, explain(ctx, tx, op, r, err, string(d))
	}
	if err := s.unneeded(ctx, tx, a); err != nil {
		return false, err
	}
	isRelease, err := isRelease(ctx, tx, r, d)
	if err != nil {
		return false, err
	}
	if isRelease {
		// It is what retention does, and so needs the same right.
		if err := access.Check(actor, access.ServerManage, access.Subject{Project: r.Project()}); err != nil {
			return false, err
		}
		if err := tx.MarkCollected(ctx, r.Project(), d, now); err != nil {
			return false, err
		}
	}
	if err := mayForget(ctx, tx, actor, a); err != nil {
		return false, err
	}
	tags, err := tx.TagsOf(ctx, r, d)
	if err != nil {
		return false, err
	}
	for _, tag := range tags {
		if pattern, err := ruled(ctx, tx, r, tag); err != nil {
			return false, err
		} else if pattern != "" {
			return false, immutable(op, r, tag, "kept from deletion by the project's rule "+pattern)
		}
		if err := tx.DeleteTag(ctx, r, tag); err != nil {
			return false, err
		}
	}
	return isRelease, tx.DeleteArtifact(ctx, r, d)
}

// mayForget makes sure that what is said of a release is not taken back by who may
// only push: of two reports about it the newer counts, so that without it the
// older would, and without its bill of materials nobody would know what it is made
// with. Junk that somebody attached is for an admin too.
func mayForget(ctx context.Context, tx Tx, actor towpath.Actor, a towpath.Artifact) error {
	if a.Subject == "" || a.ArtifactType != oci.MediaTypeBundle && a.ArtifactType != oci.MediaTypeSBOM {
		return nil
	}
	about, err := isRelease(ctx, tx, a.Repository, a.Subject)
	if err != nil || !about {
		return err
	}
	return access.Check(actor, access.ServerManage, access.Subject{Project: a.Repository.Project()})
}

// unneeded makes sure that no other manifest and no environment needs an
// artifact, nor what it is about: evidence stays as long as the release.
func (s *Service) unneeded(ctx context.Context, tx Tx, a towpath.Artifact) error {
	const op = "registry.delete"
	by, err := tx.ReferencedBy(ctx, a.Repository, a.Digest)
	if err != nil {
		return err
	}
	if by != "" {
		return fail(Unsupported, op, "the manifest is a part of %s", by).On(string(a.Digest)).WithHint("delete that first")
	}
	protected := s.protectedRelease
	switch {
	case a.Repository.IsMirror():
		protected = s.protectedImage
	case !a.Repository.IsProjects():
		return nil
	}
	d, about := a.Digest, a
	for range maxSubjects {
		if err := protected(ctx, tx, a, d); err != nil {
			return err
		}
		if about.Subject == "" {
			return nil
		}
		d = about.Subject
		if about, err = tx.Artifact(ctx, a.Repository, d); err != nil && towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
	}
	return nil
}

// protectedRelease makes sure that no environment needs a release.
func (s *Service) protectedRelease(ctx context.Context, tx Tx, a towpath.Artifact, d towpath.Digest) error {
	why, err := s.protection.Protected(ctx, tx, a.Repository.Project(), d)
	if err == nil && why != "" {
		err = fail(Denied, "registry.delete", "release %s can't be deleted, nor what is about it: %s", towpath.Short(d), why).
			On(string(a.Digest)).WithHint("it can be when nothing needs it any more; `towpath release collect` does that by rule")
	}
	return err
}

// protectedImage makes sure that no release pins a mirrored image.
func (s *Service) protectedImage(ctx context.Context, tx Tx, a towpath.Artifact, d towpath.Digest) error {
	by, err := tx.PinnedBy(ctx, a.Repository, d)
	if err == nil && by != "" {
		err = fail(Denied, "registry.delete", "it can't be deleted, nor what is about it: release %s pins it", towpath.Short(by)).
			On(string(a.Digest)).WithHint("it goes by itself when no release that is kept pins it")
	}
	return err
}

func isRelease(ctx context.Context, tx Tx, r towpath.RepositoryName, d towpath.Digest) (bool, error) {
	if !r.IsProjects() {
		return false, nil
	}
	_, _, err := tx.Release(ctx, r.Project(), d)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// DeleteBlob takes a blob that no manifest names from a repository.
func (s *Service) DeleteBlob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest) error {
	const op = "registry.delete"
	if err := allowed(op, actor, access.RegistryPush, r); err != nil {
		return err
	}
	if err := checkDigest(op, d); err != nil {
		return err
	}
	ev := event(s.cfg.Now(), actor, "blob.deleted", r, d)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.LockBlob(ctx, r, d)
		if towpath.KindOf(err) == towpath.KindNotFound {
			if err := known(ctx, tx, op, r); err != nil {
				return err
			}
			return unknownBlob(op, d)
		}
		if err != nil {
			return err
		}
		by, err := tx.ReferencedBy(ctx, r, d)
		if err != nil {
			return err
		}
		if by != "" {
			return fail(Unsupported, op, "the blob is a part of %s", by).On(string(d)).WithHint("delete that manifest first")
		}
		if err := tx.UnlinkBlob(ctx, r, d); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}
