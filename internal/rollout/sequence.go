package rollout

import (
	"fmt"

	"github.com/towpath/towpath/internal/towpath"
)

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
	dec.Waiting, dec.Asks = waitingFor(r.Component, step)
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
		dec.Waiting, dec.Asks = waitingFor(r.Component, step)
		return false
	}
	return true
}

// waitingFor says what a step that is under way waits for, and whether that is a
// person.
func waitingFor(c towpath.ComponentName, s towpath.Step) (why string, asks bool) {
	if s.Phase == towpath.OperationUnknown {
		return fmt.Sprintf("nobody can tell whether %s of %s took effect: decide with `towpath operation resolve %s`", s.Verb, c, s.Operation), true
	}
	return fmt.Sprintf("%s of %s is %s", s.Verb, c, s.Phase), false
}
