package inventory

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestReplacing(t *testing.T) {
	rolls := &towpath.Deployment{Components: []towpath.Rollout{{Component: "db", From: "x", To: "y"}, {Component: "api", From: "old", To: "new"}}}
	again := &towpath.Deployment{Components: []towpath.Rollout{{Component: "api", From: "old", To: "old"}}}
	seen := func(has towpath.RevisionID, n int, beside ...towpath.RevisionSeen) towpath.Observation {
		return towpath.Observation{Target: towpath.Target{Component: "api"}, Revision: has, Instances: n, Wanted: 5, Beside: beside}
	}
	some := func(rev towpath.RevisionID, n int) towpath.RevisionSeen {
		return towpath.RevisionSeen{Revision: rev, Instances: n, Wanted: 5}
	}
	for name, c := range map[string]struct {
		d    *towpath.Deployment
		o    towpath.Observation
		want *Replacing
	}{
		"nothing is deployed":                       {nil, seen("old", 3, some("new", 2)), nil},
		"only the old one runs yet":                 {rolls, seen("old", 5), nil},
		"the old one has the traffic":               {rolls, seen("old", 3, some("new", 2)), &Replacing{New: 2, Wanted: 5, Old: 3}},
		"the new one has it":                        {rolls, seen("new", 5, some("old", 1)), &Replacing{New: 5, Wanted: 5, Old: 1}},
		"the old one was stopped for it":            {rolls, seen("old", 0, some("new", 1)), &Replacing{New: 1, Wanted: 5}},
		"what else runs is neither":                 {rolls, seen("old", 5, some("older", 2)), nil},
		"the same revision is replaced by itself":   {again, seen("old", 5, some("other", 2)), nil},
		"the deployment has nothing for it":         {&towpath.Deployment{}, seen("old", 3, some("new", 2)), nil},
		"one that failed runs beside the two still": {rolls, seen("old", 3, some("failed", 1), some("new", 2)), &Replacing{New: 2, Wanted: 5, Old: 3}},
	} {
		got := replacing(c.d, c.o)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestMoved(t *testing.T) {
	step := func(phase towpath.OperationPhase) *towpath.Deployment {
		return &towpath.Deployment{Components: []towpath.Rollout{{Component: "api", Steps: []towpath.Step{{Verb: towpath.VerbSwitch, Phase: phase}}}}}
	}
	for name, c := range map[string]struct {
		d    *towpath.Deployment
		want bool
	}{
		"nothing is deployed":      {nil, false},
		"it is about to be":        {&towpath.Deployment{Components: []towpath.Rollout{{Component: "api"}}}, false},
		"it is being switched":     {step(towpath.OperationRunning), false},
		"it was switched":          {step(towpath.OperationSucceeded), true},
		"something else was":       {&towpath.Deployment{Components: []towpath.Rollout{{Component: "web", Steps: step(towpath.OperationSucceeded).Components[0].Steps}}}, false},
		"it could not be switched": {step(towpath.OperationFailed), false},
	} {
		if got := moved(c.d, "api"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
