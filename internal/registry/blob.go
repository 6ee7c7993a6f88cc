package registry

import (
	"context"
	"io"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// PutBlob takes a whole blob in at once.
func (s *Service) PutBlob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, body io.Reader) error {
	const op = "registry.upload"
	if err := allowed(op, actor, access.RegistryPush, r); err != nil {
		return err
	}
	if err := checkDigest(op, d); err != nil {
		return err
	}
	// Nothing is written for a project that is not there.
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.Project(ctx, r.Project())
		return as(err, towpath.KindNotFound, NameUnknown, op, "there is no project %s", r.Project())
	})
	if err != nil {
		return err
	}
	if err := s.put(ctx, d, nil, body); err != nil {
		return err
	}
	return s.link(ctx, r, d, "")
}

// put stores a blob: what came before, which may be nil, and what comes now.
func (s *Service) put(ctx context.Context, d towpath.Digest, before, body io.Reader) error {
	const op = "registry.upload"
	src := &source{r: body}
	whole := io.Reader(src)
	if before != nil {
		whole = io.MultiReader(before, src)
	}
	_, _, err := s.blobs.Put(ctx, d, whole, s.cfg.MaxBlob)
	if src.err == nil {
		err = as(err, towpath.KindInvalid, DigestInvalid, op, "the content does not have the digest %s", d)
	}
	failpoint.Hit("registry.blob.stored")
	return src.blame(err, s.cfg.MaxBlob)
}

// link records that a repository has a blob which is stored, and ends the
// upload that brought it, if there was one.
func (s *Service) link(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, ended UploadID) error {
	const op = "registry.upload"
	info, err := s.blobs.Stat(ctx, d)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := open(ctx, tx, op, r, now); err != nil {
			return err
		}
		if ended != "" {
			if was, err := tx.DeleteUpload(ctx, ended); err != nil {
				return err
			} else if !was {
				return unknownUpload(ended)
			}
		}
		return tx.LinkBlob(ctx, r, d, info.Size, true, now)
	})
	if err != nil {
		return err
	}
	failpoint.Hit("registry.blob.recorded")
	return s.settled(ctx, op, d)
}

// Mount makes a blob of another repository one of this, without copying it;
// false: no repository that the actor may pull from has it. From may be empty:
// any repository will do.
func (s *Service) Mount(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, from towpath.RepositoryName) (bool, error) {
	return s.mount(ctx, actor, r, d, func(ctx context.Context, tx Tx) (towpath.RepositoryName, error) {
		return mountable(ctx, tx, actor, d, from)
	})
}

// MountOwn is [Service.Mount] from any repository of the same project. Who does
// for a project what it asked for, as the mirror does, may pull from all of
// them; the project, which named the digest, may not.
func (s *Service) MountOwn(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest) (bool, error) {
	return s.mount(ctx, actor, r, d, func(ctx context.Context, tx Tx) (towpath.RepositoryName, error) {
		return tx.RepositoryWithBlob(ctx, Projects{Names: []towpath.ProjectName{r.Project()}}, d)
	})
}

func (s *Service) mount(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, find func(context.Context, Tx) (towpath.RepositoryName, error)) (bool, error) {
	const op = "registry.mount"
	if err := allowed(op, actor, access.RegistryPush, r); err != nil {
		return false, err
	}
	if err := checkDigest(op, d); err != nil {
		return false, err
	}
	now := s.cfg.Now()
	mounted := false
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		mounted = false
		if err := open(ctx, tx, op, r, now); err != nil {
			return err
		}
		source, err := find(ctx, tx)
		if err != nil || source == "" {
			return err
		}
		size, err := tx.KeepBlob(ctx, source, d)
		if towpath.KindOf(err) == towpath.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		mounted = true
		return tx.LinkBlob(ctx, r, d, size, true, now)
	})
	if err != nil || !mounted {
		return false, err
	}
	return true, s.settled(ctx, op, d)
}

// mountable is the repository to mount a blob from; empty: there is none. One
// that the actor may not pull from is as good as none.
func mountable(ctx context.Context, tx Tx, actor towpath.Actor, d towpath.Digest, from towpath.RepositoryName) (towpath.RepositoryName, error) {
	if from != "" {
		if towpath.KindOf(allowed("registry.mount", actor, access.RegistryPull, from)) != "" {
			return "", nil
		}
		return from, nil
	}
	everywhere, names := access.Projects(actor, access.RegistryPull)
	return tx.RepositoryWithBlob(ctx, Projects{All: everywhere, Names: names}, d)
}
