package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// TestDeploymentTree has copies of requests before the steps of a canary: those
// that were taken and those to come are one list.
func TestDeploymentTree(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{{
		Component: "api", Action: towpath.ActionReplace, From: "old", To: "new",
		Canary: &towpath.Canary{Spec: towpath.RolloutSpec{Steps: []towpath.RolloutStep{
			{Manual: true}, {Copies: &towpath.TrafficCopies{Percent: 10}}, {Weight: 5}, {Weight: 50},
		}}},
	}}}
	shown := func() (out []string) {
		for _, b := range deploymentTree(d) {
			out = append(out, b.name+" "+string(b.state))
		}
		return out
	}
	first := []string{"prepare pending", "verify pending", "mirror 10 % pending", "shift 5 % pending", "shift 50 % pending", "switch pending", "verify pending", "retire pending"}
	if diff := cmp.Diff(append([]string{"api pending"}, first...), shown()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	for _, s := range []towpath.Step{{Verb: towpath.VerbPrepare}, {Verb: towpath.VerbVerifyBefore}, {Verb: towpath.VerbShift, Copies: 10}} {
		s.Phase, s.Began, s.Ended = towpath.OperationSucceeded, began, began.Add(time.Second)
		d.Components[0].Steps = append(d.Components[0].Steps, s)
	}
	want := []string{"api running", "prepare done", "verify done", "mirror 10 % done", "shift 5 % pending", "shift 50 % pending", "switch pending", "verify pending", "retire pending"}
	if diff := cmp.Diff(want, shown()); diff != "" {
		t.Errorf("with copies (-want +got):\n%s", diff)
	}
}

// TestDeploymentTree_AfterTheSwitch has the time after the switch among the steps.
func TestDeploymentTree_AfterTheSwitch(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{{
		Component: "api", Action: towpath.ActionReplace, From: "old", To: "new",
		Canary: &towpath.Canary{Spec: towpath.RolloutSpec{Steps: []towpath.RolloutStep{{Weight: 100, For: time.Minute}}}},
	}}}
	shown := func() string {
		var out []string
		for _, b := range deploymentTree(d) {
			if strings.HasPrefix(b.name, "judge") || b.name == "switch" || b.name == "retire" {
				out = append(out, b.name+" "+string(b.state))
			}
		}
		return strings.Join(out, ", ")
	}
	if got, want := shown(), "switch pending, judge for 1m0s pending, retire pending"; got != want {
		t.Errorf("before it is %s, want %s", got, want)
	}
	for _, v := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter} {
		d.Components[0].Steps = append(d.Components[0].Steps, towpath.Step{Verb: v, Phase: towpath.OperationSucceeded, Began: began, Ended: began})
	}
	if got, want := shown(), "switch done, judge for 1m0s running, retire pending"; got != want {
		t.Errorf("then it is %s, want %s", got, want)
	}
	d.Phase = towpath.DeploymentReverting
	if got, want := shown(), "switch done, judge for 1m0s failed"; got != want {
		t.Errorf("going back it is %s, want %s", got, want)
	}
	d.Phase, d.Components[0].Canary.Over = towpath.DeploymentRetiring, began
	if got, want := shown(), "switch done, judge for 1m0s done, retire pending"; got != want {
		t.Errorf("after that it is %s, want %s", got, want)
	}
}
