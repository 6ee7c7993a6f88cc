package server

import (
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_JudgesTheFirstShareWhileItIsGiven: users reach the new revision at the
// beginning of a step, and the agent ends that step when its verification jobs are
// done and what gives way has finished its requests. What is bad meanwhile goes back
// at once, and does not wait for that end.
func TestServer_JudgesTheFirstShareWhileItIsGiven(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hangs bool // the agent works on the step; otherwise it errs and tries again
		bad   func(c *counter)
		why   string
	}{
		{"when an instance breaks and the step is tried again", false, func(c *counter) {
			c.new.Broken = "instance 0 does not answer its health check: connection refused"
			c.tell()
		}, "the new revision of api is worse at 10 %: instance 0 does not answer its health check: connection refused"},
		{"when it answers worse while the step goes on", true, func(c *counter) { c.seconds(5, 15) }, "the new revision of api is worse at 10 %: errors: Error rate "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			newCanary(t, h)
			begun, end := make(chan struct{}), make(chan struct{})
			begin, ended := sync.OnceFunc(func() { close(begun) }), sync.OnceFunc(func() { close(end) })
			t.Cleanup(ended)
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				if op.Verb != towpath.VerbShift {
					return towpath.OperationResult{}
				}
				begin()
				if tt.hangs {
					<-end
					return towpath.OperationResult{}
				}
				return towpath.OperationResult{Status: towpath.ResultError, Message: "connection refused"}
			})
			h.publish("1.1.0", "two")
			<-begun
			r := h.status("dev").Deployment.Components[0]
			c := h.counter("api", &r)
			c.tell()
			c.seconds(3, 0)
			h.until("it is looked at", func() bool {
				j := h.status("dev").Deployment.Components[0].Canary.Judgement
				return j != nil && j.Intervals == 3
			})
			if d := h.status("dev").Deployment; d.Phase != towpath.DeploymentSwitching || d.Components[0].Weight() != 0 {
				t.Errorf("it is %s, and has %d %% for certain: %s", d.Phase, d.Components[0].Weight(), d.Reason)
			}
			tt.bad(c)
			h.until("it goes back", func() bool {
				st := h.status("dev")
				return st.Deployment == nil || st.Deployment.Phase == towpath.DeploymentReverting
			})
			ended()
			h.runs("dev", "1.0.0")
			if st := h.status("dev"); st.Hold == nil || !strings.Contains(st.Hold.Reason, tt.why) {
				t.Errorf("it is held by %+v", st.Hold)
			}
			d := h.deployed()
			shift, _ := d.Components[0].Find(towpath.VerbShift)
			if restore, _ := d.Components[0].Find(towpath.VerbRestore); shift.Phase != towpath.OperationCancelled || restore.Phase != towpath.OperationSucceeded {
				t.Errorf("the step is %s, and going back %s", shift.Phase, restore.Phase)
			}
			if d.Recovery == nil || !d.Recovery.Sign.Before(d.Recovery.Detected) {
				t.Errorf("its recovery is %+v", d.Recovery)
			}
		})
	}
}
