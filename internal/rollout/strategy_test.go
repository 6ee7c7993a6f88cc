package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

// shop is a release of components with the strategies of their names, and what
// it replaces.
func shop() (*towpath.ReleaseContent, towpath.ReleaseEnvironment, []towpath.Rollout) {
	canary := towpath.RolloutSpec{Strategy: towpath.StrategyCanary, Steps: []towpath.RolloutStep{{Weight: 5}}, Keep: 60}
	content := &towpath.ReleaseContent{
		Components: []towpath.ReleaseComponent{
			{Name: "canary", Rollout: canary}, {Name: "created", Rollout: canary}, {Name: "unsure", Rollout: canary},
			{Name: "rolling", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: "25%", For: 5}},
			{Name: "fewer", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: "0", Unavailable: "2"}},
			{Name: "once", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyAllAtOnce}},
			{Name: "blue", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen}},
			{Name: "looked-at", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Preview: &towpath.RolloutStep{Manual: true}, Keep: 60}},
			{Name: "needs", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen}},
		},
		Objectives: []towpath.Objective{{Name: "all"}, {Name: "mine", Component: "canary"}, {Name: "theirs", Component: "blue"}},
	}
	env := towpath.ReleaseEnvironment{Components: []towpath.RenderedComponent{{Name: "rolling", Instances: 4}, {Name: "fewer", Instances: 5}}}
	var rollouts []towpath.Rollout
	for _, c := range content.Components {
		r := towpath.Rollout{Component: c.Name, Action: towpath.ActionReplace, From: "old", To: "new"}
		switch c.Name {
		case "created":
			r.Action, r.From = towpath.ActionCreate, ""
		case "unsure":
			r.To = "old"
		case "needs":
			r.DependsOn = []towpath.ComponentName{"once"}
		}
		rollouts = append(rollouts, r)
	}
	return content, env, append(rollouts, towpath.Rollout{Component: "gone", Action: towpath.ActionRemove, From: "old"})
}

func named(rollouts []towpath.Rollout, name towpath.ComponentName) *towpath.Rollout {
	return &rollouts[slices.IndexFunc(rollouts, func(r towpath.Rollout) bool { return r.Component == name })]
}

func TestStrategies(t *testing.T) {
	content, env, all := shop()
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
	if c := named(all, "canary").Canary; c == nil || len(c.Objectives) != 2 || c.Objectives[0].Name != "all" || c.Objectives[1].Name != "mine" {
		t.Errorf("the canary is %+v", c)
	}
	for _, name := range []towpath.ComponentName{"created", "unsure", "blue", "gone"} {
		if r := named(all, name); r.Canary != nil || r.Scales != nil {
			t.Errorf("%s moves by steps: %+v", name, r)
		}
	}
	if r := named(all, "rolling"); len(r.Canary.Spec.Steps) != 3 || r.Scales.Late || *r.Scales.Prepare != (towpath.Scale{Instances: 1, Room: 4}) ||
		*r.Scales.Switch != (towpath.Scale{Instances: 4, Room: 1}) || r.Scales.Restore != nil {
		t.Errorf("the rolling update is %+v, %+v", r.Canary.Spec.Steps, r.Scales)
	} else {
		for i, want := range []towpath.RolloutStep{
			{Weight: 25, For: 5, Scale: &towpath.Scale{Instances: 1, Room: 4, Rest: 3}},
			{Weight: 50, For: 5, Scale: &towpath.Scale{Instances: 2, Room: 3, Rest: 2}},
			{Weight: 75, For: 5, Scale: &towpath.Scale{Instances: 3, Room: 2, Rest: 1}},
		} {
			if s := r.Canary.Spec.Steps[i]; s.Weight != want.Weight || s.For != want.For || *s.Scale != *want.Scale {
				t.Errorf("step %d is %+v of %+v", i, s, s.Scale)
			}
		}
	}
	if r := named(all, "fewer"); !r.Scales.Late || *r.Scales.Prepare != (towpath.Scale{Instances: 2, Room: 3}) || len(r.Canary.Spec.Steps) != 2 {
		t.Errorf("the one with fewer instances is %+v", r)
	}
	if r := named(all, "once"); r.Canary != nil || !r.Scales.Late || *r.Scales.Prepare != (towpath.Scale{}) || *r.Scales.Restore != (towpath.Scale{}) {
		t.Errorf("all at once is %+v", r)
	}
	if r := named(all, "looked-at"); len(r.Canary.Spec.Steps) != 1 || !r.Canary.Spec.Steps[0].Manual || r.Keep != 60 || r.Scales != nil {
		t.Errorf("the one with a preview is %+v", r)
	}
	if r := named(all, "needs"); r.Scales == nil || !r.Scales.Late || r.Scales.Prepare != nil {
		t.Errorf("what needs one that is prepared late is %+v", r.Scales)
	}

	t.Run("are judged by the objectives in force, and what is added to them", func(t *testing.T) {
		content, env, all := shop()
		runs := &towpath.ReleaseContent{Objectives: []towpath.Objective{{Name: "mine", Component: "canary", Target: 0.999}, {Name: "gone"}, {Name: "theirs", Component: "blue"}}}
		content.Objectives[1].Target = 0.5
		Strategies(all, content, runs, env, towpath.EnvironmentSpec{})
		got := named(all, "canary").Canary.Objectives
		if len(got) != 3 || got[0].Name != "mine" || got[0].Target != 0.999 || got[1].Name != "gone" || got[2].Name != "all" {
			t.Errorf("judged by %+v", got)
		}
	})
	t.Run("are judged by an objective that was another component's, or that only, before", func(t *testing.T) {
		for _, now := range []towpath.ComponentName{"canary", ""} {
			content, env, all := shop()
			content.Objectives = []towpath.Objective{{Name: "errors", Component: now, Target: 0.99}}
			runs := &towpath.ReleaseContent{Objectives: []towpath.Objective{{Name: "errors", Component: "rolling", Target: 0.999}}}
			Strategies(all, content, runs, env, towpath.EnvironmentSpec{})
			for name, target := range map[towpath.ComponentName]float64{"canary": 0.99, "rolling": 0.999} {
				if got := named(all, name).Canary.Objectives; len(got) != 1 || got[0].Target != target {
					t.Errorf("now that it is for %q, %s is judged by %+v", now, name, got)
				}
			}
		}
	})
	t.Run("of an environment win", func(t *testing.T) {
		content, env, all := shop()
		Strategies(all, content, nil, env, towpath.EnvironmentSpec{Rollout: towpath.StrategyBlueGreen})
		for _, r := range all {
			if r.Canary != nil || r.Scales != nil {
				t.Errorf("%s moves by steps, and the environment at once", r.Component)
			}
		}
		content, env, all = shop()
		Strategies(all, content, nil, env, towpath.EnvironmentSpec{Rollout: towpath.StrategyAllAtOnce})
		for _, r := range all {
			if got := r.Scales != nil && r.Scales.Late; got != (r.Action == towpath.ActionReplace) || r.Canary != nil || r.Keep != 0 {
				t.Errorf("%s is %+v", r.Component, r)
			}
		}
	})
	t.Run("that compare nothing say by which objectives, and why", func(t *testing.T) {
		said := func(inForce towpath.RolloutStrategy) (out []string) {
			content, env, all := shop()
			content.Objectives[2].Kind, content.Objectives[0].Kind = towpath.ObjectiveErrors, towpath.ObjectiveErrors
			Strategies(all, content, nil, env, towpath.EnvironmentSpec{Rollout: inForce})
			for _, r := range all {
				for _, u := range r.Unjudged {
					if !u.Unasked || u.Component != r.Component {
						t.Errorf("%s says %+v", r.Component, u)
					}
					out = append(out, fmt.Sprintf("%s by %s: %s", u.Component, u.Objective, u.Why))
				}
			}
			return out
		}
		const first = "created by all: nothing ran there that it could have been compared with"
		if got := said(""); !slices.Equal(got, []string{first}) {
			t.Errorf("%q", got)
		}
		const forced = ": everything is deployed there by blue-green, without a comparison"
		if got := said(towpath.StrategyBlueGreen); len(got) != 9 || !slices.Contains(got, first) || !slices.Contains(got, "blue by theirs"+forced) ||
			!slices.Contains(got, "canary by all"+forced) || slices.Contains(got, "canary by mine"+forced) || slices.Contains(got, "unsure by all"+forced) {
			t.Errorf("%q", got)
		}
	})
	t.Run("of a rollback are the fastest that can be", func(t *testing.T) {
		content, _, all := shop()
		Back(all, content, towpath.EnvironmentSpec{})
		for _, r := range all {
			if late := r.Scales != nil; r.Canary != nil || r.Keep != 0 || late != (r.Component == "once" || r.Component == "needs") {
				t.Errorf("%s goes back by %+v", r.Component, r)
			}
		}
	})
}

// A rolling update never has more instances than its surge allows, nor fewer
// than may be unavailable, at any moment of an agent that does what it is told,
// also when there are to be more of them, or fewer. Until all of the traffic
// moves there are as many as there were.
func TestStrategies_RollingKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, old := rapid.IntRange(1, 120).Draw(t, "instances"), rapid.IntRange(1, 120).Draw(t, "old")
		share := rapid.Custom(func(t *rapid.T) towpath.Share {
			return towpath.Share(rapid.StringMatching(`[0-9]|[1-9][0-9]|([1-9]?[0-9]|100)%`).Draw(t, "share"))
		})
		spec := towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: share.Draw(t, "surge"), Unavailable: share.Draw(t, "unavailable")}
		if n > towpath.MaxBatches*spec.Batch(n) {
			return // no release is built like that
		}
		surge, fewer := spec.Surge.Of(n, true), spec.Unavailable.Of(n, false)
		if surge+fewer == 0 {
			surge = 1
		}
		r := towpath.Rollout{Before: &towpath.Before{Instances: old}}
		rolling(&r, spec, n, nil)
		most, least := max(n, old)+surge, old-fewer
		ours, theirs, ready := 0, old, 0 // instances of both, and ours with traffic
		look := func(when string) {
			if ours+theirs > most || ready+theirs < least {
				t.Fatalf("%s: %d and %d run, %d of ours with traffic; want at most %d, at least %d", when, ours, theirs, ready, most, least)
			}
		}
		obey := func(what string, s *towpath.Scale) {
			theirs = min(theirs, s.Room)
			look(what + ", made room")
			if ours = s.Instances; ours > n || ours+theirs > most {
				t.Fatalf("%s: %d of %d run beside %d", what, ours, n, theirs)
			}
			look(what + ", started")
		}
		obey("prepare", r.Scales.Prepare)
		if kept := min(old, max(n, old)+surge-ours); theirs != kept {
			t.Fatalf("%d of %d are left before the new one has proven anything, want %d", theirs, old, kept)
		}
		weight := 0
		for _, step := range r.Canary.Spec.Steps {
			obey("shift", step.Scale)
			ready = ours
			theirs = min(theirs, step.Scale.Rest)
			if look("shifted"); theirs == 0 {
				t.Fatalf("%d %% of the traffic have no instance", 100-step.Weight)
			}
			if old > n && theirs != min(old, old+surge-ours) {
				t.Fatalf("%d of %d are left beside %d that are not judged yet", theirs, old, ours)
			}
			if step.Weight <= weight || step.Weight > 99 {
				t.Fatalf("%d %% follow %d", step.Weight, weight)
			}
			weight = step.Weight
		}
		obey("switch", r.Scales.Switch)
		if ready = ours; ours != n {
			t.Fatalf("%d run in the end, want %d", ours, n)
		}
		least = min(n, old) - fewer
		theirs = 0
		look("switched")
	})
}

func TestStrategies_RollingToAnotherNumber(t *testing.T) {
	steps := func(old, n int) string {
		r := towpath.Rollout{Before: &towpath.Before{Instances: old}}
		rolling(&r, towpath.RolloutSpec{Surge: "1"}, n, nil)
		out := []string{fmt.Sprintf("%d beside %d", r.Scales.Prepare.Instances, r.Scales.Prepare.Room)}
		for _, s := range r.Canary.Spec.Steps {
			out = append(out, fmt.Sprintf("%d%%: %d beside %d, then %d", s.Weight, s.Scale.Instances, s.Scale.Room, s.Scale.Rest))
		}
		return strings.Join(append(out, fmt.Sprintf("all: %d beside %d", r.Scales.Switch.Instances, r.Scales.Switch.Room)), "; ")
	}
	for _, c := range []struct {
		old, n int
		want   string
	}{
		{5, 2, "1 beside 5; 50%: 1 beside 5, then 5; all: 2 beside 4"},
		{2, 5, "1 beside 5; 20%: 1 beside 5, then 4; 40%: 2 beside 4, then 3; 60%: 3 beside 3, then 2; 80%: 4 beside 2, then 1; all: 5 beside 1"},
		{5, 1, "1 beside 5; all: 1 beside 5"},
		{0, 2, "1 beside 2; 50%: 1 beside 2, then 1; all: 2 beside 1"}, // not known
	} {
		if got := steps(c.old, c.n); got != c.want {
			t.Errorf("%d to %d:\ngot  %s\nwant %s", c.old, c.n, got, c.want)
		}
	}
}

func TestNext_Late(t *testing.T) {
	content, env, all := shop()
	all = []towpath.Rollout{*named(all, "once"), *named(all, "needs"), *named(all, "blue")}
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Components: all}
	dec := Next(d, Seen{Now: noon})
	if len(dec.Issue) != 1 || dec.Issue[0].Component != "blue" {
		t.Fatalf("%+v is prepared first", dec)
	}
	blue := named(d.Components, "blue")
	for _, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore} {
		blue.Steps = append(blue.Steps, towpath.Step{Verb: verb, Phase: towpath.OperationSucceeded})
	}
	if dec := Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerPrepared || dec.Reason != "what can be prepared before its turn is healthy" {
		t.Fatalf("%+v", dec)
	}
	d.Phase = towpath.DeploymentSwitching
	var got []string
	for range 20 {
		dec := Next(d, Seen{Now: noon})
		if dec.Trigger != "" {
			got = append(got, string(dec.Trigger))
			break
		}
		is := dec.Issue[0]
		scaled := ""
		if is.Scale != nil {
			scaled = "!"
		}
		got = append(got, string(is.Component)+" "+string(is.Verb)+scaled)
		r := named(d.Components, is.Component)
		r.Steps = append(r.Steps, towpath.Step{Verb: is.Verb, Phase: towpath.OperationSucceeded})
	}
	want := "once prepare!, once verify-before, once switch!, once verify-after, needs prepare, needs verify-before, needs switch, needs verify-after, blue switch, blue verify-after, switched"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestNext_Paused(t *testing.T) {
	pause := &towpath.Pause{By: "ana", Reason: "lunch"}
	t.Run("holds what would be done", func(t *testing.T) {
		d, _ := at(0)
		d.Paused = pause
		if dec := Next(d, Seen{Now: noon}); len(dec.Issue) > 0 || dec.Trigger != "" || !strings.HasPrefix(dec.Waiting, "paused by ana: lunch") {
			t.Errorf("%+v", dec)
		}
		d.Phase = towpath.DeploymentPreparing
		if dec := Next(d, Seen{Now: noon}); len(dec.Issue) > 0 || !strings.HasPrefix(dec.Waiting, "paused by ana: lunch") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("comes back to judge", func(t *testing.T) {
		d, _ := at(5, 5)
		d.Paused = pause
		if dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedUndecided))}); dec.Again.IsZero() || !strings.Contains(dec.Waiting, "5 % of the traffic") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("goes back all the same", func(t *testing.T) {
		d, _ := at(5, 5)
		d.Paused = pause
		if dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedWorse))}); dec.Trigger != towpath.TriggerWorse {
			t.Errorf("%+v", dec)
		}
		d.Abort = "enough"
		if dec := Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerAbort {
			t.Errorf("%+v", dec)
		}
	})
}

// A pause between the end of the old revision and the traffic of the new one
// would be an outage for as long as it lasts.
func TestNext_PausedWhileItIsStopped(t *testing.T) {
	content, env, all := shop()
	all = []towpath.Rollout{*named(all, "once"), *named(all, "needs")}
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
	d := &towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: all, Paused: &towpath.Pause{By: "ana", Reason: "lunch"}}
	if dec := Next(d, Seen{Now: noon}); len(dec.Issue) > 0 {
		t.Fatalf("%+v is begun during a pause", dec)
	}
	r, done := &d.Components[0], func(v towpath.Verb) towpath.Step { return towpath.Step{Verb: v, Phase: towpath.OperationSucceeded} }
	r.Steps = append(r.Steps, done(towpath.VerbPrepare))
	for _, verb := range []towpath.Verb{towpath.VerbVerifyBefore, towpath.VerbSwitch} {
		if dec := Next(d, Seen{Now: noon}); len(dec.Issue) != 1 || dec.Issue[0].Verb != verb {
			t.Fatalf("%+v, want %s: nothing answers until then", dec, verb)
		}
		r.Steps = append(r.Steps, done(verb))
	}
	if dec := Next(d, Seen{Now: noon}); len(dec.Issue) > 0 || !strings.HasPrefix(dec.Waiting, "paused by ana") {
		t.Errorf("%+v", dec)
	}
}

func TestNext_Preview(t *testing.T) {
	content, env, all := shop()
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
	r := *named(all, "looked-at")
	r.Steps = []towpath.Step{{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded}, {Verb: towpath.VerbVerifyBefore, Phase: towpath.OperationSucceeded, Ended: noon}}
	d := &towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{r}}
	dec := Next(d, Seen{Now: noon})
	if !strings.Contains(dec.Waiting, "looked at before it has traffic and waits for a person") {
		t.Fatalf("%+v", dec)
	}
	x := Standing(d)
	if len(x) != 1 || x[0].Step != 0 || x[0].Asks(noon) != GoOn || len(Moving(d)) > 0 {
		t.Fatalf("%+v stands", x)
	}
	x[0].Canary.Passed = 1
	if dec := Next(d, Seen{Now: noon}); len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbSwitch {
		t.Errorf("%+v", dec)
	}
}
