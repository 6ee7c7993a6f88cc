package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestNext_JudgesTheFirstShareWhileItIsGiven: an agent moves users first and then
// verifies, makes room or tries again, and all of that may take long.
func TestNext_JudgesTheFirstShareWhileItIsGiven(t *testing.T) {
	hour := noon.Add(-time.Hour)
	for _, tt := range []struct {
		name   string
		shift  towpath.Step
		change func(*towpath.Deployment)
		share  int // that it may have, and is judged with
		waits  string
	}{
		{"while the agent works on it", towpath.Step{Weight: 5, Phase: towpath.OperationRunning, Began: hour}, nil, 5, "shift of api is running"},
		{"while it is tried again", towpath.Step{Weight: 5, Phase: towpath.OperationPending, Began: hour, Attempt: 3}, nil, 5, "shift of api is pending"},
		{"when nobody can tell whether it has it", towpath.Step{Weight: 5, Phase: towpath.OperationUnknown, Began: hour}, nil, 5, "nobody can tell whether shift of api took effect"},
		{"while a person pauses it", towpath.Step{Weight: 5, Phase: towpath.OperationRunning, Began: hour}, func(d *towpath.Deployment) {
			d.Paused = &towpath.Pause{By: "ana"}
		}, 5, "paused by ana"},
		{"in an experiment", towpath.Step{Weight: 5, Phase: towpath.OperationRunning, Began: hour}, func(d *towpath.Deployment) {
			d.Experiment = &towpath.Experiment{}
		}, 5, "shift of api is running"},
		{"after copies, which are over", towpath.Step{Weight: 5, Phase: towpath.OperationRunning, Began: hour}, func(d *towpath.Deployment) {
			c, _ := copying(time.Minute)
			c.Components[0].Steps = append(c.Components[0].Steps, d.Components[0].Steps...)
			d.Components = c.Components
		}, 5, "shift of api is running"},
		{"but not before an agent takes it up", towpath.Step{Weight: 5, Phase: towpath.OperationPending}, nil, 0, "shift of api is pending"},
		{"but not copies, which no user has", towpath.Step{Copies: 30, Phase: towpath.OperationRunning, Began: hour}, func(d *towpath.Deployment) {
			d.Components[0].Canary.Spec.Steps[0] = towpath.RolloutStep{Copies: &towpath.TrafficCopies{Percent: 30}}
		}, 0, "shift of api is running"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := at(0)
			tt.shift.Verb = towpath.VerbShift
			d.Components[0].Steps = []towpath.Step{tt.shift}
			if tt.change != nil {
				tt.change(d)
			}
			r := &d.Components[0]
			if r.Share() != tt.share || r.Weight() != 0 || r.Mirrors() {
				t.Errorf("it may have %d %% (certain are %d %%, copies only: %v)", r.Share(), r.Weight(), r.Mirrors())
			}
			if n := len(Moving(d)); n > 0 != (tt.share > 0) {
				t.Errorf("%d are judged", n)
			}
			dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedNotWorse))})
			if dec.Trigger != "" || len(dec.Issue) > 0 || !strings.HasPrefix(dec.Waiting, tt.waits) {
				t.Errorf("not worse, it is not left alone until it has its share: %+v", dec)
			}
			worse := judged(towpath.JudgedWorse)
			if tt.share == 0 {
				worse = nil // nobody judges what is not in Moving
			}
			dec = Next(d, Seen{Now: noon, Judgements: of("api", worse)})
			if (dec.Trigger == towpath.TriggerWorse) != (tt.share > 0) || tt.share > 0 && dec.Reason != "the new revision of api is worse at 5 %: it is worse" {
				t.Errorf("worse: %+v", dec)
			}
		})
	}
	t.Run("and its time begins when it has its share", func(t *testing.T) {
		d, _ := at(0, 5)
		d.Components[0].Steps[0].Began = hour
		dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedNotWorse))})
		if !strings.HasPrefix(dec.Waiting, "api has 5 % of the traffic for another 10s") {
			t.Errorf("%+v", dec)
		}
	})
	t.Run("and not on the way back", func(t *testing.T) {
		d, _ := at(0, 5)
		r := &d.Components[0]
		r.Steps[0].Phase, r.Steps[0].Began = towpath.OperationCancelled, hour
		if r.Share() != 0 {
			t.Errorf("what was withdrawn has %d %%", r.Share())
		}
	})
	t.Run("and copies go on to speak for it until then", func(t *testing.T) {
		d, _ := copying(time.Minute, towpath.Step{Verb: towpath.VerbShift, Weight: 5, Phase: towpath.OperationPending})
		dec := Next(d, Seen{Now: noon, Judgements: of("api", judged(towpath.JudgedWorse))})
		if !strings.Contains(dec.Reason, "and no user had it") {
			t.Errorf("%+v", dec)
		}
	})
}
