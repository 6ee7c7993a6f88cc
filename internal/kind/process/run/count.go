package run

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Counts are what the router has counted of all targets. Instances that share
// traffic are asked whether they are healthy, for the next time.
func (r *Runner) Counts(ctx context.Context) ([]kind.Count, error) {
	snap, err := r.router.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return nil, err
	}
	targets, unread := r.allTargets()
	var out []kind.Count
	var all []sharer
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
		out = append(out, count)
		if !count.Shared { // nobody asks what its instances do
			continue
		}
		rt, _ := st.Find(rec.Target.Key())
		sharers, err := r.sharers(rec, rt.Traffic)
		if err != nil {
			return nil, err
		}
		for i := range count.Revisions {
			if err := r.describe(&count.Revisions[i], rec, rt.Traffic, sharers); err != nil {
				return nil, err
			}
		}
		all = append(all, sharers...)
	}
	r.ask(ctx, all)
	return out, unread
}

// describe says of a revision what the router did not count: what part of the
// requests is copied to it, and why its instances don't do their work.
func (r *Runner) describe(c *towpath.RevisionCount, rec *target, t route.Traffic, sharers []sharer) (err error) {
	if m := t.Mirror; m != nil && m.Revision == c.Revision {
		c.Copied = m.Percent
	}
	if rec.wanted() < 2 { // nobody asks why
		return nil
	}
	beside := t.Revision
	if c.Revision == t.Revision {
		beside = orElse(standBy(rec, t), t.Revision)
	}
	if c.Broken, err = r.broken(rec, c.Revision, t.Revision); c.Broken == "" {
		c.Broken = r.watch.silent(sharers, c.Revision, beside)
	}
	return err
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
		case route.Class5xx, route.Unanswered:
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

// broken is why the instances of a revision don't run; empty: they do. One that
// was lost is as bad as one that crashed, but for the revision that has the
// traffic, of which [Runner.Keep] starts it again.
func (r *Runner) broken(rec *target, rev, has towpath.RevisionID) (string, error) {
	if _, known := rec.Revisions[rev]; !known {
		return "", nil
	}
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return "", err
		}
		if in.crashed() || rev != has && in.lost() {
			return in.gone(i), nil
		}
	}
	return "", nil
}
