package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// firstSign is when the first trouble with a release was recorded: the end of
// the first step that failed, or the beginning of the first interval in which
// the new revision was counted to do something that its objectives call bad.
func firstSign(ctx context.Context, tx Tx, d *towpath.Deployment, from towpath.DeploymentPhase, now time.Time) (time.Time, error) {
	sign := now
	for _, r := range d.Components {
		for _, step := range r.Steps {
			if step.Phase == towpath.OperationFailed && !step.Ended.IsZero() && step.Ended.Before(sign) {
				sign = step.Ended
			}
		}
	}
	was := *d
	was.Phase = from
	for _, r := range rollout.Moving(&was) {
		counts, err := tx.TrafficCounts(ctx, d.ID, r.Component)
		if err != nil {
			return sign, err
		}
		for i := 1; i < len(counts); i++ {
			if !counts[i].Before && bad(r, counts[i-1], counts[i]) {
				if from := counts[i-1].Received; from.Before(sign) {
					sign = from
				}
				break
			}
		}
	}
	return sign, nil
}

// bad reports whether a rollout's new revision did anything between two counts
// that its objectives call bad.
func bad(r *towpath.Rollout, from, to towpath.TrafficCount) bool {
	if broken(to, r.To) != "" {
		return true
	}
	for _, o := range r.Canary.Objectives {
		s := routed(r, o, from, to).Canary
		switch {
		case s == nil:
		case s.Histogram == nil && s.Bad > 0:
			return true
		case s.Histogram != nil:
			for i, n := range s.Histogram.Counts {
				if n > 0 && (i >= len(s.Histogram.Bounds) || s.Histogram.Bounds[i] > o.Bound.Seconds()) {
					return true
				}
			}
		}
	}
	return false
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
	if d.Recovery.Restored.IsZero() {
		return "", nil
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
