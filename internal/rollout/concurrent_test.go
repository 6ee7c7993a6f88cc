package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestNext_PreparesAFewAtATime(t *testing.T) {
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Concurrent: 2}
	for _, name := range []towpath.ComponentName{"a", "b", "c", "d"} {
		d.Components = append(d.Components, towpath.Rollout{Component: name, Action: towpath.ActionCreate, To: "new"})
	}
	most := 0
	for range 40 {
		dec := Next(d, Seen{Now: noon})
		if dec.Trigger == towpath.TriggerPrepared {
			break
		}
		for _, is := range dec.Issue {
			r := named(d.Components, is.Component)
			r.Steps = append(r.Steps, towpath.Step{Verb: is.Verb, Phase: towpath.OperationRunning})
		}
		var busy []*towpath.Step
		for i := range d.Components {
			if r := &d.Components[i]; len(r.Steps) > 0 && (len(r.Steps) < 2 || r.Steps[1].Phase != towpath.OperationSucceeded) {
				busy = append(busy, &r.Steps[len(r.Steps)-1])
			}
		}
		most = max(most, len(busy))
		busy[0].Phase = towpath.OperationSucceeded
	}
	if dec := Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerPrepared || most != 2 {
		t.Errorf("%d at a time; %+v", most, dec)
	}
}

// shopping is a deployment of api and search, each with a canary, and of web,
// which needs both: all of them prepared.
func shopping(concurrent int) *towpath.Deployment {
	d := &towpath.Deployment{Phase: towpath.DeploymentSwitching, Concurrent: concurrent}
	for _, name := range []towpath.ComponentName{"api", "search", "web"} {
		one, c := at(0)
		c.Spec.Steps = []towpath.RolloutStep{{Weight: 5, For: 10 * time.Second}, {Weight: 50, For: 10 * time.Second}}
		r := one.Components[0]
		r.Component = name
		if name == "web" {
			r.DependsOn, r.Canary = []towpath.ComponentName{"api", "search"}, nil
		}
		for _, v := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore} {
			r.Steps = append(r.Steps, towpath.Step{Verb: v, Phase: towpath.OperationSucceeded})
		}
		d.Components = append(d.Components, r)
	}
	return d
}

// does carries out what was decided, and says what that was.
func does(d *towpath.Deployment, dec Decision, now time.Time) string {
	var said []string
	for _, is := range dec.Issue {
		r := named(d.Components, is.Component)
		r.Steps = append(r.Steps, towpath.Step{Verb: is.Verb, Weight: is.Weight, Phase: towpath.OperationSucceeded, Ended: now})
		what := string(is.Component) + " " + string(is.Verb)
		if is.Weight > 0 {
			what += fmt.Sprint(" ", is.Weight)
		}
		said = append(said, what)
	}
	return strings.Join(said, ", ")
}

func TestNext_MovesIndependentComponentsTogether(t *testing.T) {
	for _, tt := range []struct {
		concurrent int
		want       string
	}{
		{0, "api shift 5; api shift 50; api switch; api verify-after; " +
			"search shift 5; search shift 50; search switch; search verify-after; web switch; web verify-after"},
		{2, "api shift 5, search shift 5; api shift 50, search shift 50; api switch, search switch; " +
			"api verify-after, search verify-after; web switch; web verify-after"},
	} {
		t.Run(fmt.Sprint(tt.concurrent), func(t *testing.T) {
			d, now := shopping(tt.concurrent), noon
			good := judged(towpath.JudgedNotWorse)
			both := map[towpath.ComponentName]*towpath.Judgement{"api": good, "search": good}
			var got []string
			for range 30 {
				good.Counted = now
				dec := Next(d, Seen{Now: now, Judgements: both})
				if dec.Trigger != "" {
					break
				}
				if said := does(d, dec, now); said != "" {
					got = append(got, said)
				}
				now = now.Add(10 * time.Second)
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// What has begun to move keeps its turn, whoever comes into theirs meanwhile.
func TestNext_WhatMovesKeepsItsTurn(t *testing.T) {
	d := shopping(2)
	search, web := named(d.Components, "search"), named(d.Components, "web")
	search.Component, web.DependsOn = "z", []towpath.ComponentName{"api"}
	web.Canary = search.Canary
	another := *web
	another.Component = "another"
	d.Components = []towpath.Rollout{d.Components[0], another, *web, *search}
	for _, v := range []towpath.Verb{towpath.VerbShift, towpath.VerbSwitch, towpath.VerbVerifyAfter} {
		does(d, Decision{Issue: []Issue{{Component: "api", Verb: v, Weight: 5}}}, noon)
	}
	does(d, Decision{Issue: []Issue{{Component: "z", Verb: towpath.VerbShift, Weight: 5}}}, noon)
	if m := Moving(d); len(m) != 1 || m[0].Component != "z" {
		t.Fatalf("%+v move", m)
	}
	if dec := Next(d, Seen{Now: noon}); len(dec.Issue) != 1 || dec.Issue[0].Component != "another" {
		t.Errorf("%+v", dec)
	}
	if dec := Next(d, Seen{Now: noon, Judgements: of("z", judged(towpath.JudgedWorse))}); dec.Trigger != towpath.TriggerWorse {
		t.Errorf("%+v", dec)
	}
}

// Each is judged by its own counts; all of them go back when one is worse, and
// what needs others goes before them.
func TestNext_GoesBackTogether(t *testing.T) {
	d := shopping(2)
	for _, name := range []towpath.ComponentName{"api", "search"} {
		does(d, Decision{Issue: []Issue{{Component: name, Verb: towpath.VerbShift, Weight: 5}}}, noon)
	}
	seen := Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedNotWorse))}
	dec := Next(d, seen)
	if want := "api has 5 % of the traffic for another 10s. it is not-worse; search has 5 % of the traffic for another 10s. Nothing has been counted yet."; dec.Waiting != want {
		t.Errorf("it waits for %q, want %q", dec.Waiting, want)
	}
	if dec.Again.Sub(noon) != time.Second {
		t.Errorf("it comes back after %s", dec.Again.Sub(noon))
	}
	stands := Standing(d)
	if len(stands) != 2 || stands[1].Component != "search" || stands[1].Asks(noon) != NoQuestion || stands[1].Asks(noon.Add(2*time.Minute)) != WithoutEvidence {
		t.Errorf("%+v stand", stands)
	}
	seen.Judgements["search"] = judged(towpath.JudgedWorse)
	if dec = Next(d, seen); dec.Trigger != towpath.TriggerWorse || !strings.HasPrefix(dec.Reason, "the new revision of search is worse at 5 %") {
		t.Fatalf("%+v", dec)
	}
	d.Phase = towpath.DeploymentReverting
	var got []string
	for range 10 {
		dec := Next(d, Seen{Now: noon})
		if dec.Trigger != "" {
			got = append(got, string(dec.Trigger))
			break
		}
		slices.SortFunc(dec.Issue, func(a, b Issue) int { return strings.Compare(string(a.Component), string(b.Component)) })
		got = append(got, does(d, dec, noon))
	}
	if s, want := strings.Join(got, "; "), "web restore; api restore, search restore; api retire, search retire, web retire; reverted"; s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// What can't be brought back holds up what it needs, and nothing else; when the
// rest is back people are told of all that is not.
func TestNext_BringsBackWhatItCan(t *testing.T) {
	d := shopping(2)
	for i := range d.Components {
		does(d, Decision{Issue: []Issue{{Component: d.Components[i].Component, Verb: towpath.VerbSwitch}}}, noon)
	}
	d.Components = append(d.Components, d.Components[2]) // beside web, and needs search only
	d.Components[3].Component, d.Components[3].DependsOn = "admin", []towpath.ComponentName{"search"}
	d.Components[2].DependsOn = []towpath.ComponentName{"api"}
	d.Phase = towpath.DeploymentReverting
	for i := range d.Components {
		d.Components[i].Steps = slices.Clone(d.Components[i].Steps)
	}
	fails := func(name towpath.ComponentName) {
		r := named(d.Components, name)
		r.Steps = append(r.Steps, towpath.Step{Verb: towpath.VerbRestore, Phase: towpath.OperationFailed, Message: "its port is taken"})
	}
	fails("web")
	dec := Next(d, Seen{Now: noon})
	if got := does(d, dec, noon); got != "admin restore" || dec.Trigger != "" || dec.Waiting != "web could not be brought back to its previous revision: its port is taken" {
		t.Fatalf("%s, waiting for %q", got, dec.Waiting)
	}
	if got := does(d, Next(d, Seen{Now: noon}), noon); got != "search restore" {
		t.Fatalf("then %s", got)
	}
	if dec = Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerGiveUp || dec.Reason != "web could not be brought back to its previous revision: its port is taken; left as it is because that needs it: api" {
		t.Errorf("in the end %+v", dec)
	}
}

// What else is ready waits when a person pauses; only what nothing answers for
// goes on.
func TestNext_PausesAllButWhatIsStopped(t *testing.T) {
	d := shopping(2)
	api := named(d.Components, "api")
	api.Canary, api.Scales = nil, allAtOnce()
	d.Paused = &towpath.Pause{By: "ana", Reason: "lunch"}
	dec := Next(d, Seen{Now: noon})
	if len(dec.Issue) != 1 || dec.Issue[0].Component != "api" || dec.Issue[0].Verb != towpath.VerbSwitch {
		t.Errorf("%+v", dec)
	}
	if !strings.HasPrefix(dec.Waiting, "paused by ana: lunch") {
		t.Errorf("it waits for %q", dec.Waiting)
	}
}

// TestNext_WhatWaitsInACircleFails: stored dependencies that go in a circle are a
// failure, and not that all has moved because nothing can.
func TestNext_WhatWaitsInACircleFails(t *testing.T) {
	d := &towpath.Deployment{Kind: towpath.DeploymentPromotion, Phase: towpath.DeploymentSwitching, Previous: "sha256:1", Components: []towpath.Rollout{
		{Component: "a", Action: towpath.ActionReplace, From: "old", To: "new", DependsOn: []towpath.ComponentName{"b"}},
		{Component: "b", Action: towpath.ActionReplace, From: "old", To: "new", DependsOn: []towpath.ComponentName{"a"}},
		{Component: "c", Action: towpath.ActionReplace, From: "old", To: "new"},
	}}
	for _, phase := range []towpath.DeploymentPhase{towpath.DeploymentPreparing, towpath.DeploymentSwitching} {
		d.Phase = phase
		if dec := Next(d, Seen{}); dec.Trigger != towpath.TriggerStepFail || !strings.Contains(dec.Reason, "a, b;") {
			t.Errorf("%s: %+v", phase, dec)
		}
	}
	d.Phase = towpath.DeploymentReverting
	for i := range d.Components {
		d.Components[i].Steps = []towpath.Step{{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded}}
	}
	if dec := Next(d, Seen{}); len(dec.Issue) != 3 {
		t.Errorf("the way back: %+v", dec)
	}
	d.Kind = towpath.DeploymentRollback
	d.Phase = towpath.DeploymentSwitching
	if dec := Next(d, Seen{}); dec.Trigger == towpath.TriggerStepFail {
		t.Errorf("a rollback goes by another order: %+v", dec)
	}
}
