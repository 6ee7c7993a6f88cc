package release

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// find is the candidate that a name means.
func find(ctx context.Context, tx Tx, p towpath.ProjectName, name string) (towpath.Candidate, error) {
	found, err := tx.FindCandidates(ctx, p, name, towpath.MaxMeanings)
	if err != nil {
		return towpath.Candidate{}, err
	}
	return towpath.ChooseCandidate(p, name, found)
}

// Get reads a release with its content, labels and candidates.
func (s *Service) Get(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string) (towpath.Release, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return towpath.Release{}, err
	}
	var r towpath.Release
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		c, err := find(ctx, tx, p, name)
		if err != nil {
			return err
		}
		if r, err = s.read(ctx, tx, p, c.Release); err != nil {
			return err
		}
		r.Runs, err = runs(ctx, tx, actor, r)
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
	if r.Candidates, err = tx.CandidatesOf(ctx, p, d); err != nil {
		return r, err
	}
	images, err := tx.ImagesOf(ctx, p, d)
	r.Images = images.Images
	return r, err
}

// runs lists the last stays of a release's candidates, where its reader may see
// what runs.
func runs(ctx context.Context, tx Tx, actor towpath.Actor, r towpath.Release) ([]towpath.Run, error) {
	environments, err := tx.Environments(ctx, r.Project)
	if err != nil {
		return nil, err
	}
	var out []towpath.Run
	for _, e := range environments {
		if access.Check(actor, access.EnvironmentRead, access.Subject{Project: r.Project, Environment: e.Name}) != nil {
			continue
		}
		for _, c := range r.Candidates {
			all, err := tx.RunsOf(ctx, r.Project, e.Name, c.ID)
			if err != nil {
				return nil, err
			}
			if len(all) > 0 {
				out = append(out, all[0])
			}
		}
	}
	return out, nil
}

// Provenance reads the statement that a candidate was published with, in its
// exact bytes. A release by another of its names means its newest candidate.
func (s *Service) Provenance(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string) (towpath.Candidate, []byte, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return towpath.Candidate{}, nil, err
	}
	var c towpath.Candidate
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		c, err = find(ctx, tx, p, name)
		return err
	})
	if err != nil {
		return c, nil, err
	}
	statement, err := blob.ReadAll(ctx, s.blobs, c.Provenance, maxProvenance)
	return c, statement, blob.Lost(err)
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
