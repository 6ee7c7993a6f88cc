package rollout

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

// world runs operations as an agent would, and knows what has traffic.
type world struct {
	d       *towpath.Deployment
	traffic map[towpath.ComponentName]towpath.RevisionID
	running map[towpath.ComponentName]map[towpath.RevisionID]bool
	share   map[towpath.ComponentName]int // percent of the traffic that the new one has beside the old one
	now     time.Time
	judge   func() *towpath.Judgement // of what is moving
	// ordered holds an operation against another order than that of a promotion.
	ordered func(t failer, is Issue, r *towpath.Rollout)
}

func newWorld(d *towpath.Deployment) *world {
	w := &world{d: d, traffic: map[towpath.ComponentName]towpath.RevisionID{}, running: map[towpath.ComponentName]map[towpath.RevisionID]bool{},
		share: map[towpath.ComponentName]int{}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	for _, r := range d.Components {
		w.running[r.Component] = map[towpath.RevisionID]bool{}
		if r.From != "" {
			w.traffic[r.Component] = r.From
			w.running[r.Component][r.From] = true
		}
	}
	return w
}

// step issues and runs operations until the phase changes or the deployment
// waits. outcome says how each operation ends.
func (w *world) step(t failer, outcome func(Issue) towpath.OperationPhase) (stuck bool) {
	seen := Seen{Now: w.now}
	for _, moving := range Moving(w.d) {
		if j := w.judge(); j != nil {
			if seen.Judgements == nil {
				seen.Judgements = map[towpath.ComponentName]*towpath.Judgement{}
			}
			seen.Judgements[moving.Component] = j
		}
	}
	dec := Next(w.d, seen)
	if again := Next(w.d, seen); fmt.Sprint(again) != fmt.Sprint(dec) {
		t.Fatalf("deciding twice gives %v, then %v", dec, again)
	}
	if dec.Trigger != "" {
		to, err := towpath.DeploymentTransitions().Next("deployment", w.d.Phase, dec.Trigger)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if to == towpath.DeploymentReverting {
			w.withdraw()
		}
		w.d.Phase = to
		return false
	}
	if len(dec.Issue) == 0 && dec.Again.After(w.now) {
		w.now = dec.Again
		return false
	}
	for _, is := range dec.Issue {
		w.run(t, is, outcome(is))
	}
	return len(dec.Issue) == 0
}

// withdraw cancels what is under way, as entering the way back does.
func (w *world) withdraw() {
	for i := range w.d.Components {
		for j := range w.d.Components[i].Steps {
			s := &w.d.Components[i].Steps[j]
			if !towpath.OperationTransitions().Terminal(s.Phase) {
				s.Phase = towpath.OperationCancelled
			}
		}
	}
}

type failer interface{ Fatalf(string, ...any) }

func (w *world) run(t failer, is Issue, phase towpath.OperationPhase) {
	r := &w.d.Components[slices.IndexFunc(w.d.Components, func(r towpath.Rollout) bool { return r.Component == is.Component })]
	w.check(t, is, r)
	r.Steps = append(r.Steps, towpath.Step{Verb: is.Verb, Phase: phase, Weight: is.Weight, Ended: w.now})
	if phase != towpath.OperationSucceeded {
		return
	}
	c := is.Component
	switch is.Verb {
	case towpath.VerbPrepare:
		w.running[c][is.Revision] = true
	case towpath.VerbShift:
		w.share[c] = is.Weight
	case towpath.VerbSwitch, towpath.VerbRestore:
		w.share[c] = 0
		w.running[c][is.Revision] = true
		w.traffic[c] = is.Revision
	case towpath.VerbRetire:
		w.running[c] = map[towpath.RevisionID]bool{is.Revision: true}
	case towpath.VerbRemove:
		w.running[c] = map[towpath.RevisionID]bool{}
		delete(w.traffic, c)
	}
}

// check holds each operation against what must be true when it is issued.
func (w *world) check(t failer, is Issue, r *towpath.Rollout) {
	if w.ordered != nil {
		w.ordered(t, is, r)
	} else if w.d.Kind != towpath.DeploymentRollback {
		w.inOrder(t, is, r)
	}
	switch is.Verb {
	case towpath.VerbShift:
		if is.Weight <= w.share[is.Component] {
			t.Fatalf("%s is given %d %% after %d %%", is.Component, is.Weight, w.share[is.Component])
		}
		if !w.running[is.Component][is.Revision] || w.traffic[is.Component] != r.From {
			t.Fatalf("%s shares its traffic with what is not prepared", is.Component)
		}
	case towpath.VerbSwitch:
		if r.Canary != nil && w.share[is.Component] != r.Canary.Spec.Steps[len(r.Canary.Spec.Steps)-1].Weight {
			t.Fatalf("%s is switched at %d %%", is.Component, w.share[is.Component])
		}
		for _, other := range w.d.Components {
			if other.Action != towpath.ActionRemove && !preparedLate(other) && !w.running[other.Component][other.To] {
				t.Fatalf("%s is switched before %s is prepared", is.Component, other.Component)
			}
		}
	case towpath.VerbRetire:
		if w.traffic[is.Component] != is.Revision {
			t.Fatalf("%s retires all but %s while %s has the traffic", is.Component, is.Revision, w.traffic[is.Component])
		}
	case towpath.VerbRemove:
		if r.Action == towpath.ActionRemove && w.d.Phase != towpath.DeploymentRetiring {
			t.Fatalf("%s is removed while the deployment is %s", is.Component, w.d.Phase)
		}
	case towpath.VerbPrepare:
		for _, dep := range r.DependsOn {
			for _, other := range w.d.Components {
				if other.Component == dep && other.Action != towpath.ActionRemove && !preparedLate(other) && !w.running[dep][other.To] {
					t.Fatalf("%s is prepared before %s, which it needs", is.Component, dep)
				}
			}
		}
	}
}

func preparedLate(r towpath.Rollout) bool { return r.Scales != nil && r.Scales.Late }

// inOrder holds what moves traffic against the order of dependencies, and against
// how many may move at a time.
func (w *world) inOrder(t failer, is Issue, r *towpath.Rollout) {
	switch is.Verb {
	case towpath.VerbShift, towpath.VerbSwitch:
		under := 1
		for _, other := range w.d.Components {
			if slices.Contains(r.DependsOn, other.Component) && other.Action != towpath.ActionRemove && !moved(&other) {
				t.Fatalf("%s moves before %s, which it needs", is.Component, other.Component)
			}
			if begun := w.share[other.Component] > 0 || w.traffic[other.Component] == other.To; other.Component != r.Component && other.Action != towpath.ActionRemove && begun && !moved(&other) {
				under++
			}
		}
		if under > max(1, w.d.Concurrent) {
			t.Fatalf("%d components move at once", under)
		}
	case towpath.VerbRestore:
		for _, other := range w.d.Components {
			if slices.Contains(other.DependsOn, r.Component) && other.From != "" && w.traffic[other.Component] != other.From {
				t.Fatalf("%s goes back before %s, which needs it", is.Component, other.Component)
			}
		}
	}
}

// generated is a deployment of up to five components, some of which depend on
// those before them.
func generated(t *rapid.T) *towpath.Deployment {
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Concurrent: rapid.IntRange(0, 3).Draw(t, "concurrent")}
	for i := range rapid.IntRange(0, 5).Draw(t, "components") {
		r := towpath.Rollout{Component: towpath.ComponentName(fmt.Sprintf("c%d", i)), To: "new", From: "old", Action: towpath.ActionReplace}
		switch rapid.IntRange(0, 3).Draw(t, "action") {
		case 0:
			r.From, r.Action = "", towpath.ActionCreate
		case 1:
			r.To, r.Action = "", towpath.ActionRemove
		case 2:
			r.Canary = &towpath.Canary{Spec: towpath.RolloutSpec{Interval: time.Second, Deadline: 10 * time.Second}}
			for w := rapid.IntRange(1, 50).Draw(t, "weight"); w < 100; w *= 3 {
				r.Canary.Spec.Steps = append(r.Canary.Spec.Steps, towpath.RolloutStep{Weight: w, For: time.Duration(w) * time.Second})
			}
			if rapid.Bool().Draw(t, "judged") {
				r.Canary.Objectives = []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}}
			}
		}
		for j := range i {
			if rapid.Bool().Draw(t, "depends") {
				r.DependsOn = append(r.DependsOn, towpath.ComponentName(fmt.Sprintf("c%d", j)))
			}
		}
		d.Components = append(d.Components, r)
	}
	return d
}

func TestNext_IsSafeWhateverFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := generated(t)
		w := newWorld(d)
		w.judge = func() *towpath.Judgement {
			outcome := rapid.SampledFrom([]towpath.JudgementOutcome{
				"", towpath.JudgedUndecided, towpath.JudgedNoEvidence, towpath.JudgedNotWorse, towpath.JudgedNotWorse, towpath.JudgedWorse,
			}).Draw(t, "judgement")
			if outcome == "" {
				return nil
			}
			return &towpath.Judgement{Outcome: outcome, Sentence: "a sentence", Counted: w.now}
		}
		failures := rapid.IntRange(0, 6).Draw(t, "failures")
		outcome := func(is Issue) towpath.OperationPhase {
			if failures > 0 && is.Verb != towpath.VerbRestore && rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
				failures--
				return towpath.OperationFailed
			}
			return towpath.OperationSucceeded
		}
		for i := 0; !towpath.DeploymentTransitions().Terminal(d.Phase); i++ {
			if w.step(t, outcome) {
				t.Fatalf("the deployment is stuck in %s", d.Phase)
			}
			if i > 500 {
				t.Fatalf("the deployment never ends: %s", d.Phase)
			}
		}
		want := func(r towpath.Rollout) towpath.RevisionID {
			if d.Phase == towpath.DeploymentSucceeded {
				return r.To
			}
			return r.From
		}
		if d.Phase != towpath.DeploymentSucceeded && d.Phase != towpath.DeploymentRolledBack {
			t.Fatalf("it ended %s though nothing stopped its way back", d.Phase)
		}
		for _, r := range d.Components {
			if w.traffic[r.Component] != want(r) {
				t.Fatalf("after %s, %s has %q, want %q", d.Phase, r.Component, w.traffic[r.Component], want(r))
			}
			if w.share[r.Component] != 0 {
				t.Fatalf("after %s, %s shares its traffic", d.Phase, r.Component)
			}
			for rev := range w.running[r.Component] {
				if rev != want(r) {
					t.Fatalf("after %s, %s still runs %s", d.Phase, r.Component, rev)
				}
			}
		}
	})
}

func TestNext_WaitsForAPersonWhenNobodyKnows(t *testing.T) {
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Components: []towpath.Rollout{{
		Component: "api", From: "old", To: "new", Action: towpath.ActionReplace,
		Steps: []towpath.Step{{Operation: "op_1", Verb: towpath.VerbPrepare, Phase: towpath.OperationUnknown}},
	}}}
	dec := Next(d, Seen{})
	if dec.Trigger != "" || len(dec.Issue) != 0 || dec.Waiting == "" {
		t.Fatalf("%+v", dec)
	}
}

func TestNext_GivesUpWhenTheWayBackIsBlocked(t *testing.T) {
	d := &towpath.Deployment{Phase: towpath.DeploymentReverting, Components: []towpath.Rollout{{
		Component: "api", From: "old", To: "new", Action: towpath.ActionReplace,
		Steps: []towpath.Step{
			{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded},
			{Verb: towpath.VerbRestore, Phase: towpath.OperationFailed, Message: "port taken"},
		},
	}}}
	if dec := Next(d, Seen{}); dec.Trigger != towpath.TriggerGiveUp {
		t.Fatalf("%+v", dec)
	}
}

func TestNext_GoesBackFromAMovedBaseWithoutTouchingWhatDidNotMove(t *testing.T) {
	done := func(verbs ...towpath.Verb) (out []towpath.Step) {
		for _, v := range verbs {
			out = append(out, towpath.Step{Verb: v, Phase: towpath.OperationSucceeded})
		}
		return out
	}
	prepared := []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore}
	d := &towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{
		{Component: "api", Action: towpath.ActionReplace, From: "a1", To: "a2", Steps: done(append(prepared, towpath.VerbSwitch, towpath.VerbVerifyAfter)...)},
		{Component: "web", Action: towpath.ActionReplace, From: "w1", To: "w2", Steps: append(done(prepared...), towpath.Step{Verb: towpath.VerbSwitch, Phase: towpath.OperationStale})},
	}}
	if got := Next(d, Seen{}); got.Trigger != towpath.TriggerMoved {
		t.Fatalf("a stale step leads to %+v", got)
	}
	d.Phase, d.Stale = towpath.DeploymentReverting, true
	if got := Next(d, Seen{}); len(got.Issue) != 1 || got.Issue[0] != (Issue{Component: "api", Verb: towpath.VerbRestore, Revision: "a1"}) {
		t.Errorf("going back issues %+v", got)
	}
	d.Components[0].Steps = append(d.Components[0].Steps, done(towpath.VerbRestore, towpath.VerbRetire)...)
	if got := Next(d, Seen{}); got.Trigger != towpath.TriggerReverted {
		t.Errorf("once api is back: %+v", got)
	}
	shared := towpath.Step{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationSucceeded}
	d.Components[1].Steps = append(done(prepared...), shared, towpath.Step{Verb: towpath.VerbShift, Weight: 25, Phase: towpath.OperationStale})
	if got := Next(d, Seen{}); len(got.Issue) != 1 || got.Issue[0] != (Issue{Component: "web", Verb: towpath.VerbRestore, Revision: "w1"}) {
		t.Errorf("web has given a share away, and going back issues %+v", got)
	}
}
