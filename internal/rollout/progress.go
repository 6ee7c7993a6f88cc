package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// unlessStalled has a deployment go back when an operation is under way for longer
// than its component may make no progress: no agent takes it up, or none gets it
// done, however often it is tried. Agents may first tell a server that was away what
// they did meanwhile.
func unlessStalled(d *towpath.Deployment, dec Decision, seen Seen) Decision {
	now := seen.Now
	if dec.Trigger != "" || !hasToProgress(d) {
		return dec
	}
	if s, until := slowest(d); s != nil {
		if told := seen.Up.Add(min(s.Progress, towpath.AgentSilence)); until.Before(told) {
			until = told
		}
		if !now.Before(until) {
			return Decision{Trigger: towpath.TriggerStepFail, Reason: fmt.Sprintf("%s has made no progress for %s: %s", s.Component, s.Progress, still(s.Step))}
		}
		dec.Again = sooner(dec.Again, until)
	}
	for _, is := range dec.Issue { // their time begins now, and nothing else may happen in it
		i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == is.Component })
		if r := d.Components[i]; r.Progress > 0 {
			dec.Again = sooner(dec.Again, now.Add(r.Progress))
		}
	}
	return dec
}

// hasToProgress reports whether a deployment goes back when nothing comes of it. A
// rollback has all the time that it takes: where it would go back to is not wanted.
func hasToProgress(d *towpath.Deployment) bool {
	return d.Kind != towpath.DeploymentRollback && (d.Phase == towpath.DeploymentPreparing || d.Phase == towpath.DeploymentSwitching)
}

// Unread decides for a deployment that could not issue operations since a time,
// because of why: what its release is can't be read. It waits for as long as an
// operation may be under way, and goes back then, for which nobody needs the
// release. What had to end for it answers nobody meanwhile: there it waits no longer
// than for one try.
func Unread(d *towpath.Deployment, issues []Issue, why string, since, now time.Time) Decision {
	dec := Decision{Waiting: why}
	if !hasToProgress(d) {
		return dec
	}
	for _, is := range issues {
		i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == is.Component })
		r := &d.Components[i]
		limit := r.Progress
		if stopped(d, r.Component) && r.Timeout > 0 {
			limit = min(limit, r.Timeout)
		}
		if limit <= 0 || slices.ContainsFunc(r.Steps, isUnderWay) { // somebody else could issue it meanwhile
			continue
		}
		until := since.Add(limit)
		if !now.Before(until) {
			return Decision{Trigger: towpath.TriggerStepFail, Reason: fmt.Sprintf("%s has made no progress for %s: %s could not begin, %s", r.Component, limit, is.Verb, why)}
		}
		dec.Again = sooner(dec.Again, until)
	}
	return dec
}

// isUnderWay reports whether a step was issued and has not ended.
func isUnderWay(s towpath.Step) bool {
	return s.Phase == towpath.OperationPending || s.Phase == towpath.OperationRunning
}

// Stall is an operation of a component that is under way.
type Stall struct {
	*towpath.Rollout
	Step towpath.Step
}

// Stalled is the operation because of which a deployment has made no progress for
// too long; nil: there is none.
func Stalled(d *towpath.Deployment, now time.Time) *Stall {
	if !hasToProgress(d) {
		return nil
	}
	if s, until := slowest(d); s != nil && !now.Before(until) {
		return s
	}
	return nil
}

// slowest is the operation under way whose time is over first, and when that is.
// What nobody can tell the end of waits for a person, and deployments from before
// there was such a time for as long as they did.
func slowest(d *towpath.Deployment) (s *Stall, until time.Time) {
	last := lastEnd(d)
	for i := range d.Components {
		r := &d.Components[i]
		for _, step := range r.Steps {
			if !isUnderWay(step) || r.Progress <= 0 || step.Issued.IsZero() {
				continue
			}
			since := step.Issued
			if step.Began.IsZero() && last.After(since) { // it may wait for an agent that does the others first
				since = last
			}
			if end := since.Add(r.Progress); s == nil || end.Before(until) {
				s, until = &Stall{r, step}, end
			}
		}
	}
	return s, until
}

// lastEnd is when the last operation of a deployment ended.
func lastEnd(d *towpath.Deployment) (last time.Time) {
	for _, r := range d.Components {
		for _, step := range r.Steps {
			if step.Ended.After(last) {
				last = step.Ended
			}
		}
	}
	return last
}

// still says what became of an operation so far.
func still(step towpath.Step) string {
	said := fmt.Sprintf("%s is still %s", step.Verb, step.Phase)
	switch {
	case step.Message != "":
		return said + ", " + step.Message
	case step.Began.IsZero():
		return said + ", no agent has taken it up"
	}
	return said
}

// sooner is the earlier of two times, of which a zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
