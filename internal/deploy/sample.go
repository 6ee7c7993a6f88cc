package deploy

import (
	"context"
	"maps"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	// maxSamples is how many series are taken of a target at once.
	maxSamples = 20_000
	// maxLabels and maxLabel bound the labels of a series.
	maxLabels = 40
	maxLabel  = 512 // bytes
)

// Samples keeps metrics, as of now.
type Samples interface {
	// Append keeps samples and says how many of them it could not.
	Append(ctx context.Context, samples []towpath.MetricSample) (left int, err error)
}

// Sample takes metrics that an agent sampled of what runs in its place. Where
// they are from is said by us: an agent, or what it scrapes, can't speak for
// another target, nor for one that it may not work on. Nothing else is done with
// them here.
func (s *Service) Sample(ctx context.Context, actor towpath.Actor, session string, sets []towpath.SampleSet) error {
	var here []towpath.SampleSet
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		here = nil
		place, err := s.alive(ctx, tx, actor, session, s.cfg.Now())
		if err != nil {
			return err
		}
		for _, set := range sets {
			ok, err := placed(ctx, tx, actor, set.Target, place)
			if err != nil {
				return err
			}
			if ok {
				here = append(here, set)
			}
		}
		return nil
	})
	if err != nil || s.cfg.Samples == nil {
		return err
	}
	for _, set := range here {
		taken, left := labelled(set)
		more, err := s.cfg.Samples.Append(ctx, taken)
		if err != nil {
			return err
		}
		if left += more; left > 0 {
			s.cfg.Log.WarnContext(ctx, "metrics were left out: there are too many series, or their labels are too long",
				"component", set.Target.Component, "environment", set.Target.Environment, "left", left, "kept", len(taken)-more)
		}
	}
	return nil
}

// labelled gives samples the labels of their target. A label of the same name
// that they have is kept as exported_…, as Prometheus does.
func labelled(set towpath.SampleSet) (out []towpath.MetricSample, left int) {
	t := set.Target
	ours := map[string]string{
		"project": string(t.Project), "environment": string(t.Environment), "component": string(t.Component), "place": string(t.Place),
	}
	for _, x := range set.Series {
		if len(out) == maxSamples || !bounded(x.Labels) {
			left++
			continue
		}
		all := maps.Clone(x.Labels)
		for k, v := range ours {
			if theirs, has := all[k]; has {
				all["exported_"+k] = theirs
			}
			all[k] = v
		}
		out = append(out, towpath.MetricSample{Labels: all, Value: x.Value})
	}
	return out, left
}

func bounded(labels map[string]string) bool {
	if labels["__name__"] == "" || len(labels) > maxLabels {
		return false
	}
	for k, v := range labels {
		if k == "" || len(k) > maxLabel || len(v) > maxLabel {
			return false
		}
	}
	return true
}
