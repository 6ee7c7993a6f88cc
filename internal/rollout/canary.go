package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Moving are the components whose new revision has a part of the traffic beside
// the old one, or may have it while it is being given that, or copies of it.
func Moving(d *towpath.Deployment) []*towpath.Rollout {
	return slices.DeleteFunc(sharing(d), func(r *towpath.Rollout) bool { return r.Share() == 0 && !r.Mirrors() })
}

// Stand is a component whose rollout stands at a step, by its index.
type Stand struct {
	*towpath.Rollout
	Step int
}

// Standing are the components whose rollouts stand at a step.
func Standing(d *towpath.Deployment) []Stand {
	var out []Stand
	for _, r := range sharing(d) {
		for n, s := range slices.Backward(r.Canary.Spec.Steps) {
			if begun(r, s).Phase == towpath.OperationSucceeded {
				out = append(out, Stand{r, n})
				break
			}
		}
	}
	return out
}

// sharing are the components whose turn it is to move by steps, and which have
// not got all of their traffic yet.
func sharing(d *towpath.Deployment) []*towpath.Rollout {
	if d.Phase != towpath.DeploymentSwitching {
		return nil
	}
	return slices.DeleteFunc(turn(d), func(r *towpath.Rollout) bool {
		return r.Canary == nil || isOver(r)
	})
}

// isOver reports whether the steps of a canary are: it is being switched to, or
// has been, where that is not looked at.
func isOver(r *towpath.Rollout) bool {
	if _, after := r.Canary.AfterSwitch(); after {
		return !r.Canary.Over.IsZero()
	}
	_, switching := r.Find(towpath.VerbSwitch)
	return switching
}

// begun is the operation that began a step; without a phase when none did. What
// is looked at without traffic begins when it is verified.
func begun(r *towpath.Rollout, s towpath.RolloutStep) towpath.Step {
	switch {
	case s.AllOfIt():
		step, _ := r.Find(towpath.VerbVerifyAfter)
		return step
	case !s.Judged():
		step, _ := r.Find(towpath.VerbVerifyBefore)
		return step
	}
	step, _ := r.Shifted(s.Weight)
	return step
}

// Counted is the component of a name when its traffic is shared, or will be;
// nil otherwise. What is counted before teaches how the old revision's requests
// scatter by themselves.
func Counted(d *towpath.Deployment, name towpath.ComponentName) *towpath.Rollout {
	if d.Phase != towpath.DeploymentPreparing && d.Phase != towpath.DeploymentSwitching {
		return nil
	}
	for i := range d.Components {
		r := &d.Components[i]
		if r.Component == name && r.Canary != nil && !isOver(r) {
			return r
		}
	}
	return nil
}

// Question is what a step asks a person.
type Question int

// The questions of a step.
const (
	NoQuestion      Question = iota
	GoOn                     // it waits for a person, as it was to
	WithoutEvidence          // its judgement did not come in time
)

// Asks is what only a person can answer, for the step to end.
func (s Stand) Asks(now time.Time) Question {
	step := s.Canary.Spec.Steps[s.Step]
	over := begun(s.Rollout, step).Ended.Add(step.For)
	switch {
	case step.Manual && !now.Before(over):
		return GoOn
	case step.Judged() && !now.Before(over.Add(s.Canary.Spec.Deadline)):
		return WithoutEvidence
	}
	return NoQuestion
}

// canary takes a component through the steps of its canary that come before the
// switch. It reports whether all of them are over, or that the deployment has to
// go back.
func canary(dec *Decision, r *towpath.Rollout, seen Seen) (done bool, back *Decision) {
	c := r.Canary
	if c == nil {
		return true, nil
	}
	if _, switching := r.Find(towpath.VerbSwitch); switching {
		return true, nil
	}
	j, back := judgement(r, seen)
	if back != nil {
		return false, back
	}
	for i, s := range c.Spec.Steps {
		if s.AllOfIt() {
			break
		}
		step := begun(r, s)
		if step.Phase == "" {
			dec.Issue = append(dec.Issue, shift(r, s))
			return false, nil
		}
		if done, back := passed(dec, r, step); !done {
			return false, back
		}
		if i+1 < len(c.Spec.Steps) {
			if _, next := r.Shifted(c.Spec.Steps[i+1].Weight); next {
				continue
			}
		}
		if held := hold(r, i, step, j, seen.Now); held.why != "" {
			dec.Waiting, dec.Asks, dec.Again = held.why, held.asks, held.again
			return false, nil
		}
	}
	return true, nil
}

// judgement is what is said of a component now, or that the deployment has to go
// back for it.
func judgement(r *towpath.Rollout, seen Seen) (j towpath.Judgement, back *Decision) {
	said := seen.Judgements[r.Component]
	if said == nil || r.Share() == 0 && !r.Mirrors() {
		return j, nil // no evidence
	}
	if said.Outcome == towpath.JudgedWorse {
		return j, &Decision{Trigger: towpath.TriggerWorse, Reason: fmt.Sprintf("the new revision of %s is worse %s: %s", r.Component, by(r), said.Sentence)}
	}
	return *said, nil
}

// watch looks at a component that has all of the traffic, verified, for as long as
// what it replaced still runs. It reports whether that is over, or that the
// deployment has to go back.
func watch(dec *Decision, r *towpath.Rollout, seen Seen) (done bool, back *Decision) {
	s, ok := r.Canary.AfterSwitch()
	if !ok {
		return true, nil
	}
	j, back := judgement(r, seen)
	if back != nil {
		return false, back
	}
	step := begun(r, s)
	if step.Phase != towpath.OperationSucceeded {
		return false, nil
	}
	if held := hold(r, len(r.Canary.Spec.Steps)-1, step, j, seen.Now); held.why != "" {
		dec.Waiting, dec.Asks, dec.Again = held.why, held.asks, held.again
		return false, nil
	}
	dec.Over = append(dec.Over, r.Component)
	return true, nil
}

// by is what a revision was seen to be worse by.
func by(r *towpath.Rollout) string {
	if r.Mirrors() {
		return "by what it did with copies of requests, and no user had it"
	}
	if r.Share() == 100 {
		return "since it has all of the traffic"
	}
	return fmt.Sprintf("at %d %%", r.Share())
}

// shift begins a step. Nobody has to stay with what gets copies only.
func shift(r *towpath.Rollout, s towpath.RolloutStep) Issue {
	is := Issue{Component: r.Component, Verb: towpath.VerbShift, Revision: r.To, Weight: s.Weight, Scale: s.Scale, Copies: s.Copies}
	if s.Weight > 0 {
		is.Sticky = r.Canary.Spec.Sticky
	}
	return is
}

// held is why a step of a canary is not over, and when that may change by
// itself.
type held struct {
	why   string
	asks  bool // a person, who alone ends it
	again time.Time
}

// hold says why a step stays, if it does: its time is not over, it waits for a
// person, or its judgement is missing, or does not reach the end of that time:
// when nobody counted, nobody has judged. Missing evidence is never a pass, and no
// reason to go back either: a person is asked. Without traffic there is nothing
// to judge.
func hold(r *towpath.Rollout, n int, step towpath.Step, j towpath.Judgement, now time.Time) held {
	c, s := r.Canary, r.Canary.Spec.Steps[n]
	if n < c.Passed {
		return held{}
	}
	at := fmt.Sprintf("%s has %d %% of the traffic", r.Component, s.Weight)
	switch {
	case s.AllOfIt():
		at = fmt.Sprintf("%s has all of the traffic, and the revision before it still runs", r.Component)
		if r.StopsFirst() {
			at = fmt.Sprintf("%s has all of the traffic, and the revision before it can be started again", r.Component)
		}
	case s.Copies != nil:
		at = fmt.Sprintf("the new revision of %s has no users yet and gets copies of %d %% of the requests", r.Component, s.Copies.Percent)
	case s.Weight == 0:
		at = fmt.Sprintf("the new revision of %s can be looked at before it has traffic", r.Component)
	}
	again := now.Add(max(c.Spec.Interval, time.Second))
	said := ""
	if isJudged(c, s) {
		if said = ". " + j.Sentence; j.Sentence == "" {
			said = ". Nothing has been counted yet."
		}
	}
	end := step.Ended.Add(s.For)
	if left := end.Sub(now); left > 0 {
		if end.Before(again) {
			again = end
		}
		return held{fmt.Sprintf("%s for another %s%s", at, left.Round(time.Second), said), false, again}
	}
	if s.Manual {
		return held{fmt.Sprintf("%s and waits for a person: `towpath rollout resume` goes on%s", at, said), true, again}
	}
	fine := passes(c, j)
	if !isJudged(c, s) || fine && !j.Counted.Before(end) {
		return held{}
	}
	if !now.Before(end.Add(c.Spec.Deadline)) {
		return held{fmt.Sprintf("%s and could not be judged within %s: `towpath rollout resume --without-evidence` goes on all the same, `towpath rollback` goes back%s",
			at, c.Spec.Deadline, said), true, again}
	}
	if j.Suspect {
		return held{at + " and looks worse; more requests have to show whether it is" + said, false, again}
	}
	switch {
	case fine && j.Counted.Before(step.Ended):
		return held{at + ", and nothing has been counted since" + said, false, again}
	case fine:
		return held{fmt.Sprintf("%s, and the end of its %s has not been counted yet%s", at, s.For, said), false, again}
	}
	return held{at + " and is not judged yet" + said, false, again}
}

// passes reports whether a judgement lets a step end.
func passes(c *towpath.Canary, j towpath.Judgement) bool {
	return j.Outcome == towpath.JudgedNotWorse ||
		j.Outcome == towpath.JudgedUndecided && c.Spec.Undecided == towpath.UndecidedProceeds && !j.Suspect
}

// isJudged reports whether a step is. Copies always are: where no objective says
// anything of them, a person has to.
func isJudged(c *towpath.Canary, s towpath.RolloutStep) bool {
	return s.Judged() && (s.Copies != nil || len(c.Objectives) > 0)
}
