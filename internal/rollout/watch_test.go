package rollout

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// switched is a deployment whose only component got all of the traffic a while ago,
// and is judged with it for a minute.
func switched(ago time.Duration) (*towpath.Deployment, *towpath.Canary, time.Time) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := &towpath.Deployment{Phase: towpath.DeploymentSwitching, Kind: towpath.DeploymentPromotion, Previous: "sha256:1", Environment: "prod"}
	r := towpath.Rollout{Component: "api", Action: towpath.ActionReplace, From: "old", To: "new"}
	atOnce(&r, towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, For: time.Minute}, []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}})
	for _, v := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter} {
		r.Steps = append(r.Steps, towpath.Step{Verb: v, Phase: towpath.OperationSucceeded, Ended: now.Add(-ago)})
	}
	d.Components = []towpath.Rollout{r}
	return d, d.Components[0].Canary, now
}

func TestNext_WatchesWhatItSwitchedTo(t *testing.T) {
	type want struct {
		trigger towpath.DeploymentTrigger
		waits   string
		over    bool
		asks    bool // a person
	}
	for name, x := range map[string]struct {
		ago    time.Duration
		said   *towpath.Judgement
		change func(*towpath.Deployment, *towpath.Canary)
		want   want
	}{
		"looks at it for its time":               {30 * time.Second, judged(towpath.JudgedNotWorse), nil, want{waits: "api has all of the traffic, and the revision before it still runs for another 30s"}},
		"goes back when it is worse":             {time.Second, judged(towpath.JudgedWorse), nil, want{trigger: towpath.TriggerWorse}},
		"goes back when it is worse, being late": {time.Hour, judged(towpath.JudgedWorse), nil, want{trigger: towpath.TriggerWorse}},
		"is over when it is fine":                {time.Minute, judged(towpath.JudgedNotWorse), nil, want{over: true}},
		"is over when nothing speaks against it": {time.Minute, judged(towpath.JudgedUndecided), nil, want{over: true}},
		"waits when it is suspected":             {time.Minute, &towpath.Judgement{Outcome: towpath.JudgedUndecided, Suspect: true}, nil, want{waits: "looks worse"}},
		"waits for evidence":                     {2 * time.Minute, nil, nil, want{waits: "is not judged yet. Nothing has been counted"}},
		"waits for traffic":                      {2 * time.Minute, judged(towpath.JudgedNoEvidence), nil, want{waits: "is not judged yet"}},
		"asks a person after the deadline":       {32 * time.Minute, judged(towpath.JudgedNoEvidence), nil, want{waits: "could not be judged within 30m0s: `towpath rollout resume --without-evidence` goes on all the same", asks: true}},
		"asks nobody for as long as its time and the deadline": {
			31*time.Minute - time.Second, judged(towpath.JudgedNoEvidence), nil, want{waits: "is not judged yet"},
		},
		"says that what stopped first can be started again": {30 * time.Second, judged(towpath.JudgedNotWorse), func(d *towpath.Deployment, _ *towpath.Canary) {
			d.Components[0].Scales = &towpath.Scales{Prepare: &towpath.Scale{}}
		}, want{waits: "the revision before it can be started again for another 30s"}},
		"lets a person decide": {2 * time.Minute, judged(towpath.JudgedNoEvidence), func(_ *towpath.Deployment, c *towpath.Canary) { c.Passed = 1 }, want{over: true}},
		"stays while it is paused": {time.Minute, judged(towpath.JudgedNotWorse), func(d *towpath.Deployment, _ *towpath.Canary) {
			d.Paused = &towpath.Pause{By: "ana", Reason: "lunch"}
		}, want{waits: "paused by ana", asks: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, now := switched(x.ago)
			if x.change != nil {
				x.change(d, c)
			}
			dec := Next(d, Seen{Now: now, Judgements: of("api", x.said)})
			if dec.Trigger != x.want.trigger || !strings.Contains(dec.Waiting, x.want.waits) || (len(dec.Over) > 0) != x.want.over || dec.Asks != x.want.asks {
				t.Errorf("%+v", dec)
			}
			if dec.Trigger != "" && !strings.Contains(dec.Reason, "the new revision of api is worse since it has all of the traffic: ") {
				t.Error(dec.Reason)
			}
			if dec.Waiting != "" && dec.Again.IsZero() && d.Paused == nil {
				t.Errorf("nobody looks again: %+v", dec)
			}
		})
	}
	t.Run("and begins with the switch, of which it says nothing before that is verified", func(t *testing.T) {
		d, _, now := switched(time.Hour)
		r := &d.Components[0]
		all := r.Steps
		seen := Seen{Now: now, Judgements: of("api", judged(towpath.JudgedNotWorse))}
		r.Steps = all[:2]
		if dec := Next(d, seen); len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbSwitch {
			t.Errorf("before the switch: %+v", dec)
		}
		r.Steps = append(slices.Clone(all[:3]), towpath.Step{Verb: towpath.VerbVerifyAfter, Phase: towpath.OperationRunning})
		if dec := Next(d, seen); len(dec.Over) > 0 || dec.Waiting != "verify-after of api is running" || dec.Trigger != "" {
			t.Errorf("before that is verified: %+v", dec)
		}
	})
	t.Run("and nothing that is said before it has traffic sends it back", func(t *testing.T) {
		d, c, now := switched(time.Minute)
		r := &d.Components[0]
		r.Steps = r.Steps[:2]
		c.Spec.Steps = append([]towpath.RolloutStep{{Manual: true}}, c.Spec.Steps...)
		dec := Next(d, Seen{Now: now, Judgements: of("api", judged(towpath.JudgedWorse))})
		if dec.Trigger != "" || !strings.Contains(dec.Waiting, "can be looked at before it has traffic and waits for a person") || !dec.Asks {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("and what a person said of the preview does not end it", func(t *testing.T) {
		d, c, now := switched(2 * time.Minute)
		c.Spec.Steps, c.Passed = append([]towpath.RolloutStep{{Manual: true}}, c.Spec.Steps...), 1
		if dec := Next(d, Seen{Now: now}); len(dec.Over) > 0 || !strings.Contains(dec.Waiting, "is not judged yet") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("and has moved when that is over", func(t *testing.T) {
		d, c, now := switched(time.Minute)
		if Counted(d, "api") == nil || len(Moving(d)) != 1 {
			t.Error("it is not judged")
		}
		c.Over = now
		if dec := Next(d, Seen{Now: now, Judgements: of("api", judged(towpath.JudgedWorse))}); dec.Trigger != towpath.TriggerSwitched {
			t.Errorf("%+v", dec)
		}
		if Counted(d, "api") != nil || len(Moving(d)) != 0 {
			t.Error("it is still judged")
		}
	})
	t.Run("and what needs it waits", func(t *testing.T) {
		d, c, now := switched(30 * time.Second)
		d.Components = append(d.Components, towpath.Rollout{Component: "web", Action: towpath.ActionReplace, From: "old", To: "new", DependsOn: []towpath.ComponentName{"api"}})
		if dec := Next(d, Seen{Now: now}); len(dec.Issue) != 0 {
			t.Errorf("%+v", dec)
		}
		c.Over = now
		if dec := Next(d, Seen{Now: now}); len(dec.Issue) != 1 || dec.Issue[0].Component != "web" {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("and a person can end it", func(t *testing.T) {
		d, _, now := switched(30 * time.Second)
		at := Standing(d)
		if len(at) != 1 || at[0].Step != 0 || at[0].Asks(now) != NoQuestion || at[0].Asks(now.Add(time.Hour)) != WithoutEvidence {
			t.Errorf("it stands at %+v", at)
		}
	})
	t.Run("and a preview asks a person when its time is over", func(t *testing.T) {
		d, c, now := switched(30 * time.Second)
		d.Components[0].Steps = d.Components[0].Steps[:2]
		c.Spec.Steps = append([]towpath.RolloutStep{{Manual: true, For: time.Minute}}, c.Spec.Steps...)
		at := Standing(d)
		if len(at) != 1 || at[0].Step != 0 || at[0].Asks(now) != NoQuestion || at[0].Asks(now.Add(30*time.Second)) != GoOn {
			t.Errorf("it stands at %+v", at)
		}
	})
	t.Run("and what is counted before it moves counts, and nothing when it has moved", func(t *testing.T) {
		d, _, _ := switched(0)
		for phase, counts := range map[towpath.DeploymentPhase]bool{
			towpath.DeploymentPreparing: true, towpath.DeploymentSwitching: true, towpath.DeploymentRetiring: false, towpath.DeploymentReverting: false,
		} {
			d.Phase = phase
			if r := Counted(d, "api"); (r != nil) != counts {
				t.Errorf("%s: %+v", phase, r)
			}
			if moving := len(Moving(d)); moving > 0 != (phase == towpath.DeploymentSwitching) {
				t.Errorf("%s: %d move", phase, moving)
			}
		}
	})
}

func TestStrategies_AfterTheSwitch(t *testing.T) {
	errors := []towpath.Objective{{Name: "errors"}}
	for name, x := range map[string]struct {
		spec, running towpath.RolloutSpec
		after         time.Duration // 0: there is no such step
		steps         int
	}{
		"judged for as long as it says":                 {towpath.RolloutSpec{For: time.Hour}, towpath.RolloutSpec{For: time.Minute}, time.Hour, 1},
		"judged for as long as what runs":               {towpath.RolloutSpec{}, towpath.RolloutSpec{For: time.Minute}, time.Minute, 1},
		"not judged where nobody says so":               {towpath.RolloutSpec{}, towpath.RolloutSpec{}, 0, 0},
		"not judged for as long as what moved by steps": {towpath.RolloutSpec{}, towpath.RolloutSpec{Strategy: towpath.StrategyCanary, For: time.Minute}, 0, 0},
		"not judged where it is only looked at before":  {towpath.RolloutSpec{Preview: &towpath.RolloutStep{Manual: true}}, towpath.RolloutSpec{}, 0, 1},
		"judged after a preview and copies": {towpath.RolloutSpec{
			For: time.Minute, Preview: &towpath.RolloutStep{Manual: true}, Mirror: &towpath.RolloutStep{Copies: &towpath.TrafficCopies{Percent: 10}},
		}, towpath.RolloutSpec{}, time.Minute, 3},
		"judged after stopping first":                   {towpath.RolloutSpec{Strategy: towpath.StrategyAllAtOnce, For: time.Hour}, towpath.RolloutSpec{}, time.Hour, 1},
		"judged after stopping first, as what runs was": {towpath.RolloutSpec{Strategy: towpath.StrategyAllAtOnce}, towpath.RolloutSpec{For: time.Minute}, time.Minute, 1},
		"not judged for as long as a batch was": {
			towpath.RolloutSpec{Strategy: towpath.StrategyAllAtOnce}, towpath.RolloutSpec{Strategy: towpath.StrategyRolling, For: time.Minute}, 0, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x.spec.Strategy = cmp.Or(x.spec.Strategy, towpath.StrategyBlueGreen)
			x.running.Strategy = cmp.Or(x.running.Strategy, towpath.StrategyBlueGreen)
			release := func(spec towpath.RolloutSpec) *towpath.ReleaseContent {
				return &towpath.ReleaseContent{Objectives: errors, Components: []towpath.ReleaseComponent{{Name: "api", Rollout: spec}}}
			}
			all := []towpath.Rollout{{Component: "api", Action: towpath.ActionReplace, From: "old", To: "new"}, {Component: "api", Action: towpath.ActionReplace, From: "new", To: "new"}}
			Strategies(all, release(x.spec), release(x.running), towpath.ReleaseEnvironment{}, towpath.EnvironmentSpec{})
			if _, ok := all[1].Canary.AfterSwitch(); ok {
				t.Errorf("a revision is judged beside itself: %+v", all[1].Canary)
			}
			c := all[0].Canary
			if last, ok := c.AfterSwitch(); ok != (x.after > 0) || last.For != x.after {
				t.Errorf("the step is %+v", last)
			}
			by := 0 // objectives
			if x.after > 0 {
				by = 1
			}
			switch {
			case x.steps == 0 && c != nil:
				t.Errorf("it has steps: %+v", c)
			case x.steps > 0 && (len(c.Spec.Steps) != x.steps || c.Spec.Interval != towpath.DefaultInterval || c.Spec.Deadline != towpath.DefaultDeadline || len(c.Objectives) != by):
				t.Errorf("the rollout is %+v", c)
			}
		})
	}
}

// TestStrategies_RollingInOneBatch: what has no batch with a share of the traffic is
// judged once it has all of it, by what judges the others.
func TestStrategies_RollingInOneBatch(t *testing.T) {
	by := []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}}
	for name, x := range map[string]struct {
		spec      towpath.RolloutSpec
		instances int
		by        []towpath.Objective
		after     time.Duration // 0: there is no such step
		stops     bool
	}{
		"one instance":                     {towpath.RolloutSpec{Surge: "1"}, 1, by, towpath.DefaultFor, false},
		"one that says for how long":       {towpath.RolloutSpec{Surge: "1", For: time.Hour}, 1, by, time.Hour, false},
		"one that there is no room beside": {towpath.RolloutSpec{Surge: "0", Unavailable: "1"}, 1, by, towpath.DefaultFor, true},
		"all of them beside the old ones":  {towpath.RolloutSpec{Surge: "100%"}, 3, by, towpath.DefaultFor, false},
		"one that nothing judges":          {towpath.RolloutSpec{Surge: "1"}, 1, nil, 0, false},
		"several, one after the other":     {towpath.RolloutSpec{Surge: "1"}, 2, by, 0, false},
		"several, a batch of two":          {towpath.RolloutSpec{Surge: "1", Unavailable: "1"}, 3, by, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := towpath.Rollout{Before: &towpath.Before{Instances: x.instances}}
			rolling(&r, x.spec, x.instances, x.by)
			if last, ok := r.Canary.AfterSwitch(); ok != (x.after > 0) || ok && last.For != x.after {
				t.Errorf("the last step is %+v", last)
			}
			if r.StopsFirst() != x.stops {
				t.Errorf("it stops first: %v", r.StopsFirst())
			}
			shared := slices.ContainsFunc(r.Canary.Spec.Steps, func(s towpath.RolloutStep) bool { return s.Weight > 0 })
			if len(x.by) > 0 && !shared {
				t.Error("nothing judges it")
			}
		})
	}
}
