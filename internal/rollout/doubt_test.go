package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

func TestDoubt(t *testing.T) {
	running := []Running{
		{Component: "mixed", Revision: "mixed2", Unsure: true}, {Component: "same", Revision: "same1", Unsure: true},
		{Component: "begun", Unsure: true}, {Component: "lost", Unsure: true}, {Component: "left", Revision: "left2", Unsure: true},
		{Component: "certain", Revision: "certain1"},
	}
	should := &towpath.ReleaseEnvironment{Components: []towpath.RenderedComponent{
		{Name: "mixed", Revision: "mixed1"}, {Name: "same", Revision: "same1"}, {Name: "lost", Revision: "lost1"}, {Name: "certain", Revision: "certain1"},
	}}
	for _, tt := range []struct {
		should *towpath.ReleaseEnvironment
		want   string
	}{
		{should, "mixed:stays same:ends begun:ends lost:stays left:stays certain:none new:none "},
		{nil, "mixed:stays same:stays begun:stays lost:stays left:stays certain:none new:none "},
		{&towpath.ReleaseEnvironment{}, "mixed:stays same:stays begun:ends lost:ends left:stays certain:none new:none "}, // nothing ran yet
	} {
		var rollouts []towpath.Rollout
		for _, r := range running {
			rollouts = append(rollouts, towpath.Rollout{Component: r.Component, From: r.Revision})
		}
		rollouts = append(rollouts, towpath.Rollout{Component: "new"})
		Doubt(rollouts, running, tt.should)
		got := ""
		for _, r := range rollouts {
			said := "none"
			if r.Doubt != nil {
				said = map[bool]string{true: "ends", false: "stays"}[r.Doubt.Ends]
			}
			got += fmt.Sprintf("%s:%s ", r.Component, said)
		}
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// What a deployment goes back to is called the previous release only when nothing
// of it is in doubt, and doubt ends only with what was really brought back.
func TestNext_GoingBackEndsOnlyItsOwnDoubt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := generated(t)
		d.Previous = rapid.SampledFrom([]towpath.Digest{"", "sha256:1"}).Draw(t, "previous")
		for i := range d.Components {
			switch rapid.IntRange(0, 2).Draw(t, "doubt") {
			case 0:
				d.Components[i].Doubt = &towpath.Doubt{}
			case 1:
				d.Components[i].Doubt = &towpath.Doubt{Ends: true}
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "experiment") == 0 {
			d.Experiment = &towpath.Experiment{Ended: time.Unix(1, 0)}
		}
		w := newWorld(d)
		w.judge = func() *towpath.Judgement { return nil }
		d.Phase = towpath.DeploymentReverting
		for i := range d.Components { // as far as it got
			if r := &d.Components[i]; r.Action != towpath.ActionRemove && rapid.Bool().Draw(t, "begun") {
				r.Steps = []towpath.Step{{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded, Began: time.Unix(1, 0)}}
			}
		}
		var dec Decision
		for range 100 {
			if dec = Next(d, Seen{Now: w.now}); dec.Trigger != "" {
				break
			}
			w.step(t, func(Issue) towpath.OperationPhase { return towpath.OperationSucceeded })
		}
		var want []towpath.ComponentName
		for _, r := range d.Components {
			brought := w.traffic[r.Component] == r.From && len(r.Steps) > 0
			if r.Doubt != nil && (!r.Doubt.Ends || !brought) {
				want = append(want, r.Component)
			}
		}
		if got := InDoubt(d); !slices.Equal(got, want) {
			t.Fatalf("in doubt are %v, want %v", got, want)
		}
		if dec.Trigger != towpath.TriggerReverted && dec.Trigger != towpath.TriggerReturned {
			t.Fatalf("it ended with %+v", dec)
		}
		said := strings.Contains(dec.Reason, "it is still in doubt what runs of "+commas(want))
		if certain := strings.Contains(dec.Reason, "previous release") || strings.Contains(dec.Reason, "nothing ran before"); said == certain || said != (len(want) > 0) {
			t.Fatalf("of %v it says %q", want, dec.Reason)
		}
	})
}
