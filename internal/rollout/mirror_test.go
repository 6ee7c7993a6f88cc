package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// copying is a deployment whose one component got copies of requests, some time
// ago, and what it was given since.
func copying(ago time.Duration, since ...towpath.Step) (*towpath.Deployment, *towpath.Canary) {
	d, c := at(ago)
	c.Spec.Steps = append([]towpath.RolloutStep{{For: 10 * time.Second, Copies: &towpath.TrafficCopies{Percent: 30}}}, c.Spec.Steps...)
	c.Spec.Sticky = &towpath.TrafficSticky{Cookie: "who"}
	mirror := towpath.Step{Verb: towpath.VerbShift, Copies: 30, Phase: towpath.OperationSucceeded, Ended: noon.Add(-ago)}
	d.Components[0].Steps = append([]towpath.Step{mirror}, since...)
	return d, c
}

func TestNext_Mirror(t *testing.T) {
	const first = "the new revision of api has no users yet and gets copies of 30 % of the requests"
	for _, tt := range []struct {
		name   string
		ago    time.Duration
		change func(*towpath.Canary)
		judged towpath.JudgementOutcome
		want   string
	}{
		{"stays for its time", 4 * time.Second, nil, towpath.JudgedNotWorse, first + " for another 6s. it is not-worse"},
		{"goes back at once when the copies are worse", time.Second, nil, towpath.JudgedWorse, "the new revision of api is worse by what it did with copies of requests, and no user had it: it is worse"},
		{"never passes without requests to copy", 30 * time.Second, nil, towpath.JudgedNoEvidence, first + " and is not judged yet. it is no-evidence"},
		{"never passes when nothing was counted", 30 * time.Second, nil, "", first + " and is not judged yet. Nothing has been counted yet"},
		{"asks a person when the deadline is over", 70 * time.Second, nil, towpath.JudgedNoEvidence, first + " and could not be judged within 1m0s"},
		{"waits for a person when it is told to", time.Hour, func(c *towpath.Canary) { c.Spec.Steps[0].Manual = true }, towpath.JudgedNotWorse, first + " and waits for a person"},
		{"lets a person decide without evidence", time.Second, func(c *towpath.Canary) { c.Passed = 1 }, towpath.JudgedNoEvidence, "shift 5"},
		{"goes on to users when it is not worse", 10 * time.Second, nil, towpath.JudgedNotWorse, "shift 5"},
		{"never passes without objectives that copies are counted for", 10 * time.Second, func(c *towpath.Canary) {
			c.Objectives[0].Kind = towpath.ObjectiveThreshold
		}, "", first + " and is not judged yet. Nothing has been counted yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, c := copying(tt.ago)
			if tt.change != nil {
				tt.change(c)
			}
			seen := Seen{Now: noon}
			if tt.judged != "" {
				seen.Judgements = of("api", judged(tt.judged))
			}
			dec := Next(d, seen)
			got := dec.Waiting + dec.Reason
			if len(dec.Issue) == 1 && dec.Issue[0].Weight == 5 {
				got = "shift 5"
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("asks whoever steers when they may", func(t *testing.T) {
		d, _ := copying(30 * time.Second)
		x := Standing(d)
		if len(x) != 1 || x[0].Step != 0 || x[0].Asks(noon) != NoQuestion || x[0].Asks(noon.Add(time.Minute)) != WithoutEvidence {
			t.Errorf("%+v stands", x)
		}
		if m := Moving(d); len(m) != 1 || m[0] != x[0].Rollout {
			t.Error("nobody looks at its copies")
		}
	})
	t.Run("judges users at the steps after it", func(t *testing.T) {
		d, _ := copying(time.Minute, towpath.Step{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationSucceeded, Ended: noon})
		if d.Components[0].Mirrors() {
			t.Error("it is said to have copies only")
		}
		if dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedWorse))}); !strings.Contains(dec.Reason, "is worse at 5 %") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("is the first step, nobody stays with it, and with the others they do", func(t *testing.T) {
		d, c := copying(0)
		d.Components[0].Steps = nil
		var issued []Issue
		good := judged(towpath.JudgedNotWorse)
		good.Counted = noon.Add(time.Hour)
		for _, s := range c.Spec.Steps {
			dec := Next(d, Seen{Now: noon.Add(time.Hour), Judgements: of("api", good)})
			if len(dec.Issue) != 1 {
				t.Fatalf("%+v", dec)
			}
			issued = append(issued, dec.Issue[0])
			d.Components[0].Steps = append(d.Components[0].Steps, towpath.Step{Verb: towpath.VerbShift, Weight: s.Weight, Copies: s.Copies.Share(), Phase: towpath.OperationSucceeded, Ended: noon})
		}
		want := []Issue{
			{Component: "api", Verb: towpath.VerbShift, Revision: "new", Copies: c.Spec.Steps[0].Copies},
			{Component: "api", Verb: towpath.VerbShift, Revision: "new", Weight: 5, Sticky: c.Spec.Sticky},
			{Component: "api", Verb: towpath.VerbShift, Revision: "new", Weight: 50, Sticky: c.Spec.Sticky},
		}
		if diff := cmp.Diff(want, issued); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("is undone like any step", func(t *testing.T) {
		d, _ := copying(time.Second)
		d.Phase = towpath.DeploymentReverting
		if dec := Next(d, Seen{Now: noon}); len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbRestore {
			t.Errorf("%+v", dec)
		}
	})
}

func TestStrategies_Mirror(t *testing.T) {
	content, env, all := shop()
	mirror := &towpath.RolloutStep{For: 7, Copies: &towpath.TrafficCopies{Percent: 30}}
	for i := range content.Components {
		content.Components[i].Rollout.Mirror = mirror
	}
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
	for name, steps := range map[towpath.ComponentName]int{"canary": 2, "rolling": 4, "fewer": 3, "blue": 1} {
		c := named(all, name).Canary
		if c == nil || len(c.Spec.Steps) != steps || c.Spec.Steps[0].Copies.Share() != 30 || len(c.Objectives) == 0 {
			t.Errorf("the steps of %s are %+v", name, c)
		}
	}
	if s := named(all, "looked-at").Canary.Spec.Steps; len(s) != 2 || !s[0].Manual || s[1].Copies == nil {
		t.Errorf("it is looked at and copied to by %+v", s)
	}
	for _, name := range []towpath.ComponentName{"created", "unsure", "once", "gone"} {
		if r := named(all, name); r.Canary != nil {
			t.Errorf("%s has steps: %+v", name, r.Canary)
		}
	}
	for _, tt := range []struct {
		old   int // instances
		steps int
	}{{1, 1}, {2, 2}} { // of the second one an instance stays that answers what is copied
		content, env, all = shop()
		content.Components[4].Rollout = towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: "0", Unavailable: "1", Mirror: mirror}
		env.Components[1].Instances, named(all, "fewer").Before = 1, &towpath.Before{Instances: tt.old}
		Strategies(all, content, nil, env, towpath.EnvironmentSpec{})
		r := named(all, "fewer")
		if s := r.Canary.Spec.Steps; r.StopsFirst() != (tt.old == 1) || len(s) != tt.steps || s[0].Copies != nil == r.StopsFirst() || !s[len(s)-1].AllOfIt() {
			t.Errorf("of %d instances that run one stays: %v, by %+v", tt.old, !r.StopsFirst(), s)
		}
	}
	content, env, all = shop()
	content.Components[6].Rollout.Mirror, named(all, "blue").To = mirror, "old"
	if Strategies(all, content, nil, env, towpath.EnvironmentSpec{}); named(all, "blue").Canary != nil {
		t.Error("a revision gets copies of what it answers itself")
	}
	content, env, all = shop()
	content.Components[0].Rollout.Mirror, content.Components[6].Rollout.Mirror = mirror, mirror
	Strategies(all, content, nil, env, towpath.EnvironmentSpec{Rollout: towpath.StrategyBlueGreen})
	for _, r := range all {
		if r.Canary != nil {
			t.Errorf("%s moves by steps, and the environment at once", r.Component)
		}
	}
}
