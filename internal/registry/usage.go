package registry

import (
	"context"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Usage is what the registry holds.
type Usage struct {
	Projects []ProjectUsage `json:"projects"` // that the actor may pull from, by name
	// Store is the whole store and Reclaimable what a collection of garbage
	// would delete from it; for those who may manage the server.
	Store *Size `json:"store,omitempty"`
	// Away is what is at the places of releases and not in the store.
	Away        *Size `json:"away,omitempty"`
	Reclaimable *Size `json:"reclaimable,omitempty"`
}

// ProjectUsage is what the repositories of a project hold. What several of them
// have counts once; what several projects have counts in each.
type ProjectUsage struct {
	Project      towpath.ProjectName `json:"project"`
	Repositories int                 `json:"repositories"`
	Manifests    int                 `json:"manifests"`
	Tags         int                 `json:"tags"`
	Blobs        int                 `json:"blobs"` // manifests too
	Bytes        int64               `json:"bytes"`
}

// Add adds the figures of another part of the same project.
func (u *ProjectUsage) Add(o ProjectUsage) {
	u.Repositories += o.Repositories
	u.Manifests += o.Manifests
	u.Tags += o.Tags
	u.Blobs += o.Blobs
	u.Bytes += o.Bytes
}

// Usage says what the registry holds, in one project or, with no name, in all
// that the actor may pull from.
func (s *Service) Usage(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) (Usage, error) {
	in := Projects{Names: []towpath.ProjectName{p}}
	if p == "" {
		in.All, in.Names = access.Projects(actor, access.RegistryPull)
	} else if err := access.Check(actor, access.RegistryPull, access.Subject{Project: p}); err != nil {
		return Usage{}, err
	}
	var out Usage
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		if p != "" {
			if _, err := tx.Project(ctx, p); err != nil {
				return err
			}
		}
		var err error
		out.Projects, err = tx.Usage(ctx, in)
		return err
	})
	if out.Projects == nil {
		out.Projects = []ProjectUsage{}
	}
	if err != nil || p != "" || access.Check(actor, access.ServerManage, access.Subject{}) != nil {
		return out, err
	}
	if err := s.stored(ctx, &out); err != nil {
		return Usage{}, err
	}
	would, err := s.CollectGarbage(ctx, actor, Garbage{DryRun: true})
	if towpath.KindOf(err) == towpath.KindUnavailable {
		return out, nil // not known yet: older releases are being put into the registry
	}
	out.Reclaimable = &would.Deleted
	return out, err
}

// stored says what the store has, and what is elsewhere instead.
func (s *Service) stored(ctx context.Context, out *Usage) error {
	var away map[towpath.Digest]int64
	if s.cfg.Away != nil {
		var err error
		if away, err = s.cfg.Away.Known(ctx); err != nil {
			return err
		}
	}
	out.Store = &Size{}
	err := s.blobs.Walk(ctx, func(i blob.Info) error {
		out.Store.add(i.Size)
		delete(away, i.Digest)
		return nil
	})
	if len(away) > 0 {
		out.Away = &Size{}
		for _, size := range away {
			out.Away.add(size)
		}
	}
	return err
}
