package deploy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// judgedBefore is how often rollouts are judged outside of the transaction that
// acts on the deployment. What then still came meanwhile is judged inside.
const judgedBefore = 2

// EvidenceSize is how much was counted and measured of a component. Both are
// added to and never changed, so equal sizes are of the same.
type EvidenceSize struct {
	Counts, Measurements int
	Counted, Measured    int64 // microseconds: the newest
}

// basis is what a verdict rests on, besides the time.
type basis struct {
	deployment towpath.Digest // but for what is said of it
	evidence   EvidenceSize
}

// verdict is what was judged of a component.
type verdict struct {
	on   basis
	said *towpath.Judgement // nil: nothing can be said yet
}

// verdicts are those of components. Judging takes long and a transaction that
// has a deployment locked must not, on SQLite least of all: so verdicts are made
// before it, and count in it only if what they rest on is what is there.
type verdicts map[towpath.ComponentName]verdict

// judgeBefore judges the rollouts of a deployment, outside of any transaction.
// Those of which something came meanwhile are judged again. It says, too, whose
// deployment it is.
func (s *Service) judgeBefore(ctx context.Context, id towpath.DeploymentID, now time.Time) (said verdicts, p towpath.ProjectName, err error) {
	said = verdicts{}
	for range judgedBefore {
		d, found, err := s.unjudged(ctx, id, said)
		if err != nil || len(found) == 0 {
			return said, d.Project, err
		}
		p = d.Project
		for _, e := range found {
			said[e.rollout.Component] = verdict{e.on, judge(&d, e.rollout, e.counts, e.measurements, now)}
		}
	}
	return said, p, nil
}

// evidence is all that a rollout is judged by.
type evidence struct {
	on           basis
	rollout      *towpath.Rollout
	counts       []towpath.TrafficCount
	measurements []towpath.Measurement
}

// unjudged reads what there is of those rollouts of a deployment whose verdicts
// rest on something else.
func (s *Service) unjudged(ctx context.Context, id towpath.DeploymentID, said verdicts) (d towpath.Deployment, out []evidence, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		if d, err = tx.Deployment(ctx, id); err != nil {
			return err
		}
		for _, r := range rollout.Moving(&d) {
			on, err := basisOf(ctx, tx, &d, r)
			if err != nil {
				return err
			}
			if v, has := said[r.Component]; has && v.on == on {
				continue
			}
			e, err := evidenceOf(ctx, tx, &d, r, on)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	return d, out, err
}

// of is what is said of a rollout as it is in a transaction: what was said
// before, if that rests on what is there.
func (v verdicts) of(ctx context.Context, tx Tx, d *towpath.Deployment, r *towpath.Rollout, now time.Time) (*towpath.Judgement, error) {
	on, err := basisOf(ctx, tx, d, r)
	if err != nil {
		return nil, err
	}
	if had, has := v[r.Component]; has && had.on == on {
		return had.said, nil
	}
	e, err := evidenceOf(ctx, tx, d, r, on)
	if err != nil {
		return nil, err
	}
	return judge(d, r, e.counts, e.measurements, now), nil
}

func evidenceOf(ctx context.Context, tx Tx, d *towpath.Deployment, r *towpath.Rollout, on basis) (evidence, error) {
	counts, err := tx.TrafficCounts(ctx, d.ID, r.Component)
	if err != nil {
		return evidence{}, err
	}
	measurements, err := tx.Measurements(ctx, d.ID, r.Component)
	return evidence{on, r, counts, measurements}, err
}

func basisOf(ctx context.Context, tx Tx, d *towpath.Deployment, r *towpath.Rollout) (basis, error) {
	size, err := tx.EvidenceSize(ctx, d.ID, r.Component)
	if err != nil {
		return basis{}, err
	}
	plain, err := digestOf(d)
	return basis{plain, size}, err
}

// digestOf is the digest of a deployment but for what is said of it: its phase,
// its steps, its objectives and all else that a verdict could rest on.
func digestOf(d *towpath.Deployment) (towpath.Digest, error) {
	x := *d
	x.Waiting, x.Asks, x.UpdatedAt, x.Components = "", false, time.Time{}, slices.Clone(d.Components)
	for i := range x.Components {
		if c := x.Components[i].Canary; c != nil {
			unsaid := *c
			unsaid.Judgement = nil
			x.Components[i].Canary = &unsaid
		}
	}
	b, err := json.Marshal(x)
	if err != nil {
		return "", towpath.E(towpath.KindInternal, "deployment.judge", "a deployment can't be encoded").WithCause(err)
	}
	return towpath.DigestOf(b), nil
}
