package rollout

import (
	"fmt"
	"slices"
	"strings"
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
	// Again is when to decide again although nothing happened; zero: no need.
	Again time.Time
}

// Next decides how a deployment goes on, from its phase, the operations that it
// has issued and what is known besides. Time-outs of operations are their
// results, but for the time in which there has to be progress. Deciding twice on
// the same snapshot gives the same decision.
func Next(d *towpath.Deployment, seen Seen) Decision {
	return unlessStalled(d, next(d, seen), seen.Now)
}

func next(d *towpath.Deployment, seen Seen) Decision {
	if d.Abort != "" && (d.Phase == towpath.DeploymentPreparing || d.Phase == towpath.DeploymentSwitching) {
		if d.Experiment != nil { // it was to go back anyway: nobody doubts the release
			return Decision{Trigger: towpath.TriggerOver, Reason: d.Abort}
		}
		return Decision{Trigger: towpath.TriggerAbort, Reason: d.Abort}
	}
	if d.Kind == towpath.DeploymentRepair && !towpath.DeploymentTransitions().Terminal(d.Phase) {
		return repair(d)
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
	return Decision{Issue: first, Waiting: why, Again: dec.Again}
}

// Paused says who holds a deployment, and what ends that.
func Paused(p *towpath.Pause) string {
	return fmt.Sprintf("paused by %s: %s; `towpath rollout resume` goes on", p.By, p.Reason)
}

// stopped reports whether a component had to end for its new revision, which
// does not have the traffic yet.
func stopped(d *towpath.Deployment, name towpath.ComponentName) bool {
	i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == name })
	if i < 0 {
		return false
	}
	r := &d.Components[i]
	scale := r.Scales.Of(towpath.VerbPrepare)
	_, preparing := r.Find(towpath.VerbPrepare)
	_, switching := r.Find(towpath.VerbSwitch)
	return scale != nil && scale.Room == 0 && preparing && !switching
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

// turn are the components whose traffic it is that moves now. There is one as
// long as not all have moved.
func turn(d *towpath.Deployment) []*towpath.Rollout {
	var out []*towpath.Rollout
	for _, begun := range []bool{true, false} { // what moves already keeps its turn
		for i := range d.Components {
			r := &d.Components[i]
			if r.Action != towpath.ActionRemove && !moved(r) && moving(r) == begun && itsTurn(d, r) && len(out) < max(d.Concurrent, 1) {
				out = append(out, r)
			}
		}
	}
	return out
}

// moving reports whether a component has begun to move: its traffic, or what runs
// to make room for it.
func moving(r *towpath.Rollout) bool {
	return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
		return s.Verb == towpath.VerbShift || s.Verb == towpath.VerbSwitch || s.Verb == towpath.VerbPrepare && r.Scales != nil && r.Scales.Late
	})
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
	dec.Again = sooner(dec.Again, own.Again)
}

// moved reports whether a component has all of its traffic on the new revision,
// verified.
func moved(r *towpath.Rollout) bool {
	step, ok := r.Find(towpath.VerbVerifyAfter)
	return ok && step.Phase == towpath.OperationSucceeded
}

// itsTurn reports whether all that moves before a component has moved.
func itsTurn(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		return other.Action != towpath.ActionRemove && precedes(d, &other, r) && !moved(&other)
	})
}

// precedes reports whether a component moves before another one: because that
// needs it, or in a rollback, where users must not meet what needs the newer one
// beside the older one, because it needs that.
func precedes(d *towpath.Deployment, first, r *towpath.Rollout) bool {
	if d.Kind == towpath.DeploymentRollback {
		return slices.Contains(r.After, first.Component)
	}
	return slices.Contains(r.DependsOn, first.Component)
}

// retire stops what the release replaced. It can't fail the deployment, which
// has succeeded for its users already: a failed step is issued again. In a
// rollback what goes away does so after what needs it.
func retire(d *towpath.Deployment) Decision {
	var dec Decision
	all := true
	for i := range d.Components {
		r := &d.Components[i]
		is := Issue{Component: r.Component, Verb: towpath.VerbRetire, Revision: r.To, Keep: r.Keep}
		if r.Action == towpath.ActionRemove {
			is = Issue{Component: r.Component, Verb: towpath.VerbRemove}
		}
		if !dependentsRemoved(d, r) {
			all = false
			continue
		}
		all = again(&dec, r, is) && all
	}
	if all {
		return Decision{Trigger: towpath.TriggerRetired, Reason: "the old revisions are drained and stopped"}
	}
	return dec
}

// dependentsRemoved reports whether all that goes away before a component has.
func dependentsRemoved(d *towpath.Deployment, r *towpath.Rollout) bool {
	return r.Action != towpath.ActionRemove || !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		step, ok := other.Find(towpath.VerbRemove)
		return other.Action == towpath.ActionRemove && precedes(d, &other, r) && (!ok || step.Phase != towpath.OperationSucceeded)
	})
}

// revert sends traffic back, what moved last before what it waited for, then stops the
// revisions that failed. Only components that the deployment touched need it. What
// can't be brought back stops those that go back after it, and nothing else.
func revert(d *towpath.Deployment) Decision {
	var dec Decision
	var stuck, left []string
	all, going := true, false
	for i := range slices.Backward(d.Components) {
		r := &d.Components[i]
		if !touched(d, r) || back(r) {
			continue
		}
		all = false
		if !laterOnesBack(d, r) {
			left = append(left, string(r.Component))
			continue
		}
		own, why := restore(r)
		if why != "" {
			stuck = append(stuck, why)
			continue
		}
		going = true
		dec.add(own)
	}
	switch {
	case len(stuck) > 0 && !going:
		if len(left) > 0 {
			why := "left as it is because that needs it: "
			if d.Kind == towpath.DeploymentRollback {
				why = "left as it is because it needs that: "
			}
			stuck = append(stuck, why+strings.Join(left, ", "))
		}
		return Decision{Trigger: towpath.TriggerGiveUp, Reason: strings.Join(stuck, "; ")}
	case len(stuck) > 0:
		dec.Waiting = strings.Join(slices.DeleteFunc(append(stuck, dec.Waiting), func(s string) bool { return s == "" }), "; ")
		return dec
	case !all:
		return dec
	}
	for i := range d.Components {
		r := &d.Components[i]
		if touched(d, r) && r.From != "" {
			all = again(&dec, r, Issue{Component: r.Component, Verb: towpath.VerbRetire, Revision: r.From}) && all
		}
	}
	if all {
		reason := "the previous release runs again"
		if d.Previous == "" {
			reason = "what it had started is gone again; nothing ran before"
		}
		if d.Experiment != nil && !d.Experiment.Ended.IsZero() {
			return Decision{Trigger: towpath.TriggerReturned, Reason: d.Cause + "; the previous release has all of the traffic again"}
		}
		return Decision{Trigger: towpath.TriggerReverted, Reason: reason}
	}
	return dec
}

// restore takes one component back, or says why it can't be.
func restore(r *towpath.Rollout) (dec Decision, stuck string) {
	if r.From == "" {
		again(&dec, r, Issue{Component: r.Component, Verb: towpath.VerbRemove})
		return dec, ""
	}
	step, issued := r.Find(towpath.VerbRestore)
	switch {
	case !issued:
		dec.Issue = append(dec.Issue, Issue{
			Component: r.Component, Verb: towpath.VerbRestore, Revision: r.From, Scale: r.Scales.Of(towpath.VerbRestore),
		})
	case step.Phase == towpath.OperationFailed || step.Phase == towpath.OperationStale:
		return dec, fmt.Sprintf("%s could not be brought back to its previous revision: %s", r.Component, step.Message)
	default:
		dec.Waiting = waitingFor(r.Component, step)
	}
	return dec, ""
}

// back reports whether a component is as it was before the deployment.
func back(r *towpath.Rollout) bool {
	verb := towpath.VerbRestore
	if r.From == "" {
		verb = towpath.VerbRemove
	}
	step, ok := r.Find(verb)
	return ok && step.Phase == towpath.OperationSucceeded
}

// laterOnesBack reports whether all that moves after a component is as it was.
func laterOnesBack(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		return precedes(d, r, &other) && touched(d, &other) && !back(&other)
	})
}

// touched reports whether a component has to be brought back: not one of which
// everything was withdrawn before an agent took it up. Under a plan
// whose base had moved only what took from what ran is: what else runs there is
// not what the deployment took it for, and the next plan replaces it.
func touched(d *towpath.Deployment, r *towpath.Rollout) bool {
	if !d.Stale {
		return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
			return s.Phase != towpath.OperationCancelled || !s.Began.IsZero()
		})
	}
	took := func(v towpath.Verb) bool {
		return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
			return s.Verb == v && s.Phase != towpath.OperationStale && (v != towpath.VerbShift || s.Weight > 0) // copies take nothing
		})
	}
	return took(towpath.VerbShift) || took(towpath.VerbSwitch) || r.Scales.Of(towpath.VerbPrepare) != nil && took(towpath.VerbPrepare)
}

// sequence issues first, then second, of a rollout. It reports whether both
// are done, or that the deployment has to go back: because one failed, or
// because the plan's base has moved, which is nobody's failure.
func sequence(dec *Decision, r *towpath.Rollout, first, second towpath.Verb, ready bool) (done bool, back *Decision) {
	for _, verb := range []towpath.Verb{first, second} {
		step, issued := r.Find(verb)
		switch {
		case !issued && !ready:
			return false, nil
		case !issued:
			dec.Issue = append(dec.Issue, Issue{Component: r.Component, Verb: verb, Revision: r.To, Scale: r.Scales.Of(verb)})
			return false, nil
		}
		if done, back := passed(dec, r, step); !done {
			return false, back
		}
	}
	return true, nil
}

// passed reports whether a step has succeeded, or that the deployment has to go
// back.
func passed(dec *Decision, r *towpath.Rollout, step towpath.Step) (done bool, back *Decision) {
	switch step.Phase {
	case towpath.OperationSucceeded:
		return true, nil
	case towpath.OperationFailed:
		return false, &Decision{Trigger: towpath.TriggerStepFail, Reason: fmt.Sprintf("%s of %s failed: %s", step.Verb, r.Component, step.Message)}
	case towpath.OperationStale:
		return false, &Decision{Trigger: towpath.TriggerMoved, Reason: fmt.Sprintf("the plan of %s is stale: %s", r.Component, step.Message)}
	}
	dec.Waiting = waitingFor(r.Component, step)
	return false, nil
}

// again issues an operation until it has succeeded.
func again(dec *Decision, r *towpath.Rollout, is Issue) bool {
	step, issued := r.Find(is.Verb)
	switch {
	case !issued || step.Phase == towpath.OperationFailed || step.Phase == towpath.OperationStale ||
		step.Phase == towpath.OperationCancelled:
		dec.Issue = append(dec.Issue, is)
		return false
	case step.Phase != towpath.OperationSucceeded:
		dec.Waiting = waitingFor(r.Component, step)
		return false
	}
	return true
}

func dependenciesPrepared(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		if other.Action == towpath.ActionRemove || other.Scales != nil && other.Scales.Late || !slices.Contains(r.DependsOn, other.Component) {
			return false
		}
		step, ok := other.Find(towpath.VerbVerifyBefore)
		return !ok || step.Phase != towpath.OperationSucceeded
	})
}

func waitingFor(c towpath.ComponentName, s towpath.Step) string {
	if s.Phase == towpath.OperationUnknown {
		return fmt.Sprintf("nobody can tell whether %s of %s took effect: decide with `towpath operation resolve %s`", s.Verb, c, s.Operation)
	}
	return fmt.Sprintf("%s of %s is %s", s.Verb, c, s.Phase)
}
