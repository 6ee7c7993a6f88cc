package rollout

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestExperiment(t *testing.T) {
	content := &towpath.ReleaseContent{
		Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess}, {Name: "web", Kind: towpath.KindProcess}},
		Objectives: []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.5}, {Name: "pages", Component: "web", Kind: towpath.ObjectiveErrors}},
	}
	running := &towpath.ReleaseContent{Objectives: []towpath.Objective{
		{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true}, {Name: "speed", Kind: towpath.ObjectiveLatency, Critical: true},
	}}
	api := towpath.Rollout{Component: "api", Action: towpath.ActionReplace, From: "a", To: "b"}
	web := towpath.Rollout{Component: "web", Action: towpath.ActionReplace, From: "c", To: "d"}
	for _, c := range []struct {
		name     string
		rollouts []towpath.Rollout
		on       []string
		says     string
	}{
		{"nothing changes", nil, nil, "changes nothing"},
		{"two components change", []towpath.Rollout{api, web}, nil, "changes api, web"},
		{"nothing runs yet", []towpath.Rollout{{Component: "api", Action: towpath.ActionCreate, To: "b"}}, nil, "no other revision"},
		{"an objective of another component", []towpath.Rollout{api}, []string{"pages"}, `api has no objective "pages"`},
		{"one component changes", []towpath.Rollout{api}, []string{"errors", "cost", "orders"}, ""},
		{"an objective that only what runs has", []towpath.Rollout{api}, []string{"speed"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &towpath.Experiment{Share: 20, For: time.Hour, On: c.on, Measures: []towpath.Measure{{Name: "orders"}}, Prices: &towpath.Prices{Request: 1}}
			problem, hint := Experiment(c.rollouts, content, running, e)
			if c.says == "" && problem != "" || !strings.Contains(problem, c.says) || (problem == "") != (hint == "") {
				t.Errorf("got %q, %q", problem, hint)
			}
		})
	}
}

// TestExperiment_OfWhatCantRunTwice: what stops before its new revision starts is not
// started beside it, whichever of both releases says so.
func TestExperiment_OfWhatCantRunTwice(t *testing.T) {
	in := func(s towpath.RolloutStrategy) *towpath.ReleaseContent {
		return &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess, Rollout: towpath.RolloutSpec{Strategy: s}}}}
	}
	for _, c := range []struct {
		runs, comes towpath.RolloutStrategy
		refused     bool
	}{
		{towpath.StrategyAllAtOnce, towpath.StrategyCanary, true}, {towpath.StrategyCanary, towpath.StrategyAllAtOnce, true},
		{towpath.StrategyCanary, towpath.StrategyRolling, false},
	} {
		r := []towpath.Rollout{{Component: "api", Action: towpath.ActionReplace, From: "a", To: "b"}}
		problem, hint := Experiment(r, in(c.comes), in(c.runs), &towpath.Experiment{Share: 20, For: time.Hour, Measures: []towpath.Measure{{Name: "orders"}}})
		if strings.Contains(problem, "can't run twice") != c.refused || (problem == "") != (hint == "") {
			t.Errorf("%s after %s: %q, %q", c.comes, c.runs, problem, hint)
		}
	}
}

func TestStillCompared(t *testing.T) {
	x := &towpath.Deployment{ID: "dep_x", Candidate: "cand_2", Release: "r2", Version: "1.5.0", Previous: "r1", PreviousVersion: "1.3.0"}
	runs := towpath.Environment{Name: "prod", Candidate: "cand_1", Release: "r1", Version: "1.3.0"}
	for _, c := range []struct {
		name   string
		env    towpath.Environment
		active *towpath.Deployment
		says   string
	}{
		{"what it was compared with runs", runs, nil, ""},
		{"that is repaired", runs, &towpath.Deployment{Candidate: "cand_1", Release: "r1", Version: "1.3.0"}, ""},
		{"it is on its way itself", runs, &towpath.Deployment{Candidate: "cand_2", Release: "r2", Version: "1.5.0"}, ""},
		{"it runs", towpath.Environment{Name: "prod", Candidate: "cand_2", Release: "r2", Version: "1.5.0"}, nil, ""},
		{"another one is on its way", runs, &towpath.Deployment{Candidate: "cand_3", Release: "r3", Version: "1.4.0"}, "1.5.0 was compared with 1.3.0, and 1.4.0 is on its way into prod"},
		{"another one runs", towpath.Environment{Name: "prod", Candidate: "cand_3", Release: "r3", Version: "1.4.0"}, nil, "1.5.0 was compared with 1.3.0, and prod runs 1.4.0 by now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if problem, hint := StillCompared(x, c.env, c.active); problem != c.says || (problem == "") != (hint == "") {
				t.Errorf("got %q, %q", problem, hint)
			}
		})
	}
}

func TestExperiment_Objectives(t *testing.T) {
	in := func(o ...towpath.Objective) *towpath.ReleaseContent {
		return &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess}}, Objectives: o}
	}
	running := in(towpath.Objective{Name: "errors", Target: 0.99, Critical: true}, towpath.Objective{Name: "speed", Critical: true})
	content := in(towpath.Objective{Name: "errors", Target: 0.5}, towpath.Objective{Name: "orders"})
	r := []towpath.Rollout{{Component: "api", Action: towpath.ActionReplace, From: "a", To: "b"}}
	if problem, hint := Experiment(r, content, running, &towpath.Experiment{Share: 20, For: time.Hour, On: []string{"orders"}}); problem != "" {
		t.Fatal(problem, hint)
	}
	want := []towpath.Objective{running.Objectives[0], running.Objectives[1], content.Objectives[1]}
	if got := r[0].Canary.Objectives; !reflect.DeepEqual(got, want) {
		t.Errorf("it is guarded by %+v, want what is in force and what the release adds", got)
	}
}

func TestExperiment_RefusesNamesOfObjectives(t *testing.T) {
	in := func(names ...string) *towpath.ReleaseContent {
		c := &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess}}}
		for _, n := range names {
			c.Objectives = append(c.Objectives, towpath.Objective{Name: n, Kind: towpath.ObjectiveErrors})
		}
		return c
	}
	orders, prices := []towpath.Measure{{Name: "orders"}}, &towpath.Prices{Request: 1}
	for name, c := range map[string]struct {
		content, running *towpath.ReleaseContent
		e                towpath.Experiment
		taken            string
	}{
		"of the release": {in("errors", "orders"), in("errors"), towpath.Experiment{Measures: orders}, "orders"},
		"of what runs, although it is not asked for": {in("errors"), in("errors", "orders"), towpath.Experiment{Measures: orders, On: []string{"errors"}}, "orders"},
		"of the cost":                            {in("cost"), in(), towpath.Experiment{Prices: prices}, "cost"},
		"but not of a cost that nobody asks for": {in("cost"), in(), towpath.Experiment{Measures: orders}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := []towpath.Rollout{{Component: "api", Action: towpath.ActionReplace, From: "a", To: "b"}}
			c.e.Share, c.e.For = 20, time.Hour
			problem, hint := Experiment(r, c.content, c.running, &c.e)
			if c.taken == "" && problem != "" || c.taken != "" && (!strings.Contains(problem, `api has an objective "`+c.taken+`"`) || !strings.Contains(hint, "another name")) {
				t.Errorf("got %q, %q", problem, hint)
			}
		})
	}
}

func TestExperiment_Interval(t *testing.T) {
	for _, c := range []struct{ release, takes, want time.Duration }{
		{0, time.Hour, 10 * time.Second},
		{0, 4 * time.Minute, 2 * time.Second}, // a dozen counts would say nothing
		{time.Minute, 10 * time.Minute, 5 * time.Second},
		{30 * time.Second, 24 * time.Hour, 30 * time.Second},
		{0, 5 * time.Second, time.Second},
	} {
		content := &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api", Rollout: towpath.RolloutSpec{Interval: c.release}}}}
		r := []towpath.Rollout{{Component: "api", Action: towpath.ActionReplace, From: "a", To: "b"}}
		if problem, _ := Experiment(r, content, nil, &towpath.Experiment{Share: 20, For: c.takes}); problem != "" || r[0].Canary.Spec.Interval != c.want {
			t.Errorf("%s of a release that says %s is counted every %s, want %s %s", c.takes, c.release, r[0].Canary.Spec.Interval, c.want, problem)
		}
	}
}

func TestNext_Experiment(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	shifted := towpath.Step{Verb: towpath.VerbShift, Weight: 20, Phase: towpath.OperationSucceeded, Ended: now.Add(-30 * time.Minute)}
	with := func(change func(*towpath.Deployment), steps ...towpath.Step) *towpath.Deployment {
		d := &towpath.Deployment{
			Phase: towpath.DeploymentSwitching, Experiment: &towpath.Experiment{Share: 20, For: time.Hour}, Previous: "sha256:x",
			Components: []towpath.Rollout{{
				Component: "api", Action: towpath.ActionReplace, From: "a", To: "b", Steps: steps,
				Canary: &towpath.Canary{Spec: towpath.RolloutSpec{Interval: time.Second, Steps: []towpath.RolloutStep{{Weight: 20, For: time.Hour}}}},
			}},
		}
		if change != nil {
			change(d)
		}
		return d
	}
	worse := &towpath.Judgement{Outcome: towpath.JudgedWorse, Sentence: "it fails"}
	good := &towpath.Judgement{Outcome: towpath.JudgedNotWorse}
	for _, c := range []struct {
		name string
		d    *towpath.Deployment
		seen Seen
		want towpath.DeploymentTrigger
	}{
		{"waits for its time, however good it is", with(nil, shifted), Seen{Now: now, Judgements: of("api", good)}, ""},
		{"is over with its time, without evidence too", with(nil, shifted), Seen{Now: now.Add(30 * time.Minute)}, towpath.TriggerOver},
		{"goes back when it is worse", with(nil, shifted), Seen{Now: now, Judgements: of("api", worse)}, towpath.TriggerWorse},
		{"is over when a person wants that", with(func(d *towpath.Deployment) { d.Abort = "enough" }, shifted), Seen{Now: now}, towpath.TriggerOver},
		{"goes back when its step fails", with(nil, towpath.Step{Verb: towpath.VerbShift, Weight: 20, Phase: towpath.OperationFailed}), Seen{Now: now}, towpath.TriggerStepFail},
		{"ends as what it was", with(func(d *towpath.Deployment) {
			d.Phase, d.Experiment.Ended = towpath.DeploymentReverting, now
		}, shifted, towpath.Step{Verb: towpath.VerbRestore, Phase: towpath.OperationSucceeded}, towpath.Step{Verb: towpath.VerbRetire, Phase: towpath.OperationSucceeded}), Seen{Now: now}, towpath.TriggerReturned},
		{"is rolled back when it was bad", with(func(d *towpath.Deployment) { d.Phase = towpath.DeploymentReverting }, shifted,
			towpath.Step{Verb: towpath.VerbRestore, Phase: towpath.OperationSucceeded}, towpath.Step{Verb: towpath.VerbRetire, Phase: towpath.OperationSucceeded}), Seen{Now: now}, towpath.TriggerReverted},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Next(c.d, c.seen)
			if got.Trigger != c.want {
				t.Errorf("decided %+v", got)
			}
			for _, is := range got.Issue {
				if is.Verb == towpath.VerbSwitch {
					t.Error("it switches")
				}
			}
		})
	}
	t.Run("begins with its share", func(t *testing.T) {
		got := Next(with(nil), Seen{Now: now})
		if len(got.Issue) != 1 || got.Issue[0].Verb != towpath.VerbShift || got.Issue[0].Weight != 20 {
			t.Errorf("decided %+v", got)
		}
	})
}
