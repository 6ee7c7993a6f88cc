package rollout

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// working is a deployment of api, whose prepare was issued at noon and tried, and
// which may make no progress for half an hour.
func working() (*towpath.Deployment, *towpath.Step) {
	d := &towpath.Deployment{Phase: towpath.DeploymentPreparing, Components: []towpath.Rollout{{
		Component: "api", Action: towpath.ActionReplace, From: "old", To: "new", Progress: 30 * time.Minute,
		Steps: []towpath.Step{{
			Verb: towpath.VerbPrepare, Phase: towpath.OperationPending, Attempt: 7, Message: "the disk is full",
			Issued: noon, Began: noon.Add(time.Second),
		}},
	}}}
	return d, &d.Components[0].Steps[0]
}

func TestNext_GoesBackWithoutProgress(t *testing.T) {
	after := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for _, tt := range []struct {
		name   string
		now    time.Time
		change func(d *towpath.Deployment, step *towpath.Step)
		reason string    // why it goes back; empty: it does not
		again  time.Time // when it would
		up     time.Time // since when the server looks
	}{
		{name: "not before its time", now: after(29), again: after(30)},
		{name: "it begins when it is issued", now: noon, change: func(d *towpath.Deployment, _ *towpath.Step) { d.Components[0].Steps = nil }, again: after(30)},
		{name: "when its time is over", now: after(30), reason: "api has made no progress for 30m0s: prepare is still pending, the disk is full"},
		{name: "not before agents could tell a server that was away", now: after(90), up: after(90), again: after(91)},
		{name: "when they have not told it", now: after(91), up: after(90), reason: "api has made no progress for 30m0s: prepare is still pending, the disk is full"},
		{name: "when its time is over, and the server has just been there for long enough", now: after(30), up: after(29), reason: "api has made no progress for 30m0s: prepare is still pending, the disk is full"},
		{name: "after no more than its time", now: after(90), up: after(90).Add(-time.Second), change: func(d *towpath.Deployment, _ *towpath.Step) {
			d.Components[0].Progress = time.Second
		}, reason: "api has made no progress for 1s: prepare is still pending, the disk is full"},
		{name: "what an agent works on", now: after(31), change: func(_ *towpath.Deployment, s *towpath.Step) {
			s.Phase, s.Message = towpath.OperationRunning, ""
		}, reason: "api has made no progress for 30m0s: prepare is still running"},
		{name: "what no agent has taken up", now: after(31), change: func(_ *towpath.Deployment, s *towpath.Step) {
			s.Began, s.Message = time.Time{}, ""
		}, reason: "api has made no progress for 30m0s: prepare is still pending, no agent has taken it up"},
		{name: "not what waits for an agent that does others", now: after(31), change: func(d *towpath.Deployment, s *towpath.Step) {
			s.Began = time.Time{}
			d.Components = append(d.Components, towpath.Rollout{Component: "web", Action: towpath.ActionReplace, From: "old", To: "new", Steps: []towpath.Step{
				{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded, Issued: noon, Began: noon, Ended: after(10)},
				{Verb: towpath.VerbVerifyBefore, Phase: towpath.OperationUnknown, Issued: after(10), Began: after(10)},
			}})
		}, again: after(40)},
		{name: "also while a person pauses it", now: after(31), change: func(d *towpath.Deployment, _ *towpath.Step) {
			d.Paused = &towpath.Pause{By: "ana", Reason: "lunch"}
		}, reason: "api has made no progress for 30m0s: prepare is still pending, the disk is full"},
		{name: "while it switches", now: after(31), change: func(d *towpath.Deployment, s *towpath.Step) {
			d.Phase = towpath.DeploymentSwitching
			s.Verb = towpath.VerbSwitch
		}, reason: "api has made no progress for 30m0s: switch is still pending, the disk is full"},
		{name: "never on the way back", now: after(3000), change: func(d *towpath.Deployment, s *towpath.Step) {
			d.Phase = towpath.DeploymentReverting
			s.Verb = towpath.VerbRestore
		}},
		{name: "never while it retires", now: after(3000), change: func(d *towpath.Deployment, s *towpath.Step) {
			d.Phase = towpath.DeploymentRetiring
			s.Verb = towpath.VerbRetire
		}},
		{name: "never in a rollback", now: after(3000), change: func(d *towpath.Deployment, _ *towpath.Step) { d.Kind = towpath.DeploymentRollback }},
		{name: "never what waits for a person", now: after(3000), change: func(_ *towpath.Deployment, s *towpath.Step) { s.Phase = towpath.OperationUnknown }},
		{name: "never a deployment from before there was such a time", now: after(3000), change: func(d *towpath.Deployment, _ *towpath.Step) {
			d.Components[0].Progress = 0
		}},
		{name: "never a step of which nobody knows when it was issued", now: after(3000), change: func(_ *towpath.Deployment, s *towpath.Step) {
			s.Issued = time.Time{}
		}},
		{name: "a repair, which has no other step", now: after(31), change: func(d *towpath.Deployment, s *towpath.Step) {
			d.Kind, s.Verb = towpath.DeploymentRepair, towpath.VerbRepair
		}, reason: "api has made no progress for 30m0s: repair is still pending, the disk is full"},
		{name: "what failed says so itself", now: after(31), change: func(_ *towpath.Deployment, s *towpath.Step) {
			s.Phase, s.Message = towpath.OperationFailed, "it exited"
		}, reason: "prepare of api failed: it exited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, step := working()
			if tt.change != nil {
				tt.change(d, step)
			}
			dec := Next(d, Seen{Now: tt.now, Up: tt.up})
			if dec.Reason != tt.reason || (dec.Trigger == towpath.TriggerStepFail) != (tt.reason != "") {
				t.Errorf("%q: %q", dec.Trigger, dec.Reason)
			}
			if !dec.Again.Equal(tt.again) {
				t.Errorf("it is decided again at %s, want %s", dec.Again, tt.again)
			}
		})
	}
}

// A step of a canary takes as long as it is to, and waits for evidence and for
// people: nothing is under way then.
func TestNext_AWaitIsNoLackOfProgress(t *testing.T) {
	for name, steps := range map[string][]towpath.RolloutStep{
		"for its time":             {{Weight: 5, For: 24 * time.Hour}},
		"for a person":             {{Weight: 5, Manual: true}},
		"for a judgement, overdue": {{Weight: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			d, c := at(0, 5)
			c.Spec.Steps = steps
			r := &d.Components[0]
			r.Progress = time.Minute
			for i := range r.Steps {
				r.Steps[i].Issued, r.Steps[i].Began, r.Steps[i].Ended = noon, noon, noon
			}
			if dec := Next(d, Seen{Now: noon.Add(20 * time.Hour)}); dec.Trigger != "" || dec.Waiting == "" {
				t.Errorf("%+v", dec)
			}
		})
	}
}

func TestUnread(t *testing.T) {
	const why = "release r can't be read: the bucket is away"
	after := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	prepared := func(d *towpath.Deployment) *towpath.Rollout {
		r := &d.Components[0]
		r.Steps[0].Phase, r.Scales, r.Timeout = towpath.OperationSucceeded, allAtOnce(), 5*time.Minute
		d.Phase = towpath.DeploymentSwitching
		return r
	}
	for _, tt := range []struct {
		name   string
		now    time.Time
		change func(d *towpath.Deployment)
		reason string    // why it goes back; empty: it waits
		again  time.Time // when it would
	}{
		{name: "not before the time for progress is over", now: after(29), again: after(30)},
		{name: "when that is over", now: after(30), reason: "api has made no progress for 30m0s: verify-before could not begin, " + why},
		{name: "sooner when it was stopped and nobody answers", now: after(5), change: func(d *towpath.Deployment) { prepared(d) },
			reason: "api has made no progress for 5m0s: verify-before could not begin, " + why},
		{name: "but has the time of one try then", now: after(4), change: func(d *towpath.Deployment) { prepared(d) }, again: after(5)},
		{name: "never later for having stopped", now: after(30), change: func(d *towpath.Deployment) { prepared(d).Timeout = time.Hour },
			reason: "api has made no progress for 30m0s: verify-before could not begin, " + why},
		{name: "not sooner once the new one has the traffic", now: after(29), change: func(d *towpath.Deployment) {
			r := prepared(d)
			r.Steps = append(r.Steps, towpath.Step{Verb: towpath.VerbSwitch, Phase: towpath.OperationSucceeded})
		}, again: after(30)},
		{name: "not while somebody else has issued it", now: after(3000), change: func(d *towpath.Deployment) { d.Components[0].Steps[0].Phase = towpath.OperationPending }},
		{name: "never in a rollback", now: after(3000), change: func(d *towpath.Deployment) { d.Kind = towpath.DeploymentRollback }},
		{name: "never while it retires", now: after(3000), change: func(d *towpath.Deployment) { d.Phase = towpath.DeploymentRetiring }},
		{name: "never a deployment from before there was such a time", now: after(3000), change: func(d *towpath.Deployment) { d.Components[0].Progress = 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, step := working()
			step.Phase = towpath.OperationSucceeded
			if tt.change != nil {
				tt.change(d)
			}
			dec := Unread(d, []Issue{{Component: "api", Verb: towpath.VerbVerifyBefore, Revision: "new"}}, why, noon, tt.now)
			if dec.Reason != tt.reason || (dec.Trigger == towpath.TriggerStepFail) != (tt.reason != "") || (dec.Waiting == why) != (tt.reason == "") {
				t.Errorf("%+v", dec)
			}
			if !dec.Again.Equal(tt.again) {
				t.Errorf("it is decided again at %s, want %s", dec.Again, tt.again)
			}
		})
	}
}

// What was withdrawn before an agent took it up has had no effect: it needs
// nobody to be gone back from.
func TestNext_GoesBackAtOnceFromWhatNobodyBegan(t *testing.T) {
	d, step := working()
	d.Phase, step.Phase = towpath.DeploymentReverting, towpath.OperationCancelled
	if dec := Next(d, Seen{Now: noon}); len(dec.Issue) != 1 || dec.Issue[0].Verb != towpath.VerbRestore {
		t.Errorf("an agent had begun, and going back is %+v", dec)
	}
	step.Began = time.Time{}
	if dec := Next(d, Seen{Now: noon}); dec.Trigger != towpath.TriggerReverted {
		t.Errorf("nobody had begun, and going back is %+v", dec)
	}
}

func TestRepair_HasTheTimeOfItsSteps(t *testing.T) {
	content, env := release("r", "", "api:")
	content.Components[0].Rollout.Timeout = 20 * time.Minute
	got := Repair(content, env, []Running{{Component: "api", Revision: "r"}}, []towpath.ComponentName{"api"})
	if len(got) != 1 || got[0].Progress != 160*time.Minute {
		t.Errorf("%+v", got)
	}
	content.Components[0].Rollout.Progress = time.Hour
	if r := New(content, env, nil, nil)[0]; r.Progress != time.Hour {
		t.Errorf("%+v", r)
	}
}
