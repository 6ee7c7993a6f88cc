package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// hurt records that a release has to go back, and since when there were signs of
// it. What people or a moved base undo is nobody's harm.
func (s *Service) hurt(ctx context.Context, tx Tx, d *towpath.Deployment, from towpath.DeploymentPhase, trigger towpath.DeploymentTrigger, now time.Time) error {
	if d.Kind == towpath.DeploymentRepair || trigger != towpath.TriggerWorse && trigger != towpath.TriggerStepFail {
		return nil
	}
	sign, err := firstSign(ctx, tx, d, from, now)
	if err != nil {
		return err
	}
	d.Recovery = &towpath.Recovery{Sign: sign, Detected: now}
	return nil
}

// firstSign is when the first trouble with a release was recorded: the beginning
// of the first step that failed or did not get on, of the first interval in which
// the new revision was counted to do something that its objectives call bad, or
// of what a metric source was first asked about in which it did.
func firstSign(ctx context.Context, tx Tx, d *towpath.Deployment, from towpath.DeploymentPhase, now time.Time) (time.Time, error) {
	was := *d
	was.Phase = from
	sign := earliest(now, stepSigns(&was, now)...)
	for _, r := range rollout.Moving(&was) {
		counts, err := tx.TrafficCounts(ctx, d.ID, r.Component)
		if err != nil {
			return sign, err
		}
		measurements, err := tx.Measurements(ctx, d.ID, r.Component)
		if err != nil {
			return sign, err
		}
		sign = earliest(sign, countedSign(r, counts), measuredSign(r, counts, measurements))
	}
	return sign, nil
}

// earliest is the first of some times; zero ones are none.
func earliest(t time.Time, more ...time.Time) time.Time {
	for _, x := range more {
		if !x.IsZero() && x.Before(t) {
			t = x
		}
	}
	return t
}

// stepSigns are when steps began that failed, or that there is no end of, and when
// one could not begin any more.
func stepSigns(d *towpath.Deployment, now time.Time) []time.Time {
	var out []time.Time
	for _, r := range d.Components {
		for _, step := range r.Steps {
			if step.Phase == towpath.OperationFailed {
				out = append(out, cmp.Or(step.Began, step.Ended))
			}
		}
	}
	if !d.Unread.IsZero() {
		out = append(out, d.Unread)
	}
	if s := rollout.Stalled(d, now); s != nil {
		out = append(out, cmp.Or(s.Step.Began, s.Step.Issued))
	}
	return out
}

// countedSign is when the first interval began in which a rollout's new revision
// was counted to do something bad; zero: there is none.
func countedSign(r *towpath.Rollout, counts []towpath.TrafficCount) time.Time {
	for i := 1; i < len(counts); i++ {
		if !counts[i].Before && bad(r, counts[i-1], counts[i]) {
			return counts[i-1].Received
		}
	}
	return time.Time{}
}

// measuredSign is when the first measurement began that is bad for its objective:
// what counts, counts from the measurement before, but not from before the
// revision had users, and a value is that of a moment. Zero: there is none. Of
// copies no metric source is believed.
func measuredSign(r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement) time.Time {
	var first time.Time
	if r.Mirrors() {
		return first
	}
	since := hadUsers(r)
	for _, o := range r.Canary.Objectives {
		if !o.Judges() || !o.Asks() {
			continue
		}
		for _, x := range onlyForUsers(readings(o, measurements), r, counts) {
			sign := x.began
			if o.Kind == towpath.ObjectiveThreshold || sign.IsZero() {
				sign = x.recorded
			}
			if !beyond(objective(o), x.Canary) {
				continue
			}
			if sign = latest(sign, since); first.IsZero() || sign.Before(first) {
				first = sign
			}
			break
		}
	}
	return first
}

// hadUsers is when a rollout's new revision was first given a share of the traffic,
// or all of it; of a share that an agent is still about to give, when that began.
func hadUsers(r *towpath.Rollout) time.Time {
	for _, s := range r.Steps {
		share := s.Verb == towpath.VerbShift && s.Weight > 0
		switch {
		case (share || s.Verb == towpath.VerbSwitch) && s.Phase == towpath.OperationSucceeded:
			return s.Ended
		case share && s.Begun():
			return s.Began
		}
	}
	return time.Time{}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// bad reports whether a rollout's new revision did anything between two counts
// that its objectives call bad.
func bad(r *towpath.Rollout, from, to towpath.TrafficCount) bool {
	return broken(to, r.To) != "" || slices.ContainsFunc(r.Canary.Objectives, func(o towpath.Objective) bool {
		return o.Counted() && beyond(objective(o), routed(r, o, from, to).Canary)
	})
}

// beyond reports whether anything in a sample is bad for an objective.
func beyond(o analysis.Objective, s *analysis.Sample) bool {
	switch {
	case s == nil:
		return false
	case o.Kind == analysis.Threshold:
		return slices.ContainsFunc(s.Values, func(v float64) bool {
			return o.Least && v < o.Bound || !o.Least && v > o.Bound
		})
	case s.Histogram != nil:
		for i, n := range s.Histogram.Counts {
			if n > 0 && (i >= len(s.Histogram.Bounds) || s.Histogram.Bounds[i] > o.Bound) {
				return true
			}
		}
		return false
	}
	return s.Bad > 0
}

// recovered records when the traffic was back, and says how long it took.
func (s *Service) recovered(tx Tx, d *towpath.Deployment) (said string, data json.RawMessage) {
	if d.Recovery == nil {
		return "", nil
	}
	for _, r := range d.Components {
		for _, step := range r.Steps {
			back := step.Verb == towpath.VerbRestore || step.Verb == towpath.VerbRemove
			if back && step.Phase == towpath.OperationSucceeded && step.Ended.After(d.Recovery.Restored) {
				d.Recovery.Restored = step.Ended
			}
		}
	}
	if d.Recovery.Restored.IsZero() { // there was nothing to undo: the traffic never left
		d.Recovery.Restored = d.Recovery.Detected
	}
	detect, restore := d.Recovery.ToDetect(), d.Recovery.ToRestore()
	if s.cfg.Recovered != nil {
		tx.AfterCommit(func() { s.cfg.Recovered(detect, restore) })
	}
	data, err := json.Marshal(map[string]float64{"detectSeconds": detect.Seconds(), "restoreSeconds": restore.Seconds()})
	if err != nil {
		data = nil // two numbers always encode
	}
	return fmt.Sprintf("; found out %s after the first sign, and back %s later", round(detect), round(restore)), data
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
