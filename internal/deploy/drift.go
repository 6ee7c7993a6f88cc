package deploy

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/drift"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Placed is what was deployed to a target, with what is known of its drift.
type Placed struct {
	Target  towpath.Target
	Running rollout.Running
	Drift   towpath.Drift
}

// compare looks for drift in what an agent saw of what was deployed to its place;
// nil is what it did not see. It writes only where something is other than at the
// look before.
func (s *Service) compare(ctx context.Context, tx Tx, here []Placed, observed map[towpath.Target]*towpath.Observation, now time.Time) error {
	for _, p := range here {
		if p.Running.Unsure { // a deployment is at work on it, or left it in doubt
			continue
		}
		var look drift.Look
		if p.Running.Revision != "" {
			want := drift.Desired{Revision: p.Running.Revision, Settings: towpath.SettingsDigest(p.Running.Rendered)}
			o := observed[p.Target]
			if look.Found = drift.Differences(want, o); o != nil {
				look.Files = o.FilesAt
			}
		}
		if len(look.Found) == 0 && p.Drift.State == "" { // the usual
			continue
		}
		if err := s.see(ctx, tx, p, look, s.limitsOf(ctx, tx, p.Target), now); err != nil {
			return err
		}
	}
	return nil
}

// limitsOf are those that the release in an environment sets for a component.
func (s *Service) limitsOf(ctx context.Context, tx Tx, t towpath.Target) drift.Limits {
	env, err := tx.Environment(ctx, t.Project, t.Environment)
	if err != nil || env.Release == "" {
		return s.cfg.Drift
	}
	return s.limits(ctx, t.Project, env.Release, t.Component)
}

// limits are those that a release sets for a component. When it can't be read the
// server's own hold: what was seen or done is not lost for that.
func (s *Service) limits(ctx context.Context, p towpath.ProjectName, release towpath.Digest, c towpath.ComponentName) drift.Limits {
	content, err := s.contents.Content(ctx, p, release)
	if err != nil {
		return s.cfg.Drift
	}
	return s.limitsIn(content, c)
}

// limitsIn are those that a release sets for a component.
func (s *Service) limitsIn(content *towpath.ReleaseContent, name towpath.ComponentName) drift.Limits {
	c, _ := content.Component(name)
	return s.cfg.Drift.With(c.DriftRules)
}

// see takes what was found on one target into its record, with the event.
func (s *Service) see(ctx context.Context, tx Tx, p Placed, look drift.Look, l drift.Limits, now time.Time) error {
	was := of(p.Drift, p)
	if next, _ := drift.See(was, look, now, l); reflect.DeepEqual(next, p.Drift) || next.State == towpath.DriftNone && p.Drift.State == "" {
		return nil
	}
	locked, err := tx.LockDrift(ctx, p.Target)
	if err != nil {
		return err
	}
	next, news := drift.See(of(locked, p), look, now, l)
	if err := tx.SaveDrift(ctx, next); err != nil {
		return err
	}
	if news == drift.Nothing {
		return nil
	}
	ev := towpath.NewEvent(now, string(towpath.System().Account), "drift."+string(news))
	ev.Project, ev.Environment, ev.Subject, ev.Release = p.Target.Project, p.Target.Environment, string(p.Target.Component), p.Running.Release
	if next.Unknown() { // it is not certain that it has drifted
		ev.Action = "drift.unknown"
	}
	ev.Reason = sentences(next.Differences)
	if news == drift.Gone {
		ev.Reason = "It runs as it was deployed."
	}
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDrift, environmentKey(p.Target.Project, p.Target.Environment), now)
}

// of is the record of a target's drift for the revision that is desired now.
// What was seen, and repaired, of another revision says nothing about it.
func of(d towpath.Drift, p Placed) towpath.Drift {
	if d.Revision != p.Running.Revision {
		d = towpath.Drift{State: towpath.DriftNone, Told: d.Told}
	}
	d.Target, d.Revision = p.Target, p.Running.Revision
	return d
}

// seeAfresh forgets what was seen of a target before the deployment that has just
// ended worked on it: nobody has looked since.
func seeAfresh(ctx context.Context, tx Tx, p Placed) error {
	was, err := tx.LockDrift(ctx, p.Target)
	if err != nil || was.State == towpath.DriftNone {
		return err
	}
	return tx.SaveDrift(ctx, drift.Anew(of(was, p)))
}

// maxSentences bounds how many differences an event names.
const maxSentences = 5

func sentences(all []towpath.Difference) string {
	var out []string
	for i, d := range all {
		if i == maxSentences {
			out = append(out, "And more.")
			break
		}
		out = append(out, d.Sentence)
	}
	return strings.Join(out, " ")
}
