package release

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// relinkAfter is how old the link of an upload may be before it is made young
// for somebody who asks: a small part of the registry's time of grace, and long
// enough that building release after release writes nothing for what is there.
const relinkAfter = time.Hour

// HasBlob is the size in bytes of a blob that the project may name in a release
// without bringing it: one that it has, or that the actor could pull from
// another project. Anything else is not-found, whether the store has it or not.
func (s *Service) HasBlob(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, d towpath.Digest) (int64, error) {
	if err := access.Check(actor, access.ReleasePublish, access.Subject{Project: p}); err != nil {
		return 0, err
	}
	now := s.cfg.Now()
	young, err := s.mayName(ctx, actor, p, d, now)
	if err != nil {
		return 0, err
	}
	// Whoever asks will not bring it: it must not be taken for a left-over
	// before the release is published.
	if err := s.blobs.Touch(ctx, d, now); err != nil {
		return 0, err
	}
	if !young {
		return s.link(ctx, p, d)
	}
	info, err := s.blobs.Stat(ctx, d)
	return info.Size, err
}

// PutBlob stores bytes under their digest, and records that the project brought
// them; other bytes are refused.
func (s *Service) PutBlob(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, d towpath.Digest, body io.Reader) error {
	if err := access.Check(actor, access.ReleasePublish, access.Subject{Project: p}); err != nil {
		return err
	}
	if err := s.known(ctx, p); err != nil { // before anything is written for it
		return err
	}
	if _, _, err := s.blobs.Put(ctx, d, body, s.cfg.MaxLayer); err != nil {
		return err
	}
	_, err := s.link(ctx, p, d)
	return err
}

func (s *Service) known(ctx context.Context, p towpath.ProjectName) error {
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.Project(ctx, p)
		return err
	})
	if towpath.KindOf(err) == towpath.KindNotFound {
		err = towpath.E(towpath.KindNotFound, "release.upload", "there is no project %s", p).
			WithHint("register it with `towpath project register`").WithCause(err)
	}
	return err
}

// mayName is nil when a project may name a blob, and says whether its own link
// to it needs no renewal.
func (s *Service) mayName(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, d towpath.Digest, now time.Time) (young bool, err error) {
	var linked time.Time
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		linked, err = tx.BlobLinked(ctx, towpath.ReleaseRepository(p), d)
		return err
	})
	switch towpath.KindOf(err) {
	case "":
		return now.Sub(linked) < relinkAfter, nil
	case towpath.KindNotFound:
		return false, s.reachable(ctx, actor, p, []towpath.Digest{d})
	}
	return false, err
}

// reachable makes sure that all of some digests may be named in a release of a
// project: each was brought there, or is in a repository from which the actor
// could pull it. Publishing links what is named, so that naming must give nobody
// more than that. What the store has besides is answered as if it were not there.
func (s *Service) reachable(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, digests []towpath.Digest) error {
	everywhere, projects := access.Projects(actor, access.RegistryPull)
	if !everywhere && !slices.Contains(projects, p) {
		projects = append(projects, p)
	}
	have := map[towpath.Digest]bool{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		found, err := tx.InRepositories(ctx, everywhere, projects, digests)
		for _, d := range found {
			have[d] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range digests {
		if !have[d] {
			return towpath.E(towpath.KindNotFound, "release.upload", "project %s has no blob %s", p, d).On(string(d)).
				WithHint("upload it; what only another project has needs the right to pull from there")
		}
	}
	return nil
}

// link records that a project has a blob, until a release names it or the
// registry's time of grace is over. It is not one that a client of the registry
// pushed: retention gives it up with its releases.
func (s *Service) link(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (size int64, err error) {
	shared, err := s.latch.Share(ctx) // nobody deletes it before it is recorded
	if err != nil {
		return 0, err
	}
	defer shared.Release()
	info, err := s.blobs.Stat(ctx, d)
	if err != nil {
		return 0, err
	}
	now, repository := s.cfg.Now(), towpath.ReleaseRepository(p)
	return info.Size, s.store.Update(ctx, under(shared, func(ctx context.Context, tx Tx) error {
		if err := tx.OpenRepository(ctx, repository, now); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, repository, d, info.Size, false, now)
	}))
}
