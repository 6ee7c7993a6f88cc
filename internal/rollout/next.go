package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Issue asks for one operation on a component.
type Issue struct {
	Component towpath.ComponentName
	Verb      towpath.Verb
	Revision  towpath.RevisionID     // that the verb brings about
	Weight    int                    // of VerbShift, percent
	Copies    *towpath.TrafficCopies // of VerbShift with weight 0
	Sticky    *towpath.TrafficSticky // of VerbShift
	Scale     *towpath.Scale
	Keep      time.Duration // of VerbRetire: how long what was replaced runs on
}

// Seen is what is known of a deployment besides what it has done.
type Seen struct {
	Now time.Time
	// Up is since when this server looks at deployments. While it did not nobody could
	// tell it what became of anything. Zero: for long.
	Up time.Time
	// Judgements are those of the components of [Moving]; one that is missing is
	// no evidence.
	Judgements map[towpath.ComponentName]*towpath.Judgement
}

// Decision is what to do with a deployment now: issue operations, move its
// phase, or neither. Waiting says what it waits for when it does neither.
type Decision struct {
	Issue   []Issue
	Trigger towpath.DeploymentTrigger // empty: stay in this phase
	Reason  string                    // of the trigger
	Waiting string
	// Asks is that a person has to do something for it to go on.
	Asks bool
	// Over are the components whose time after the switch ends now: that has to be
	// kept in [towpath.Canary.Over], and decided anew.
	Over []towpath.ComponentName
	// Again is when to decide again although nothing happened; zero: no need.
	Again time.Time
}

// Next decides how a deployment goes on, from its phase, the operations that it
// has issued and what is known besides. Time-outs of operations are their
// results, but for the time in which there has to be progress. Deciding twice on
// the same snapshot gives the same decision.
func Next(d *towpath.Deployment, seen Seen) Decision {
	return unlessStalled(d, next(d, seen), seen)
}

func next(d *towpath.Deployment, seen Seen) Decision {
	if d.Abort != "" && (d.Phase == towpath.DeploymentPreparing || d.Phase == towpath.DeploymentSwitching) {
		if d.Experiment != nil { // it was to go back anyway: nobody doubts the release
			return Decision{Trigger: towpath.TriggerOver, Reason: d.Abort}
		}
		return Decision{Trigger: towpath.TriggerAbort, Reason: d.Abort}
	}
	if d.Kind == towpath.DeploymentRepair && !towpath.DeploymentTransitions().Terminal(d.Phase) {
		return unlessPaused(d, repair(d), seen)
	}
	switch d.Phase {
	case towpath.DeploymentPreparing, towpath.DeploymentSwitching:
		if names := circle(d); len(names) > 0 {
			return Decision{Trigger: towpath.TriggerStepFail, Reason: "none of these can move before the others: " + commas(names) +
				"; release them without dependencies that go in a circle"}
		}
	}
	switch d.Phase {
	case towpath.DeploymentPreparing:
		return unlessPaused(d, prepare(d), seen)
	case towpath.DeploymentSwitching:
		if d.Experiment != nil {
			return experiment(d, seen)
		}
		return unlessPaused(d, switchOver(d, seen), seen)
	case towpath.DeploymentRetiring:
		return retire(d)
	case towpath.DeploymentReverting:
		return revert(d)
	}
	return Decision{Waiting: "the deployment has ended"}
}

// unlessPaused holds a deployment that a person paused where it is. What is bad
// goes back all the same, and a component that was stopped for the new revision
// gets that one first: a pause is no outage.
func unlessPaused(d *towpath.Deployment, dec Decision, seen Seen) Decision {
	p := d.Paused
	if p == nil || dec.Trigger != "" && dec.Trigger != towpath.TriggerPrepared && dec.Trigger != towpath.TriggerSwitched {
		return dec
	}
	why := Paused(p)
	if dec.Waiting != "" {
		why += "; " + dec.Waiting
	}
	first := slices.DeleteFunc(dec.Issue, func(is Issue) bool { return !stopped(d, is.Component) })
	return Decision{Issue: first, Waiting: why, Asks: true, Again: dec.Again}
}

// Paused says who holds a deployment, and what ends that.
func Paused(p *towpath.Pause) string {
	why := ""
	if p.Reason != "" {
		why = ": " + p.Reason
	}
	return fmt.Sprintf("paused by %s%s; `towpath rollout resume` goes on", p.By, why)
}

// stopped reports whether a component had to end for its new revision, which
// does not have the traffic yet.
func stopped(d *towpath.Deployment, name towpath.ComponentName) bool {
	i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == name })
	if i < 0 {
		return false
	}
	r := &d.Components[i]
	_, preparing := r.Find(towpath.VerbPrepare)
	_, switching := r.Find(towpath.VerbSwitch)
	return r.StopsFirst() && preparing && !switching
}

// prepare starts each new revision once what it depends on is prepared, a few
// at a time. No traffic moves, so one bad component costs nothing.
func prepare(d *towpath.Deployment) Decision {
	var dec Decision
	all, busy, reason := true, 0, "every new revision is healthy beside the old one"
	for i := range d.Components {
		r := &d.Components[i]
		if r.Action == towpath.ActionRemove {
			continue
		}
		if r.Scales != nil && r.Scales.Late {
			reason = "what can be prepared before its turn is healthy"
			continue
		}
		ready := dependenciesPrepared(d, r) && (len(r.Steps) > 0 || d.Concurrent == 0 || busy < d.Concurrent)
		done, back := sequence(&dec, r, towpath.VerbPrepare, towpath.VerbVerifyBefore, ready)
		if back != nil {
			return *back
		}
		if ready && !done {
			busy++
		}
		all = all && done
	}
	if all {
		return Decision{Trigger: towpath.TriggerPrepared, Reason: reason}
	}
	return dec
}

// switchOver moves traffic in dependency order, a rollback against it, by the
// steps of a component's canary if it has one: what waits for others moves once
// they are verified, and what does not moves beside them, as many at a time as
// the deployment may.
func switchOver(d *towpath.Deployment, seen Seen) Decision {
	var dec Decision
	turns := turn(d)
	for _, r := range turns {
		own, back := move(r, seen)
		if back != nil {
			return *back
		}
		dec.add(own)
	}
	if len(turns) == 0 {
		return Decision{Trigger: towpath.TriggerSwitched, Reason: "all traffic is on the new release"}
	}
	return dec
}

// move takes one component a step further to all of the traffic, or says that
// the deployment has to go back. What takes from what runs while it is prepared
// is prepared here.
func move(r *towpath.Rollout, seen Seen) (dec Decision, back *Decision) {
	done := true
	if r.Scales != nil && r.Scales.Late {
		done, back = sequence(&dec, r, towpath.VerbPrepare, towpath.VerbVerifyBefore, true)
	}
	if done && back == nil {
		done, back = canary(&dec, r, seen)
	}
	if done && back == nil {
		_, back = sequence(&dec, r, towpath.VerbSwitch, towpath.VerbVerifyAfter, true)
		if back == nil && r.Canary != nil {
			_, back = watch(&dec, r, seen)
		}
	}
	return dec, back
}

// add has a deployment do what two of its components are to do.
func (dec *Decision) add(own Decision) {
	dec.Issue = append(dec.Issue, own.Issue...)
	if own.Waiting != "" && dec.Waiting != "" {
		dec.Waiting += "; "
	}
	dec.Waiting += own.Waiting
	dec.Asks = dec.Asks || own.Asks
	dec.Over = append(dec.Over, own.Over...)
	dec.Again = sooner(dec.Again, own.Again)
}
