package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// countsKept bounds how many counts are kept of one rollout: with every
// countsKept/e-fold of its age they come half as often.
const countsKept = 2000

// Count takes what was counted of targets whose traffic is shared, and has
// their deployments judged. Counts of what is not under way are dropped, as are
// those from before of what is counted already.
func (s *Service) Count(ctx context.Context, actor towpath.Actor, session string, counts []towpath.TrafficCount) error {
	now := s.cfg.Now()
	counts, past, err := split(counts)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		place, err := s.alive(ctx, tx, actor, session, now)
		if err != nil {
			return err
		}
		for _, c := range counts {
			here, err := placed(ctx, tx, actor, c.Target, place)
			if err != nil {
				return err
			}
			if !here {
				continue
			}
			if err := s.count(ctx, tx, c, past[c.Target], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// placed reports whether a target is in a place by our own records, whatever an
// agent says, and the agent's to work on: none can speak for anything else.
func placed(ctx context.Context, tx Tx, actor towpath.Actor, t towpath.Target, place towpath.PlaceName) (bool, error) {
	if t.Place != place || !works(actor, t) {
		return false, nil
	}
	running, err := tx.Running(ctx, t.Project, t.Environment)
	r, known := find(running, t.Component)
	return known && r.Place == place, err
}

func (s *Service) count(ctx context.Context, tx Tx, c towpath.TrafficCount, past []towpath.TrafficCount, now time.Time) error {
	env, err := tx.Environment(ctx, c.Target.Project, c.Target.Environment)
	if towpath.KindOf(err) == towpath.KindNotFound || err == nil && env.Active == "" {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := tx.Deployment(ctx, env.Active)
	if err != nil {
		return err
	}
	r := rollout.Counted(&d, c.Target.Component)
	if r == nil {
		return nil
	}
	first, last, err := tx.TrafficCountSpan(ctx, d.ID, r.Component)
	if err != nil {
		return err
	}
	// A little less than the interval: the agent's clock ticks as it likes.
	gap := max(r.Canary.Spec.Interval*9/10, last.Received.Sub(first)/countsKept)
	switch none := last.At.IsZero(); {
	case none:
	case c.At.Equal(last.At), late(c, last):
		return nil // it was told already, or what came after it was
	case c.At.Sub(last.At) < gap && now.Sub(last.Received) < gap && broken(c, r.To) == "":
		return nil
	}
	if last.At.IsZero() {
		if err := tx.ForgetTrafficCounts(ctx, now.Add(-keepCounts)); err != nil {
			return err
		}
		for _, p := range spaced(past, c.At, r.Canary.Spec.Interval) {
			p.Received = now.Add(p.At.Sub(c.At))
			if err := tx.InsertTrafficCount(ctx, d.ID, p); err != nil {
				return err
			}
		}
	}
	c.Received = latest(now, last.Received.Add(time.Microsecond)) // servers' clocks differ
	if err := tx.InsertTrafficCount(ctx, d.ID, c); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
}

// maxLate is how much later than the next one a count may come: a request that was
// given up by the agent may still arrive. What is earlier by more is of a place
// whose clock was ahead, and counts.
const maxLate = time.Minute

// late reports whether a count is from before another that is known already: by
// the clock of the place, and by what was counted. With it the same requests would
// count twice. Where the clock went back the counters did not.
func late(c, known towpath.TrafficCount) bool {
	if behind := known.At.Sub(c.At); behind <= 0 || behind > maxLate {
		return false
	}
	return slices.ContainsFunc(c.Revisions, func(x towpath.RevisionCount) bool {
		k, has := revision(known, x.Revision)
		return has && x.Requests < k.Requests
	})
}

// maxCounts bounds what one request may bring: an agent sends one count of each
// of its targets, or one and some hundred from before.
const maxCounts = 5000

// split parts what was counted now, of each target once, from what was counted of
// it before.
func split(all []towpath.TrafficCount) (now []towpath.TrafficCount, past map[towpath.Target][]towpath.TrafficCount, err error) {
	const op = "agent.count"
	if len(all) > maxCounts {
		return nil, nil, towpath.E(towpath.KindInvalid, op, "%d counts at once; %d are the most", len(all), maxCounts)
	}
	past, seen := map[towpath.Target][]towpath.TrafficCount{}, map[towpath.Target]bool{}
	for _, c := range all {
		switch {
		case c.Before:
			past[c.Target] = append(past[c.Target], c)
		case seen[c.Target]:
			return nil, nil, towpath.E(towpath.KindInvalid, op, "%s is counted twice", c.Target.Key())
		default:
			now, seen[c.Target] = append(now, c), true
		}
	}
	return now, past, nil
}

// maxPast bounds how many counts from before a rollout are kept of it, and so
// how many times its interval they go back.
const maxPast = 60

// spaced chooses, of what was counted before a time, what lies an interval apart.
// It ends, going back, where more than three intervals are missing.
func spaced(past []towpath.TrafficCount, until time.Time, interval time.Duration) []towpath.TrafficCount {
	slices.SortStableFunc(past, func(a, b towpath.TrafficCount) int { return a.At.Compare(b.At) })
	var out []towpath.TrafficCount
	for _, c := range slices.Backward(past) {
		switch gap := until.Sub(c.At); {
		case gap < interval*9/10:
			continue
		case gap > 3*interval, len(out) == maxPast:
			slices.Reverse(out)
			return out
		}
		out, until = append(out, c), c.At
	}
	slices.Reverse(out)
	return out
}

// keepCounts is how long what was counted is kept, to be judged again.
const keepCounts = 30 * 24 * time.Hour

// silence is how long nothing may come of a rollout that is counted at an
// interval, before what came until then says nothing about now.
func silence(interval time.Duration) time.Duration { return 3*interval + 5*time.Second }

// recent is how many counts tell how far the clock of a place is from ours.
const recent = 10

// countedUntil is when the last count was made, by the server's clock: what it
// took to be heard, longer than the quickest of the recent ones, nobody counted.
func countedUntil(counts []towpath.TrafficCount) time.Time {
	last := counts[len(counts)-1]
	off, next := last.Received.Sub(last.At), last.At
	for _, c := range slices.Backward(counts[max(0, len(counts)-recent):]) {
		if c.Before || c.At.After(next) { // another clock
			break
		}
		off, next = min(off, c.Received.Sub(c.At)), c.At
	}
	return last.At.Add(off)
}

// judge says what was counted and measured of a rollout shows, and until when; nil
// when nothing can be said yet. It may take long, and so it stays out of
// transactions.
func judge(d *towpath.Deployment, r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement, now time.Time) *towpath.Judgement {
	j := outcome(d, r, counts, measurements, now)
	if j != nil {
		j.Until, j.Counted = counts[len(counts)-1].At, countedUntil(counts)
	}
	return j
}

func outcome(d *towpath.Deployment, r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement, now time.Time) *towpath.Judgement {
	if len(counts) == 0 {
		return nil
	}
	last := counts[len(counts)-1]
	if why := broken(last, r.To); why != "" {
		return &towpath.Judgement{Outcome: towpath.JudgedWorse, Sentence: why, Intervals: intervals(counts)}
	}
	if r.Mirrors() {
		r = guards(d, r)
	}
	intervals := intervals(counts)
	if len(r.Canary.Objectives) == 0 || intervals == 0 {
		return nil
	}
	gap := max(silence(r.Canary.Spec.Interval), 3*last.Received.Sub(counts[0].Received)/countsKept)
	if quiet := now.Sub(last.Received); quiet > gap {
		return &towpath.Judgement{
			Outcome: towpath.JudgedNoEvidence, Intervals: intervals,
			Sentence: fmt.Sprintf("Nothing has been counted for %s: is the agent of %s connected, and does its router run?", quiet.Round(time.Second), last.Target.Place),
		}
	}
	in := input(d, r, counts, measurements)
	if len(in.Objectives) == 0 {
		return withQueries(&towpath.Judgement{Outcome: towpath.JudgedNotWorse, Intervals: intervals}, r)
	}
	j, err := analysis.Judge(in)
	if err != nil { // the deployment must go on all the same: a person decides
		m, _ := towpath.PublicMessage(err)
		return &towpath.Judgement{Outcome: towpath.JudgedNoEvidence, Sentence: m, Intervals: intervals}
	}
	return withQueries(uncompared(summary(j, intervals), r), r)
}

// input is what is judged of a component. The risk is that of the whole
// deployment: components that are judged beside each other share it.
func input(d *towpath.Deployment, r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement) analysis.Input {
	in := Evidence(guards(d, r), counts, measurements)
	several := 0
	for _, x := range d.Components {
		if x.Canary != nil && slices.ContainsFunc(x.Canary.Objectives, towpath.Objective.Judges) {
			several++
		}
	}
	if several > 1 {
		in.Alpha = analysis.Risk / float64(several)
	}
	return in
}

// guards is a rollout with the objectives that may send it back: of an
// experiment, which is to find out what is worse, only those that are critical;
// of copies those that the data plane counts for.
func guards(d *towpath.Deployment, r *towpath.Rollout) *towpath.Rollout {
	copies := r.Mirrors()
	if d.Experiment == nil && !copies {
		return r
	}
	out, canary := *r, *r.Canary
	canary.Objectives = slices.DeleteFunc(slices.Clone(canary.Objectives), func(o towpath.Objective) bool {
		return d.Experiment != nil && !o.Critical || copies && !o.Counted()
	})
	out.Canary = &canary
	return &out
}

// uncompared says of which objectives nothing could be compared.
func uncompared(j *towpath.Judgement, r *towpath.Rollout) *towpath.Judgement {
	for i := range j.Objectives {
		for _, o := range r.Canary.Objectives {
			if o.Name == j.Objectives[i].Objective && o.Asks() && !o.Compares() {
				j.Objectives[i].Sentence += " Its query names no revision, so nothing was compared."
			}
		}
	}
	return j
}

// withQueries adds the objectives of releases from before queries were asked:
// what is good about their answers is not said. They are no evidence, and no
// reason to go back either.
func withQueries(j *towpath.Judgement, r *towpath.Rollout) *towpath.Judgement {
	for _, o := range r.Canary.Objectives {
		if o.Kind != towpath.ObjectiveQuery {
			continue
		}
		said := towpath.ObjectiveJudgement{
			Objective: o.Name, Outcome: towpath.JudgedNoEvidence, Sentence: "Its query does not say what is good: release it again with a kind, ratio, quantile or threshold.",
		}
		j.Objectives = append(j.Objectives, said)
		if j.Outcome != towpath.JudgedWorse {
			j.Outcome = towpath.JudgedNoEvidence
		}
		j.Sentence = strings.TrimSpace(j.Sentence + " " + o.Name + ": " + said.Sentence)
	}
	return j
}

// broken is why the instances of a revision don't do their work, as last seen.
func broken(c towpath.TrafficCount, rev towpath.RevisionID) string {
	for _, x := range c.Revisions {
		if x.Revision == rev {
			return x.Broken
		}
	}
	return ""
}

// intervals is how many there are between counts, without those from before.
func intervals(counts []towpath.TrafficCount) int {
	n := -1
	for _, c := range counts {
		if !c.Before {
			n++
		}
	}
	return n
}

func summary(j analysis.Judgement, intervals int) *towpath.Judgement {
	out := &towpath.Judgement{
		Outcome: towpath.JudgementOutcome(j.Outcome), Sentence: j.Sentence, Intervals: intervals,
	}
	for i, v := range j.Verdicts {
		out.Suspect = out.Suspect || v.Suspect(j.Input.Objectives[i])
		out.Objectives = append(out.Objectives, towpath.ObjectiveJudgement{
			Objective: v.Objective, Outcome: towpath.JudgementOutcome(v.Outcome), Sentence: v.Sentence,
		})
	}
	return out
}

// Analysis judges a deployment's rollout again, with all that was counted: what
// it says is what it said then, as long as the statistics are the same.
func (s *Service) Analysis(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID, name towpath.ComponentName) (analysis.Judgement, error) {
	const op = "deployment.analysis"
	d, err := s.Get(ctx, actor, id)
	if err != nil {
		return analysis.Judgement{}, err
	}
	i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == name })
	if i < 0 || d.Components[i].Canary == nil || len(d.Components[i].Canary.Objectives) == 0 {
		return analysis.Judgement{}, towpath.E(towpath.KindNotFound, op, "%s was not judged in this deployment", name).On(string(id)).
			WithHint("what has a canary and objectives is judged: `towpath deployment show %s`", id)
	}
	var counts []towpath.TrafficCount
	var measurements []towpath.Measurement
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if counts, err = tx.TrafficCounts(ctx, id, name); err != nil {
			return err
		}
		measurements, err = tx.Measurements(ctx, id, name)
		return err
	})
	if err != nil {
		return analysis.Judgement{}, err
	}
	in := input(&d, &d.Components[i], counts, measurements)
	if len(in.Objectives) == 0 {
		return analysis.Judgement{}, towpath.E(towpath.KindConflict, op, "nothing that %s is judged by can be: its objectives have no kind", name).On(string(id)).
			WithHint("give each a kind: errors, latency, ratio, quantile or threshold")
	}
	return analysis.Judge(in)
}
