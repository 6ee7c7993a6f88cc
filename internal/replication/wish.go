package replication

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// due is a release that a place should have. What is known of its copy is zero
// but for its names until the loop has seen it.
type due struct {
	towpath.Replication
	published time.Time // last, under any version
}

// overdue reports whether a release was published again since all of it was
// there: it has a version or a build there that the place does not know.
func (d *due) overdue() bool { return d.published.After(d.Fresh) }

// keepRuns is how many stays in an environment are looked back over.
const keepRuns = 100

// wishes gathers the releases that a rule is about and that have all their
// bytes.
type wishes struct {
	rule      towpath.ReplicationRule
	whole     map[towpath.Digest]towpath.Release
	published map[towpath.Digest]time.Time
	have      map[towpath.Digest]towpath.Replication
	wanted    map[towpath.Digest]bool
	out       []due
}

// wish lists what a rule is about, oldest wish first; have is what is known of
// its copies.
func wish(ctx context.Context, tx Tx, rule towpath.ReplicationRule, have []towpath.Replication) ([]due, error) {
	w := &wishes{
		rule: rule, whole: map[towpath.Digest]towpath.Release{}, have: map[towpath.Digest]towpath.Replication{}, wanted: map[towpath.Digest]bool{},
	}
	for _, x := range have {
		w.have[x.Release] = x
	}
	whole, err := tx.Whole(ctx, rule.Project)
	if err != nil {
		return nil, err
	}
	for _, r := range whole {
		w.whole[r.Digest] = r
	}
	if w.published, err = tx.LastPublished(ctx, rule.Project); err != nil {
		return nil, err
	}
	if rule.OnPublish() {
		w.releases(whole)
		err = w.running(ctx, tx)
	} else {
		err = w.stayed(ctx, tx)
	}
	for _, x := range have {
		if !x.Asked.IsZero() {
			w.add(x.Release, x.Asked)
		}
	}
	slices.SortStableFunc(w.out, func(a, b due) int { return a.Since.Compare(b.Since) })
	return w.out, err
}

// add wants a release, once, unless its bytes were given up. It can't be behind
// for longer than there is a rule.
func (w *wishes) add(d towpath.Digest, since time.Time) {
	if _, ok := w.whole[d]; !ok || w.wanted[d] {
		return
	}
	w.wanted[d] = true
	x, known := w.have[d]
	if !known {
		if since.Before(w.rule.AddedAt) {
			since = w.rule.AddedAt
		}
		x = towpath.Replication{Project: w.rule.Project, Rule: w.rule.Name, Release: d, Since: since}
	}
	w.out = append(w.out, due{x, w.published[d]})
}

// releases wants what was published since there is a rule, the first time or
// as another version of what was known before. A place has all that there is.
func (w *wishes) releases(whole []towpath.Release) {
	for _, r := range whole {
		last := w.published[r.Digest]
		switch {
		case w.rule.Place != nil || !r.Published.Before(w.rule.AddedAt):
			w.add(r.Digest, r.Published)
		case !last.Before(w.rule.AddedAt):
			w.add(r.Digest, last)
		}
	}
}

// running wants what any environment runs.
func (w *wishes) running(ctx context.Context, tx Tx) error {
	all, err := tx.Environments(ctx, w.rule.Project)
	for _, e := range all {
		w.add(e.Release, e.Since)
	}
	return err
}

// stayed wants what stays in an environment that the rule serves, or stayed there
// since there is a rule: what ended before was not asked for.
func (w *wishes) stayed(ctx context.Context, tx Tx) error {
	all, err := tx.Environments(ctx, w.rule.Project)
	for _, e := range all {
		if err != nil || !w.rule.Serves(e) {
			continue
		}
		var runs []towpath.Run
		runs, err = tx.Runs(ctx, w.rule.Project, e.Name, keepRuns)
		for _, run := range slices.Backward(runs) {
			if (run.Verified || run.Ended.IsZero()) && (run.Ended.IsZero() || run.Ended.After(w.rule.AddedAt)) {
				w.add(run.Release, run.Began)
			}
		}
	}
	return err
}
