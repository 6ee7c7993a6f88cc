package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// lastLines is how much of a failed step's log is shown.
const lastLines = 20

// branch is one line of a step tree. Those of depth 1 belong to the last one
// of depth 0 before them.
type branch struct {
	depth        int
	name         string
	state        StepState
	detail       string
	count        string // how far it is
	began, ended time.Time
	log          []string
}

// deploymentTree is the components of a deployment and their steps.
func deploymentTree(d towpath.Deployment) []branch {
	var out []branch
	over := towpath.DeploymentTransitions().Terminal(d.Phase)
	for _, r := range d.Components {
		var steps []branch
		if d.Experiment != nil {
			steps = experimentSteps(r, d.Experiment, over || d.Phase == towpath.DeploymentReverting)
		} else {
			steps = withAfter(r, componentSteps(r, plannedSteps(r), over || d.Phase == towpath.DeploymentReverting), over || d.Phase == towpath.DeploymentReverting)
		}
		head := branch{name: string(r.Component), state: StepPending}
		switch {
		case r.Action == towpath.ActionNone:
			head.state, head.detail = StepSkipped, "unchanged"
		case len(steps) > 0:
			head.state, head.began, head.ended = summary(steps)
		}
		if c := r.Canary; c != nil && c.Judgement != nil && c.Judgement.Outcome == towpath.JudgedWorse {
			head.state, head.detail = StepFailed, "judged worse" // though each of its steps was done
		}
		out = append(append(out, head), steps...)
	}
	return out
}

// componentSteps is the steps that were issued and, unless the way is over,
// those that are to come.
func componentSteps(r towpath.Rollout, plan []planned, over bool) []branch {
	var out []branch
	done := -1 // of the plan, the last step that was issued
	order := map[planned]int{}
	for i, v := range plan {
		order[v] = i
	}
	for _, s := range r.Steps {
		out = append(out, branch{
			depth: 1, name: planned{s.Verb, s.Weight, s.Copies}.String(), state: stepState(s.Phase), detail: stepDetail(s), began: s.Began, ended: s.Ended, log: s.Log,
		})
		if i, ok := order[planned{s.Verb, s.Weight, s.Copies}]; ok {
			done = max(done, i)
		}
		over = over || out[len(out)-1].state == StepFailed
	}
	if over || r.Action == towpath.ActionNone {
		return out
	}
	for _, v := range plan[done+1:] {
		out = append(out, branch{depth: 1, name: v.String(), state: StepPending})
	}
	return out
}

// withAfter are the steps and, after those of the switch, the time in which the new
// revision is judged with all of the traffic.
func withAfter(r towpath.Rollout, steps []branch, over bool) []branch {
	s, ok := r.Canary.AfterSwitch()
	if !ok {
		return steps
	}
	i := slices.IndexFunc(steps, func(b branch) bool { return b.name == string(towpath.VerbSwitch) })
	if i < 0 || i+1 >= len(steps) || steps[i+1].name != "verify" {
		return steps
	}
	after := branch{depth: 1, name: "judge for " + s.For.String(), state: StepPending}
	if verified := steps[i+1]; verified.state == StepDone {
		after.state, after.began = StepRunning, verified.ended
		switch {
		case !r.Canary.Over.IsZero():
			after.state, after.ended = StepDone, r.Canary.Over
		case over: // it went back before its time
			after.state, after.ended = StepFailed, verified.ended
		}
	} else if over {
		return steps
	}
	return slices.Insert(steps, i+2, after)
}

// experimentSteps is the steps of an experiment, which never switches: between
// the share and the way back it only takes its time.
func experimentSteps(r towpath.Rollout, e *towpath.Experiment, over bool) []branch {
	plan := []planned{
		{verb: towpath.VerbPrepare}, {verb: towpath.VerbVerifyBefore}, {verb: towpath.VerbShift, weight: e.Share}, {verb: towpath.VerbRestore}, {verb: towpath.VerbRetire},
	}
	steps := componentSteps(r, plan, over)
	i := slices.IndexFunc(steps, func(b branch) bool { return b.name == plan[2].String() })
	if i < 0 {
		return steps
	}
	compare := branch{depth: 1, name: "compare for " + e.For.String(), state: StepPending}
	if shared := steps[i]; shared.state == StepDone {
		compare.state, compare.began = StepRunning, shared.ended
		switch {
		case !e.Ended.IsZero():
			compare.state, compare.ended = StepDone, e.Ended
		case over: // it went back before its time, and nobody wanted that
			compare.state, compare.ended = StepSkipped, shared.ended
		}
	}
	return slices.Insert(steps, i+1, compare)
}

// planned is a step that a rollout takes when nothing goes wrong.
type planned struct {
	verb   towpath.Verb
	weight int // of a shift
	copies int // likewise, of weight 0
}

func plannedSteps(r towpath.Rollout) []planned {
	if r.Action == towpath.ActionRemove {
		return []planned{{verb: towpath.VerbRemove}}
	}
	out := []planned{{verb: towpath.VerbPrepare}, {verb: towpath.VerbVerifyBefore}}
	if r.Canary != nil {
		for _, s := range r.Canary.Spec.Steps {
			if !s.Judged() || s.AllOfIt() { // neither is an operation of its own
				continue
			}
			out = append(out, planned{towpath.VerbShift, s.Weight, s.Copies.Share()})
		}
	}
	return append(out, planned{verb: towpath.VerbSwitch}, planned{verb: towpath.VerbVerifyAfter}, planned{verb: towpath.VerbRetire})
}

// String is what people call the step.
func (p planned) String() string {
	switch p.verb {
	case towpath.VerbVerifyBefore, towpath.VerbVerifyAfter:
		return "verify"
	case towpath.VerbShift:
		if p.copies > 0 {
			return fmt.Sprintf("mirror %d %%", p.copies)
		}
		return fmt.Sprintf("shift %d %%", p.weight)
	}
	return string(p.verb)
}

func stepState(p towpath.OperationPhase) StepState {
	switch p {
	case towpath.OperationPending:
		return StepPending
	case towpath.OperationRunning:
		return StepRunning
	case towpath.OperationSucceeded:
		return StepDone
	case towpath.OperationCancelled:
		return StepSkipped
	}
	return StepFailed
}

func stepDetail(s towpath.Step) string {
	var parts []string
	if s.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", s.Attempt))
	}
	if s.Message != "" && s.Phase != towpath.OperationSucceeded {
		parts = append(parts, s.Message)
	}
	if s.Phase == towpath.OperationUnknown {
		parts = append(parts, "nobody can tell whether it took effect; look, then run: towpath operation resolve "+string(s.Operation))
	}
	return strings.Join(parts, "; ")
}

// summary is the state of what has steps.
func summary(steps []branch) (state StepState, began, ended time.Time) {
	state = StepDone
	for _, s := range steps {
		if began.IsZero() || (!s.began.IsZero() && s.began.Before(began)) {
			began = s.began
		}
		if s.ended.After(ended) {
			ended = s.ended
		}
		switch {
		case s.state == StepFailed:
			state = StepFailed
		case state == StepFailed:
		case s.state == StepRunning || s.state == StepPending && !began.IsZero():
			state = StepRunning
		case s.state == StepPending:
			state = StepPending
		}
	}
	if state == StepRunning || state == StepPending {
		ended = time.Time{}
	}
	return state, began, ended
}

// took is how long a branch has taken, empty before it began.
func (b branch) took(now time.Time) string {
	switch {
	case b.began.IsZero() || b.state == StepPending:
		return ""
	case !b.ended.IsZero():
		return seconds(b.ended.Sub(b.began))
	}
	return seconds(now.Sub(b.began))
}

// said is what is known of a step beside its state.
func (b branch) said() string {
	if b.count != "" && b.detail != "" {
		return b.count + "; " + b.detail
	}
	return b.count + b.detail
}

// drawTree is the lines of a tree. What is done collapses into one line, what
// failed shows the end of its log.
func drawTree(tree []branch, now time.Time, st style) []string {
	signs := map[StepState]string{
		StepPending: st.dim("·"), StepRunning: st.note("▸"), StepDone: st.good("✓"), StepFailed: st.bad("✗"), StepSkipped: st.dim("-"),
	}
	var out []string
	open := true
	for _, b := range tree {
		if b.depth == 0 {
			open = b.state == StepRunning || b.state == StepFailed
		} else if !open {
			continue
		}
		indent := strings.Repeat("  ", b.depth+1)
		line := fmt.Sprintf("%s%s %-*s", indent, signs[b.state], 18-2*b.depth, b.name)
		if took := b.took(now); took != "" {
			line += " " + st.dim(fmt.Sprintf("%7s", took))
		}
		if said := b.said(); said != "" {
			line += "  " + said
		}
		out = append(out, strings.TrimRight(line, " "))
		if b.state == StepFailed {
			for _, l := range b.log[max(0, len(b.log)-lastLines):] {
				out = append(out, indent+"  "+st.dim("│ "+l))
			}
		}
	}
	return out
}

// bar is how much of a tree is done.
func bar(tree []branch, st style) string {
	const width = 20
	done, all := 0, 0
	for i, b := range tree {
		leaf := b.depth > 0 || i+1 == len(tree) || tree[i+1].depth == 0
		if !leaf {
			continue
		}
		all++
		if b.state == StepDone || b.state == StepSkipped {
			done++
		}
	}
	if all == 0 {
		return ""
	}
	full := width * done / all
	return st.good(strings.Repeat("━", full)) + st.dim(strings.Repeat("━", width-full)) + fmt.Sprintf(" %d/%d", done, all)
}

// waiting says what a deployment waits for.
func (p *page) waiting(d towpath.Deployment) {
	var all []string
	for _, a := range d.Away {
		all = append(all, p.style.bad(awaited(a, p.now)))
	}
	if d.Waiting != "" {
		all = append(all, p.style.warn(d.Waiting))
	}
	p.fields("waiting", all)
}

// awaited says which agent is waited for, and since when it is away.
func awaited(a towpath.AgentAway, now time.Time) string {
	names := make([]string, len(a.Components))
	for i, c := range a.Components {
		names[i] = string(c)
	}
	if a.Agent == "" {
		return fmt.Sprintf("%s waits for an agent of place %s, which none has ever connected for", strings.Join(names, ", "), a.Place)
	}
	return fmt.Sprintf("%s waits for agent %s of place %s, last seen %s ago", strings.Join(names, ", "), a.Agent, a.Place, span(now.Sub(a.Seen)))
}

// tree is a deployment as text.
func (p *page) tree(d towpath.Deployment) {
	phase := p.style.word(string(d.Phase))
	if d.Reason != "" {
		phase += ": " + d.Reason
	}
	p.line("%s: %s", doingIn(d), phase)
	for _, l := range drawTree(deploymentTree(d), p.now, p.style) {
		p.line("%s", l)
	}
}
