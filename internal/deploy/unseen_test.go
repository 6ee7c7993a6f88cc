package deploy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

func TestUnseen(t *testing.T) {
	said := func(o towpath.JudgementOutcome, objectives ...towpath.ObjectiveJudgement) *towpath.Judgement {
		return &towpath.Judgement{Outcome: o, Sentence: "All is silent.", Objectives: objectives}
	}
	fine := towpath.ObjectiveJudgement{Objective: "errors", Outcome: towpath.JudgedNotWorse, Sentence: "It is fine."}
	open := towpath.ObjectiveJudgement{Objective: "errors", Outcome: towpath.JudgedUndecided}
	dark := towpath.ObjectiveJudgement{Objective: "errors", Outcome: towpath.JudgedNoEvidence, Sentence: "3 requests are not the 50 that it takes."}
	lacks := func(why string, by towpath.AccountName) []towpath.Unseen {
		return []towpath.Unseen{{Component: "api", Objective: "errors", Why: why, By: by}}
	}
	for _, tt := range []struct {
		name   string
		judged *towpath.Judgement
		passed int
		change func(*towpath.Deployment)
		want   []towpath.Unseen
	}{
		{name: "not worse", judged: said(towpath.JudgedNotWorse, fine)},
		{name: "undecided is evidence", judged: said(towpath.JudgedUndecided, open)},
		{name: "too few samples", judged: said(towpath.JudgedNotWorse, dark), want: lacks(dark.Sentence, "")},
		{name: "silence", judged: said(towpath.JudgedNoEvidence), want: lacks("All is silent.", "")},
		{name: "never judged", want: lacks("Nothing was counted.", "")},
		{name: "a person ended the last step", judged: said(towpath.JudgedNoEvidence, dark), passed: 2, want: lacks(dark.Sentence, "ana")},
		{name: "a person ended another step", judged: said(towpath.JudgedNotWorse, dark), passed: 1, want: lacks(dark.Sentence, "")},
		{name: "a rollback", change: func(d *towpath.Deployment) { d.Kind = towpath.DeploymentRollback }},
		{name: "no canary", change: func(d *towpath.Deployment) { d.Components[0].Canary = nil }},
		{name: "a preview only", change: func(d *towpath.Deployment) { d.Components[0].Canary.Spec.Steps = []towpath.RolloutStep{{}} }},
		{name: "copies only, and none came", judged: said(towpath.JudgedNoEvidence), change: func(d *towpath.Deployment) {
			d.Components[0].Canary.Spec.Steps = []towpath.RolloutStep{{Copies: &towpath.TrafficCopies{Percent: 10}}}
			d.Components[0].Canary.Objectives = []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors}, {Name: "asked", Kind: towpath.ObjectiveRatio}}
		}, want: lacks("All is silent.", "")},
		{name: "the first", change: func(d *towpath.Deployment) {
			d.Components[0].Canary, d.Components[0].Unjudged = nil, []towpath.Unseen{{Component: "api", Objective: "errors", Why: "it is the first", Unasked: true}}
		}, want: []towpath.Unseen{{Component: "api", Objective: "errors", Why: "it is the first", Unasked: true}}},
		{name: "no objectives", change: func(d *towpath.Deployment) { d.Components[0].Canary.Objectives = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &towpath.Deployment{Kind: towpath.DeploymentPromotion, Components: []towpath.Rollout{{Component: "api", Canary: &towpath.Canary{
				Spec:       towpath.RolloutSpec{Steps: []towpath.RolloutStep{{Weight: 10}, {Weight: 50}}},
				Objectives: []towpath.Objective{{Name: "errors"}}, Judgement: tt.judged, Passed: tt.passed, PassedBy: "ana",
			}}}}
			if tt.change != nil {
				tt.change(d)
			}
			if diff := cmp.Diff(tt.want, unseen(d)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
