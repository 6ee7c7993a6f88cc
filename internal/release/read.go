package release

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Find is the candidate that a name means: its ID, a version, a release's
// digest, a commit or the beginning of one. Of several builds of one release
// it is the newest.
func Find(ctx context.Context, tx interface {
	FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error)
}, p towpath.ProjectName, name string) (towpath.Candidate, error) {
	found, err := tx.FindCandidates(ctx, p, name, 50)
	if err != nil {
		return towpath.Candidate{}, err
	}
	if len(found) == 0 {
		return towpath.Candidate{}, towpath.E(towpath.KindNotFound, "release.find", "project %s has no release %q", p, name).
			WithHint("`towpath release list` shows them")
	}
	for _, c := range found {
		if string(c.ID) == name || c.Version == name {
			return c, nil
		}
	}
	for _, c := range found[1:] {
		if c.Release != found[0].Release {
			return towpath.Candidate{}, towpath.E(towpath.KindInvalid, "release.find", "%q may mean %s or %s", name, found[0].Version, c.Version).
				WithHint("give more characters, or a version")
		}
	}
	return found[0], nil
}

// Get reads a release with its content, labels and candidates.
func (s *Service) Get(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string) (towpath.Release, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return towpath.Release{}, err
	}
	var r towpath.Release
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		c, err := Find(ctx, tx, p, name)
		if err != nil {
			return err
		}
		r, err = s.read(ctx, tx, p, c.Release)
		return err
	})
	if err != nil {
		return towpath.Release{}, err
	}
	r.Content, err = s.Content(ctx, p, r.Digest)
	return r, err
}

func (s *Service) read(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest) (towpath.Release, error) {
	r, _, err := tx.Release(ctx, p, d)
	if err != nil {
		return r, err
	}
	if r.Versions, err = tx.Versions(ctx, p, d); err != nil {
		return r, err
	}
	r.Candidates, err = tx.CandidatesOf(ctx, p, d)
	return r, err
}

// List reads a page of candidates, newest first.
func (s *Service) List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, page Page) (List, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return List{}, err
	}
	limit := page.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	before, id, err := parseCursor(page.Cursor)
	if err != nil {
		return List{}, err
	}
	out := List{Items: []Summary{}}
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = List{Items: []Summary{}}
		all, err := tx.Candidates(ctx, p, before, id, limit+1)
		if err != nil {
			return err
		}
		if len(all) > limit {
			all = all[:limit]
			last := all[limit-1]
			out.Next = strconv.FormatInt(last.Published.UnixMicro(), 36) + "." + string(last.ID)
		}
		for _, c := range all {
			item := Summary{
				Digest: c.Release, Version: c.Version, Candidate: c.ID, Commit: c.Commit, Ref: c.Ref,
				Subject: c.Subject, Published: c.Published, PublishedBy: c.PublishedBy,
			}
			if item.Environments, err = tx.EnvironmentsRunning(ctx, p, c.Release); err != nil {
				return err
			}
			if item.Environments == nil {
				item.Environments = []towpath.EnvironmentName{}
			}
			q, err := tx.Quarantine(ctx, p, c.Release)
			if err != nil {
				return err
			}
			item.Quarantined = q != nil
			out.Items = append(out.Items, item)
		}
		return nil
	})
	return out, err
}

func parseCursor(cursor string) (time.Time, towpath.CandidateID, error) {
	if cursor == "" {
		return time.Time{}, "", nil
	}
	at, id, ok := strings.Cut(cursor, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return time.Time{}, "", towpath.E(towpath.KindInvalid, "release.list", "the cursor is not one of this list").
			WithHint("use the `next` of the page before, as it is")
	}
	return time.UnixMicro(micros).UTC(), towpath.CandidateID(id), nil
}
