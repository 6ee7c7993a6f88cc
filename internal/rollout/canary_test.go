package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// at is a deployment whose one component has been given weights, the last one
// some time ago.
func at(ago time.Duration, weights ...int) (*towpath.Deployment, *towpath.Canary) {
	c := &towpath.Canary{
		Spec: towpath.RolloutSpec{
			Interval: time.Second, Deadline: time.Minute,
			Steps: []towpath.RolloutStep{{Weight: 5, For: 10 * time.Second}, {Weight: 50, Manual: true}},
		},
		Objectives: []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}},
	}
	r := towpath.Rollout{Component: "api", Action: towpath.ActionReplace, From: "old", To: "new", Canary: c}
	for _, w := range weights {
		r.Steps = append(r.Steps, towpath.Step{Verb: towpath.VerbShift, Weight: w, Phase: towpath.OperationSucceeded, Ended: noon.Add(-ago)})
	}
	return &towpath.Deployment{Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{r}}, c
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// judged is a judgement of all until noon.
func judged(o towpath.JudgementOutcome) *towpath.Judgement {
	return &towpath.Judgement{Outcome: o, Sentence: "it is " + string(o), Counted: noon}
}

func TestNext_Canary(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ago     time.Duration
		weights []int
		change  func(*towpath.Canary)
		judged  towpath.JudgementOutcome
		want    string // "shift 5", "switch", "worse", or the beginning of what it waits for
		again   time.Duration
	}{
		{"begins with the first step", 0, nil, nil, "", "shift 5", 0},
		{"stays for the time of a step", 4 * time.Second, []int{5}, nil, towpath.JudgedNotWorse, "api has 5 % of the traffic for another 6s. it is not-worse", time.Second},
		{"comes back when the time is over", 9500 * time.Millisecond, []int{5}, nil, towpath.JudgedNotWorse, "api has 5 % of the traffic for another", 500 * time.Millisecond},
		{"goes on when it is not worse", 10 * time.Second, []int{5}, nil, towpath.JudgedNotWorse, "shift 50", 0},
		{"goes back at once when it is worse", time.Second, []int{5}, nil, towpath.JudgedWorse, "worse", 0},
		{"never passes on no evidence", 30 * time.Second, []int{5}, nil, towpath.JudgedNoEvidence, "api has 5 % of the traffic and is not judged yet. it is no-evidence", time.Second},
		{"goes on undecided, with enough samples", 10 * time.Second, []int{5}, nil, towpath.JudgedUndecided, "shift 50", 0},
		{"does not go on undecided when it looks worse", 30 * time.Second, []int{5}, nil, "suspect", "api has 5 % of the traffic and looks worse; more requests have to show", time.Second},
		{"holds undecided when it is told to", 30 * time.Second, []int{5}, func(c *towpath.Canary) { c.Spec.Undecided = towpath.UndecidedHolds }, towpath.JudgedUndecided, "api has 5 % of the traffic and is not judged yet", time.Second},
		{"never passes when nothing was counted", 30 * time.Second, []int{5}, nil, "", "api has 5 % of the traffic and is not judged yet. Nothing has been counted yet", time.Second},
		{"asks a person when the deadline is over", 70 * time.Second, []int{5}, nil, towpath.JudgedNoEvidence, "api has 5 % of the traffic and could not be judged within 1m0s", time.Second},
		{"goes back after the deadline too", 70 * time.Second, []int{5}, nil, towpath.JudgedWorse, "worse", 0},
		{"lets a person decide without evidence", time.Second, []int{5}, func(c *towpath.Canary) { c.Passed = 1 }, towpath.JudgedNoEvidence, "shift 50", 0},
		{"waits for a person", time.Hour, []int{5, 50}, nil, towpath.JudgedNotWorse, "api has 50 % of the traffic and waits for a person", time.Second},
		{"ends when a person resumes", time.Hour, []int{5, 50}, func(c *towpath.Canary) { c.Passed = 2 }, towpath.JudgedNotWorse, "switch", 0},
		{"needs no judgement without objectives", 10 * time.Second, []int{5}, func(c *towpath.Canary) { c.Objectives = nil }, "", "shift 50", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, c := at(tt.ago, tt.weights...)
			if tt.change != nil {
				tt.change(c)
			}
			seen := Seen{Now: noon}
			switch tt.judged {
			case "":
			case "suspect":
				seen.Judgements = of("api", judged(towpath.JudgedUndecided))
				seen.Judgements["api"].Suspect = true
			default:
				seen.Judgements = of("api", judged(tt.judged))
			}
			dec := Next(d, seen)
			got := dec.Waiting
			switch {
			case dec.Trigger == towpath.TriggerWorse:
				got = "worse"
			case dec.Trigger != "":
				got = string(dec.Trigger)
			case len(dec.Issue) == 1 && dec.Issue[0].Verb == towpath.VerbShift:
				got = map[int]string{5: "shift 5", 50: "shift 50"}[dec.Issue[0].Weight]
			case len(dec.Issue) == 1:
				got = string(dec.Issue[0].Verb)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if asks := strings.Contains(dec.Waiting, "`towpath rollout resume` goes on") || strings.Contains(dec.Waiting, "`towpath rollout resume --without-evidence` goes on"); dec.Asks != asks {
				t.Errorf("it asks a person: %v, and says %q", dec.Asks, dec.Waiting)
			}
			if tt.again > 0 && dec.Again.Sub(noon) != tt.again {
				t.Errorf("it comes back after %s, want %s", dec.Again.Sub(noon), tt.again)
			}
		})
	}
}

// TestNext_TimeThatNobodyCountedIsNotJudged: a verdict is about the time until which
// was counted, and ends no step that was longer.
func TestNext_TimeThatNobodyCountedIsNotJudged(t *testing.T) {
	second := time.Second
	for _, tt := range []struct {
		name    string
		ago     time.Duration // that the step of ten seconds began
		counted time.Duration // after that
		judged  towpath.JudgementOutcome
		waits   string // empty: the step ends
	}{
		{"ends with what was counted at its end", 11 * second, 10 * second, towpath.JudgedNotWorse, ""},
		{"waits for its last moment", 11 * second, 9999 * time.Millisecond, towpath.JudgedNotWorse, "api has 5 % of the traffic, and the end of its 10s has not been counted yet. it is not-worse"},
		{"waits undecided as well", 11 * second, 9 * second, towpath.JudgedUndecided, "api has 5 % of the traffic, and the end of its 10s has not been counted yet"},
		{"takes nothing from the weight before", 11 * second, -second, towpath.JudgedNotWorse, "api has 5 % of the traffic, and nothing has been counted since"},
		{"asks a person when that never comes", 70 * second, 9 * second, towpath.JudgedNotWorse, "api has 5 % of the traffic and could not be judged within 1m0s: `towpath rollout resume --without-evidence`"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := at(tt.ago, 5)
			j := judged(tt.judged)
			j.Counted = noon.Add(tt.counted - tt.ago)
			dec := Next(d, Seen{Now: noon, Judgements: of("api", j)})
			if ends := len(dec.Issue) > 0; ends != (tt.waits == "") || !strings.HasPrefix(dec.Waiting, tt.waits) {
				t.Errorf("%+v", dec)
			}
			if tt.waits != "" && !dec.Again.Equal(noon.Add(second)) {
				t.Errorf("it comes back at %s", dec.Again)
			}
			if asks := tt.ago > time.Minute; dec.Asks != asks {
				t.Errorf("it asks a person: %v", dec.Asks)
			}
		})
	}
	t.Run("not after a switch either", func(t *testing.T) {
		d, _, now := switched(time.Minute)
		j := judged(towpath.JudgedNotWorse)
		j.Counted = now.Add(-time.Second)
		dec := Next(d, Seen{Now: now, Judgements: of("api", j)})
		if len(dec.Over) > 0 || !strings.HasSuffix(dec.Waiting, "still runs, and the end of its 1m0s has not been counted yet. it is not-worse") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("but where nothing is judged it is time alone", func(t *testing.T) {
		d, c := at(10*second, 5)
		c.Objectives = nil
		if dec := Next(d, Seen{Now: noon, Judgements: of("api", &towpath.Judgement{})}); len(dec.Issue) != 1 {
			t.Errorf("%+v", dec)
		}
	})
}

func TestNext_CanaryUndoesWhatFailed(t *testing.T) {
	d, _ := at(time.Second, 5)
	r := &d.Components[0]
	r.Steps = append(r.Steps, towpath.Step{Verb: towpath.VerbShift, Weight: 50, Phase: towpath.OperationFailed, Message: "instance 0 crashed"})
	if dec := Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerStepFail || !strings.Contains(dec.Reason, "instance 0 crashed") {
		t.Errorf("%+v", dec)
	}
	if r.Weight() != 5 {
		t.Errorf("it has %d %%", r.Weight())
	}
}

// of is the judgement of one component.
func of(name towpath.ComponentName, j *towpath.Judgement) map[towpath.ComponentName]*towpath.Judgement {
	return map[towpath.ComponentName]*towpath.Judgement{name: j}
}

func TestMoving(t *testing.T) {
	d, _ := at(0)
	if len(Moving(d)) > 0 {
		t.Error("something moves before the first step")
	}
	d, _ = at(0, 5)
	if r := Moving(d); len(r) != 1 || r[0].Component != "api" || r[0].Weight() != 5 {
		t.Errorf("%+v moves", r)
	}
	d.Components[0].Steps = append(d.Components[0].Steps, towpath.Step{Verb: towpath.VerbSwitch, Phase: towpath.OperationPending})
	if len(Moving(d)) > 0 {
		t.Error("something moves after the last step")
	}
	d, _ = at(0, 5)
	d.Phase = towpath.DeploymentReverting
	if len(Moving(d)) > 0 {
		t.Error("something moves on the way back")
	}
}
