package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of what metric sources are asked.
const (
	maxAsked    = 4                // rollouts measured at once; others come a little later
	maxQueries  = 4                // of a rollout at once
	askWithin   = 10 * time.Second // all queries of a rollout
	maxSeries   = 100              // of an answer
	maxBuckets  = 1000             // of an answer to a query of a quantile
	deployments = 20               // looked through for the one that brought the old revision
)

// Metrics answers queries in PromQL, by the source that a project has in a place.
type Metrics interface {
	// Query answers what a query of a target is at a moment. By samples that agents
	// pushed it MUST answer of that target's component in its environment alone: the
	// samples of all projects are together. No data is an empty answer and no error;
	// an error says that the source could not be asked, or not that.
	Query(ctx context.Context, of towpath.Target, query string, at time.Time) ([]towpath.MetricSample, error)
}

// Measurements is the loop that asks metric sources about rollouts. It is one
// of its own, so that a source that is slow never holds up what the router's
// counts decide; and it asks outside of any transaction.
type Measurements struct{ *Service }

// Kind is the kind of work of the loop.
func (Measurements) Kind() string { return WorkMeasurement }

// Reconcile measures the rollouts of a deployment, if it is time to.
func (m Measurements) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	select {
	case m.asking <- struct{}{}:
		defer func() { <-m.asking }()
	default:
		return reconcile.After(time.Second), nil
	}
	subjects, err := m.subjects(ctx, towpath.DeploymentID(key))
	if err != nil || len(subjects) == 0 {
		return reconcile.Done(), err
	}
	again := time.Hour
	for _, s := range subjects {
		if left := s.due.Sub(now); left > 0 {
			again = min(again, left)
			continue
		}
		taken := m.measure(ctx, s, now)
		if ctx.Err() != nil {
			return reconcile.After(again), context.Cause(ctx)
		}
		failpoint.Hit("rollout.measured")
		if err := m.record(ctx, s, taken); err != nil {
			return reconcile.Done(), err
		}
		again = min(again, max(s.gap-m.cfg.Now().Sub(now), 100*time.Millisecond))
	}
	return reconcile.After(again), nil
}

// subject is a rollout that a metric source is asked about.
type subject struct {
	deployment *towpath.Deployment
	rollout    *towpath.Rollout
	target     towpath.Target
	brought    towpath.DeploymentID // that brought the old revision; empty: unknown
	since, due time.Time
	gap        time.Duration
}

// subjects are the rollouts of a deployment whose traffic is shared, or will
// be, and that have objectives with queries.
func (s *Service) subjects(ctx context.Context, id towpath.DeploymentID) (out []subject, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		d, err := tx.Deployment(ctx, id)
		if err != nil {
			return err
		}
		running, err := tx.Running(ctx, d.Project, d.Environment)
		if err != nil {
			return err
		}
		for _, name := range measured(&d) {
			r := rollout.Counted(&d, name)
			x := subject{deployment: &d, rollout: r}
			now, _ := find(running, name)
			now.Component = name
			x.target = s.target(&d, now)
			first, last, err := tx.MeasurementSpan(ctx, id, name)
			if err != nil {
				return err
			}
			x.gap = max(r.Canary.Spec.Interval*9/10, last.Sub(first)/countsKept)
			if !last.IsZero() {
				x.since, x.due = last, last.Add(x.gap)
			}
			if x.brought, err = brought(ctx, tx, &d, r); err != nil {
				return err
			}
			out = append(out, x)
		}
		return nil
	})
	return out, err
}

// measured are the components of a deployment that metric sources are asked
// about now.
func measured(d *towpath.Deployment) []towpath.ComponentName {
	var out []towpath.ComponentName
	for _, c := range d.Components {
		if r := rollout.Counted(d, c.Component); r != nil && slices.ContainsFunc(r.Canary.Objectives, towpath.Objective.Asks) {
			out = append(out, c.Component)
		}
	}
	return out
}

// brought is the deployment that brought the old revision, if a query wants it.
func brought(ctx context.Context, tx Tx, d *towpath.Deployment, r *towpath.Rollout) (towpath.DeploymentID, error) {
	wanted := slices.ContainsFunc(r.Canary.Objectives, func(o towpath.Objective) bool {
		return slices.ContainsFunc(o.Queries(), func(q towpath.NamedQuery) bool {
			return slices.Contains(towpath.PlaceholdersIn(q.Text), towpath.InDeployment)
		})
	})
	if !wanted {
		return "", nil
	}
	before, err := tx.Deployments(ctx, Filter{Project: d.Project, Environment: d.Environment, Brings: true}, deployments)
	if err != nil {
		return "", err
	}
	for _, b := range before {
		for _, c := range b.Components {
			if b.ID != d.ID && b.Phase == towpath.DeploymentSucceeded && c.Component == r.Component && c.To == r.From {
				return b.ID, nil
			}
		}
	}
	return "", nil
}

// measure asks the source about all objectives of a rollout. What it could not
// be asked is part of the answer.
func (s *Service) measure(ctx context.Context, x subject, now time.Time) towpath.Measurement {
	m := towpath.Measurement{At: now, Since: x.since}
	if m.Since.IsZero() {
		m.Since = now.Add(-x.rollout.Canary.Spec.Interval)
	}
	bounded, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	g := new(errgroup.Group)
	g.SetLimit(maxQueries)
	for _, o := range x.rollout.Canary.Objectives {
		if !o.Asks() || !o.Compares() && x.rollout.Weight() == 0 { // of the old revision alone, then
			continue
		}
		m.Readings = append(m.Readings, towpath.ObjectiveReading{Objective: o.Name})
	}
	for i := range m.Readings {
		o := x.rollout.Canary.Objectives[slices.IndexFunc(x.rollout.Canary.Objectives, func(o towpath.Objective) bool {
			return o.Name == m.Readings[i].Objective
		})]
		g.Go(func() error {
			m.Readings[i] = s.read(bounded, x, o, m.Since, now)
			return nil
		})
	}
	_ = g.Wait() // they fail by what they read
	m.Recorded = s.cfg.Now()
	return m
}

// read asks the queries of one objective, of each revision. Once the new one has
// all of the traffic nobody needs to know what the old one does.
func (s *Service) read(ctx context.Context, x subject, o towpath.Objective, since, at time.Time) towpath.ObjectiveReading {
	out := towpath.ObjectiveReading{Objective: o.Name, Canary: map[string][]towpath.MetricValue{}}
	canary, baseline := placeholders(x, o, since, at)
	for _, q := range o.Queries() {
		var err error
		if out.Canary[q.Name], err = s.answer(ctx, x, o, q.Text, canary, at); err == nil && o.Compares() && !x.rollout.JudgedAfter() {
			if out.Baseline == nil {
				out.Baseline = map[string][]towpath.MetricValue{}
			}
			out.Baseline[q.Name], err = s.answer(ctx, x, o, q.Text, baseline, at)
		}
		if err != nil {
			m, _ := towpath.PublicMessage(err)
			return towpath.ObjectiveReading{Objective: o.Name, Errored: strings.TrimSuffix(m, ".")}
		}
	}
	return out
}

// placeholders are the values of both revisions.
func placeholders(x subject, o towpath.Objective, since, at time.Time) (canary, baseline map[towpath.Placeholder]string) {
	d, r := x.deployment, x.rollout
	canary = map[towpath.Placeholder]string{
		towpath.InRevision: string(r.To), towpath.InRelease: string(d.Release), towpath.InDeployment: string(d.ID),
		towpath.InProject: string(d.Project), towpath.InEnvironment: string(d.Environment), towpath.InComponent: string(r.Component),
		towpath.InInterval: milliseconds(at.Sub(since)), towpath.InWindow: milliseconds(o.Window),
	}
	baseline = maps.Clone(canary)
	baseline[towpath.InRevision], baseline[towpath.InDeployment] = string(r.From), string(x.brought)
	if r.Before != nil {
		baseline[towpath.InRelease] = string(r.Before.Release)
	}
	return canary, baseline
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10) + "ms"
}

// answer asks one query, and takes what can be kept of what it says.
func (s *Service) answer(ctx context.Context, x subject, o towpath.Objective, query string, values map[towpath.Placeholder]string, at time.Time) ([]towpath.MetricValue, error) {
	const op = "rollout.measure"
	if slices.Contains(towpath.PlaceholdersIn(query), towpath.InDeployment) && values[towpath.InDeployment] == "" {
		return nil, towpath.E(towpath.KindNotFound, op, "nobody knows which deployment brought the old revision; ask by {{revision}}")
	}
	samples, err := s.metrics.Query(ctx, x.target, towpath.Expand(query, values), at)
	if err != nil {
		return nil, err
	}
	most := maxSeries
	if o.Kind == towpath.ObjectiveQuantile {
		most = maxBuckets
	}
	if len(samples) > most {
		return nil, towpath.E(towpath.KindExhausted, op, "a query answers %d series, and %d are the most: sum them up", len(samples), most)
	}
	out := make([]towpath.MetricValue, 0, len(samples))
	for _, x := range samples {
		if math.IsNaN(x.Value) { // 0/0: there was nothing to divide
			continue
		}
		v := towpath.MetricValue{Value: min(max(x.Value, -math.MaxFloat64), math.MaxFloat64)}
		if o.Kind == towpath.ObjectiveQuantile {
			if v.LE = x.Labels["le"]; v.LE == "" {
				return nil, towpath.E(towpath.KindInvalid, op, "a query of a quantile answers a series without the label le; it has to answer buckets")
			}
		}
		if o.Kind != towpath.ObjectiveThreshold && towpath.Counters(query) {
			v.Series = fingerprint(x.Labels)
		}
		out = append(out, v)
	}
	return out, nil
}

// fingerprint names a series by its labels, but for le.
func fingerprint(labels map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k != "le" {
			fmt.Fprintf(h, "%q=%q,", k, labels[k])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// record keeps a measurement, unless its rollout is over, and has the
// deployment judged.
func (s *Service) record(ctx context.Context, x subject, m towpath.Measurement) error {
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		d, err := tx.Deployment(ctx, x.deployment.ID)
		if err != nil || rollout.Counted(&d, x.rollout.Component) == nil {
			return err
		}
		if x.since.IsZero() {
			if err := tx.ForgetMeasurements(ctx, m.At.Add(-keepCounts)); err != nil {
				return err
			}
		}
		if err := tx.InsertMeasurement(ctx, d.ID, x.rollout.Component, m); err != nil {
			return err
		}
		return tx.Enqueue(ctx, WorkDeployment, string(d.ID), m.Recorded)
	})
}
