package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Counts are what the router has counted of all targets.
func (r *Runner) Counts(ctx context.Context) ([]kind.Count, error) {
	snap, err := r.router.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := r.allTargets()
	if err != nil {
		return nil, err
	}
	var out []kind.Count
	for _, rec := range targets {
		count := kind.Count{Shared: rec.wanted() > 1}
		count.Target, count.At, count.Bounds = rec.Target, snap.At, snap.Bounds
		for _, s := range snap.Series {
			if s.Route == rec.Target.Key() && !s.Left {
				count.Revisions = addSeries(count.Revisions, s)
			}
		}
		if len(count.Revisions) == 0 {
			continue
		}
		rt, _ := st.Find(rec.Target.Key())
		for i := range count.Revisions {
			if m := rt.Traffic.Mirror; m != nil && m.Revision == count.Revisions[i].Revision {
				count.Revisions[i].Copied = m.Percent
			}
			if !count.Shared { // nobody asks
				continue
			}
			if count.Revisions[i].Broken, err = r.broken(rec, count.Revisions[i].Revision); err != nil {
				return nil, err
			}
		}
		out = append(out, count)
	}
	return out, nil
}

// addSeries adds a series to those of its revision: it has several when several
// deployments brought it.
func addSeries(all []towpath.RevisionCount, s route.Series) []towpath.RevisionCount {
	i := slices.IndexFunc(all, func(c towpath.RevisionCount) bool { return c.Revision == s.Revision })
	if i < 0 {
		all = append(all, towpath.RevisionCount{Revision: s.Revision, Buckets: make([]uint64, len(s.Client.Buckets))})
		i = len(all) - 1
	}
	c := &all[i]
	c.Weight += s.Weight
	users := towpath.RequestCount{Requests: c.Requests, Failed: c.Failed, Buckets: c.Buckets}
	addTally(&users, s.Client)
	c.Requests, c.Failed, c.Buckets = users.Requests, users.Failed, users.Buckets
	c.Copies, c.Originals = orTally(c.Copies, s.Mirrored), orTally(c.Originals, s.Original)
	return all
}

func addTally(c *towpath.RequestCount, t route.Tally) {
	for class, n := range t.Requests {
		switch class {
		case route.Class5xx:
			c.Failed += n
			c.Requests += n
		case route.Aborted: // the client's own doing: neither good nor bad
		default:
			c.Requests += n
		}
	}
	for b, n := range t.Buckets {
		if b < len(c.Buckets) {
			c.Buckets[b] += n
		}
	}
}

// orTally adds what was counted of copies, of which most rollouts have none.
func orTally(c *towpath.RequestCount, t route.Tally) *towpath.RequestCount {
	out := towpath.RequestCount{Buckets: make([]uint64, len(t.Buckets))}
	if c != nil {
		out = *c
	}
	addTally(&out, t)
	if out.Requests == 0 {
		return nil
	}
	return &out
}

// broken is why the instances of a revision don't do their work; empty: they
// run.
func (r *Runner) broken(rec *target, rev towpath.RevisionID) (string, error) {
	if _, known := rec.Revisions[rev]; !known {
		return "", nil
	}
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return "", err
		}
		if in.crashed() {
			return fmt.Sprintf("instance %d %s", i, in.exit), nil
		}
	}
	return "", nil
}
