package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Bytes is something of the store with its size in bytes.
type Bytes struct {
	Digest towpath.Digest
	Size   int64
}

// Garbage says what to collect.
type Garbage struct {
	// DryRun changes nothing and says what would be.
	DryRun bool
	// UntaggedAge is since when a manifest that no tag names, that is about
	// nothing and that is no release has been there when it is given up too;
	// zero keeps such manifests: clients may know them by their digests.
	UntaggedAge time.Duration
}

// Collected is what a collection of garbage gave up, or would.
type Collected struct {
	DryRun   bool      `json:"dryRun"`
	Projects []GivenUp `json:"projects"` // that gave something up, by name
	Deleted  Size      `json:"deleted"`  // from the store, whoever brought it
	Left     int       `json:"left"`     // files that writers who died left behind
	Before   time.Time `json:"before"`   // what is younger was left alone
}

// GivenUp is what the repositories of a project have no more.
type GivenUp struct {
	Project  towpath.ProjectName `json:"project"`
	Dangling int                 `json:"dangling"` // manifests about something that is gone
	Untagged int                 `json:"untagged"` // manifests, also of mirrored images that no release pins any more
	Unused   int                 `json:"unused"`   // blobs that no manifest names
}

// Size is a number of blobs and the bytes that they have together.
type Size struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

func (s *Size) add(bytes int64) {
	s.Blobs++
	s.Bytes += bytes
}

const (
	gcBatch = 200             // rows or blobs at once
	gcTx    = 2000            // rows in a transaction
	minAge  = 1 * time.Minute // of untagged manifests
)

// errDry ends the transaction of a dry run: nothing of it stays.
var errDry = errors.New("dry run")

// CollectGarbage gives up what nothing needs any more and has been there for
// the time of grace: what is about a manifest that is gone, mirrored images that
// no release pins, blobs that no manifest names, and bytes of which no record
// knows. It is safe beside those
// who push: what they push or ask for is young again, and what they are told is
// stored is looked for once more when it is recorded.
func (s *Service) CollectGarbage(ctx context.Context, actor towpath.Actor, g Garbage) (Collected, error) {
	const op = "registry.gc"
	if err := access.Check(actor, access.ServerManage, access.Subject{}); err != nil {
		return Collected{}, err
	}
	if g.UntaggedAge < 0 || g.UntaggedAge > 0 && g.UntaggedAge < minAge {
		return Collected{}, towpath.E(towpath.KindInvalid, op, "untagged manifests can't be given up after %s", g.UntaggedAge).
			WithHint("give a minute or more, for example 720h")
	}
	now := s.cfg.Now()
	c := &collection{
		Service: s, actor: actor, Garbage: g, now: now, before: now.Add(-s.cfg.Grace),
		projects: map[towpath.ProjectName]*GivenUp{}, doomed: map[towpath.Digest]int{},
	}
	err := c.run(ctx)
	out := Collected{DryRun: g.DryRun, Projects: []GivenUp{}, Deleted: c.deleted, Left: c.left, Before: c.before}
	for _, p := range slices.Sorted(maps.Keys(c.projects)) {
		out.Projects = append(out.Projects, *c.projects[p])
	}
	return out, err
}

// collection is one collection of garbage.
type collection struct {
	*Service
	Garbage
	actor       towpath.Actor
	now, before time.Time

	projects map[towpath.ProjectName]*GivenUp
	// doomed counts the records that a dry run would delete, by the digest of
	// what they hold.
	doomed  map[towpath.Digest]int
	deleted Size
	left    int
}

func (c *collection) run(ctx context.Context) error {
	if !c.DryRun { // which reads the whole database
		if err := c.intact(ctx, "registry.gc"); err != nil {
			return err
		}
	}
	if err := c.shelved(ctx); err != nil {
		return err
	}
	if err := c.repositories(ctx); err != nil {
		return err
	}
	return c.sweep(ctx)
}

// shelved makes sure that the registry knows what every release needs.
func (c *collection) shelved(ctx context.Context) error {
	return c.store.View(ctx, func(ctx context.Context, tx Tx) error {
		missing, err := tx.Unshelved(ctx, 1)
		if err == nil && len(missing) > 0 {
			err = towpath.E(towpath.KindUnavailable, "registry.gc", "releases of before there was a registry are still being put into it").
				On(string(missing[0].Digest)).WithHint("the server does that by itself; try again in some minutes")
		}
		return err
	})
}

// repositories has every repository give up what it does not need.
func (c *collection) repositories(ctx context.Context) error {
	for after := ""; ; {
		var names []string
		err := c.store.View(ctx, func(ctx context.Context, tx Tx) error {
			var err error
			names, err = tx.RepositoryNames(ctx, Projects{All: true}, after, gcBatch)
			return err
		})
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := c.repository(ctx, towpath.RepositoryName(name)); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
	}
}

// repository gives up what a repository does not need, some rows at a time; a
// dry run takes all at once and then takes it back.
func (c *collection) repository(ctx context.Context, r towpath.RepositoryName) error {
	for {
		var got pass
		err := c.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			got = pass{limit: gcTx}
			if c.DryRun {
				got.limit = 0
			}
			if err := c.giveUp(ctx, tx, r, &got); err != nil {
				return err
			}
			if c.DryRun {
				return errDry
			}
			if len(got.gone) == 0 {
				return nil
			}
			ev, err := withData(event(c.now, c.actor, "registry.collected", r, ""), got.GivenUp)
			if err != nil {
				return err
			}
			return tx.Record(ctx, ev)
		})
		if err != nil && !errors.Is(err, errDry) {
			return err
		}
		c.count(r.Project(), got)
		if !got.full() {
			return nil
		}
	}
}

// pass is what one transaction gave up.
type pass struct {
	GivenUp
	gone  []towpath.Digest
	limit int // of gone; 0: none
}

func (p *pass) full() bool { return p.limit > 0 && len(p.gone) >= p.limit }

// giveUp gives up manifests, then the blobs that only they named. What is gone
// may leave more with nobody who needs it, so it ends when a round finds
// nothing.
func (c *collection) giveUp(ctx context.Context, tx Tx, r towpath.RepositoryName, p *pass) error {
	p.Project = r.Project()
	if err := tx.LockRepository(ctx, r); err != nil {
		return err
	}
	steps := []struct {
		n      *int
		list   func(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]Bytes, error)
		remove func(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, before time.Time) (bool, error)
		before time.Time
	}{
		// All of them may have been pushed or asked for again since they were listed.
		{&p.Untagged, tx.Untagged, tx.DeleteUnused, c.now.Add(-c.UntaggedAge)},
		{&p.Dangling, tx.Dangling, tx.DeleteUnused, c.before},
		{&p.Unused, tx.Unreferenced, tx.UnlinkUnused, c.before},
	}
	switch {
	case r.IsMirror(): // what no release pins any more goes by itself
		steps[0].list, steps[0].before = tx.Unpinned, c.before
	case c.UntaggedAge == 0:
		steps = steps[1:]
	}
	for found := true; found; {
		found = false
		for _, step := range steps {
			if p.full() {
				return nil
			}
			all, err := step.list(ctx, r, step.before, gcBatch)
			if err != nil {
				return err
			}
			for _, f := range all {
				removed, err := step.remove(ctx, r, f.Digest, step.before)
				if err != nil {
					return err
				}
				if !removed {
					continue
				}
				*step.n++
				p.gone = append(p.gone, f.Digest)
				found = true
			}
		}
	}
	return nil
}

func (c *collection) count(p towpath.ProjectName, got pass) {
	if len(got.gone) == 0 {
		return
	}
	sum := c.projects[p]
	if sum == nil {
		sum = &GivenUp{Project: p}
		c.projects[p] = sum
	}
	sum.Dangling += got.Dangling
	sum.Untagged += got.Untagged
	sum.Unused += got.Unused
	if c.DryRun {
		for _, d := range got.gone {
			c.doomed[d]++
		}
	}
}

// sweep deletes the bytes that no record holds.
func (c *collection) sweep(ctx context.Context) error {
	var batch []blob.Info
	flush := func() error {
		defer func() { batch = batch[:0] }()
		return c.delete(ctx, batch)
	}
	err := c.blobs.Walk(ctx, func(i blob.Info) error {
		if !i.Written.Before(c.before) {
			return nil
		}
		if batch = append(batch, i); len(batch) < gcBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil || c.DryRun {
		return err
	}
	c.left, err = c.blobs.Sweep(ctx, c.before)
	return err
}

// delete deletes those of some old blobs that no record holds. It looks again
// when nobody can be about to record one.
func (c *collection) delete(ctx context.Context, old []blob.Info) error {
	dead, err := c.dead(ctx, old)
	if err != nil || len(dead) == 0 {
		return err
	}
	if c.DryRun {
		for _, i := range dead {
			c.deleted.add(i.Size)
		}
		return nil
	}
	check, release, err := c.collector.Alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if dead, err = c.dead(ctx, dead); err != nil {
		return err
	}
	for _, i := range dead {
		if err := check(ctx); err != nil {
			return err
		}
		done, err := c.blobs.DeleteOlder(ctx, i.Digest, c.before)
		if err != nil {
			return err
		}
		if done {
			c.deleted.add(i.Size)
		}
	}
	return nil
}

// dead are those of some blobs that no record holds, or none that stays.
func (c *collection) dead(ctx context.Context, all []blob.Info) ([]blob.Info, error) {
	if len(all) == 0 {
		return nil, nil
	}
	digests := make([]towpath.Digest, len(all))
	for i, b := range all {
		digests[i] = b.Digest
	}
	var held map[towpath.Digest]int
	err := c.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		held, err = tx.Holders(ctx, digests)
		return err
	})
	var dead []blob.Info
	for _, b := range all {
		if held[b.Digest] <= c.doomed[b.Digest] {
			dead = append(dead, b)
		}
	}
	return dead, err
}
