package rollout

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestRepair(t *testing.T) {
	content := &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{
		{Name: "api", Kind: towpath.KindProcess, DependsOn: []towpath.ComponentName{"db"}}, {Name: "db", Kind: towpath.KindProcess}, {Name: "web", Kind: towpath.KindProcess},
	}}
	env := towpath.ReleaseEnvironment{Components: []towpath.RenderedComponent{
		{Name: "api", Revision: "api1"}, {Name: "db", Revision: "db1"}, {Name: "web", Revision: "web1"},
	}}
	running := []Running{{Component: "api", Revision: "api1"}, {Component: "db", Revision: "db1"}, {Component: "web", Revision: "web1"}}
	all := []towpath.ComponentName{"api", "db", "web"}
	for name, tt := range map[string]struct {
		change func(r []Running)
		chosen []towpath.ComponentName
		want   string
	}{
		"replaces what is chosen by the same, in dependency order": {func([]Running) {}, []towpath.ComponentName{"api", "db"}, "db api "},
		"leaves out what is in doubt":                              {func(r []Running) { r[0].Unsure = true }, all, "db web "},
		"leaves out what is not of this release":                   {func(r []Running) { r[1].Revision = "db0" }, all, "api web "},
		"leaves out what does not run":                             {func(r []Running) { r[2].Revision = "" }, all, "db api "},
	} {
		t.Run(name, func(t *testing.T) {
			now := append([]Running(nil), running...)
			tt.change(now)
			got := ""
			for _, r := range Repair(content, env, now, tt.chosen) {
				if got += string(r.Component) + " "; r.From != r.To || r.Action != towpath.ActionReplace {
					t.Errorf("%+v", r)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestRepair_OfWhatCantRunTwice: there is no room beside it.
func TestRepair_OfWhatCantRunTwice(t *testing.T) {
	content := &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{
		{Name: "api", Kind: towpath.KindProcess, Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyAllAtOnce}},
		{Name: "web", Kind: towpath.KindProcess, Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen}},
	}}
	env := towpath.ReleaseEnvironment{Components: []towpath.RenderedComponent{{Name: "api", Revision: "api1"}, {Name: "web", Revision: "web1"}}}
	running := []Running{{Component: "api", Revision: "api1"}, {Component: "web", Revision: "web1"}}
	for _, name := range []towpath.ComponentName{"api", "web"} {
		d := &towpath.Deployment{Kind: towpath.DeploymentRepair, Phase: towpath.DeploymentPreparing, Components: Repair(content, env, running, []towpath.ComponentName{name})}
		is := Next(d, Seen{}).Issue
		if len(is) != 1 || is[0].Verb != towpath.VerbRepair || (is[0].Scale != nil) != (name == "api") || is[0].Scale != nil && *is[0].Scale != (towpath.Scale{}) {
			t.Errorf("%s: %+v", name, is)
		}
	}
}

func TestNext_Repair(t *testing.T) {
	deployment := func(steps ...towpath.OperationPhase) *towpath.Deployment {
		d := &towpath.Deployment{Kind: towpath.DeploymentRepair, Phase: towpath.DeploymentPreparing, Components: []towpath.Rollout{
			{Component: "db", From: "db1", To: "db1", Action: towpath.ActionReplace}, {Component: "api", From: "api1", To: "api1", Action: towpath.ActionReplace},
		}}
		for i, phase := range steps {
			d.Components[i].Steps = []towpath.Step{{Verb: towpath.VerbRepair, Phase: phase, Message: "an instance crashed"}}
		}
		return d
	}
	for name, tt := range map[string]struct {
		steps   []towpath.OperationPhase
		phase   towpath.DeploymentPhase
		issues  towpath.ComponentName
		trigger towpath.DeploymentTrigger
	}{
		"begins with the first":                {issues: "db"},
		"waits for it":                         {steps: []towpath.OperationPhase{towpath.OperationRunning}},
		"goes on with the next":                {steps: []towpath.OperationPhase{towpath.OperationSucceeded}, issues: "api"},
		"ends with the last":                   {steps: []towpath.OperationPhase{towpath.OperationSucceeded, towpath.OperationSucceeded}, trigger: towpath.TriggerRepaired},
		"stops at one that failed":             {steps: []towpath.OperationPhase{towpath.OperationFailed}, trigger: towpath.TriggerStepFail},
		"waits for a person when nobody knows": {steps: []towpath.OperationPhase{towpath.OperationUnknown}},
		"has nothing to undo":                  {steps: []towpath.OperationPhase{towpath.OperationFailed}, phase: towpath.DeploymentReverting, trigger: towpath.TriggerReverted},
		"does nothing once it has ended":       {steps: []towpath.OperationPhase{towpath.OperationFailed}, phase: towpath.DeploymentRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployment(tt.steps...)
			if tt.phase != "" {
				d.Phase = tt.phase
			}
			dec := Next(d, Seen{})
			issued := towpath.ComponentName("")
			for _, is := range dec.Issue {
				if issued = is.Component; is.Verb != towpath.VerbRepair || len(dec.Issue) > 1 {
					t.Errorf("issues %+v", dec.Issue)
				}
			}
			if issued != tt.issues || dec.Trigger != tt.trigger || (dec.Trigger == "" && issued == "") != (dec.Waiting != "") {
				t.Errorf("got %+v", dec)
			}
			if dec.Trigger != "" {
				if _, err := towpath.DeploymentTransitions().Next("deployment", d.Phase, dec.Trigger); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("begins nothing while it is paused, and ends", func(t *testing.T) {
		for _, tt := range []struct {
			steps   []towpath.OperationPhase
			trigger towpath.DeploymentTrigger
		}{
			{nil, ""},
			{[]towpath.OperationPhase{towpath.OperationRunning}, ""},
			{[]towpath.OperationPhase{towpath.OperationSucceeded}, ""},
			{[]towpath.OperationPhase{towpath.OperationSucceeded, towpath.OperationSucceeded}, towpath.TriggerRepaired},
			{[]towpath.OperationPhase{towpath.OperationFailed}, towpath.TriggerStepFail},
		} {
			d := deployment(tt.steps...)
			d.Paused = &towpath.Pause{By: "ana", Reason: "lunch"}
			if dec := Next(d, Seen{}); len(dec.Issue) > 0 || dec.Trigger != tt.trigger || dec.Asks != (tt.trigger == "") {
				t.Errorf("after %v: %+v", tt.steps, dec)
			}
		}
	})
}
