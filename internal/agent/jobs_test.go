//go:build !race

// What runs here are processes of their own, which the race detector does not see.

package agent_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// TestAgent_RunsTheJobsOfAStep: they ask the new revision whenever it has been
// given more of the traffic, and once copies of it have begun.
func TestAgent_RunsTheJobsOfAStep(t *testing.T) {
	h := newHost(t)
	h.start(t)
	step := func(verb towpath.Verb, rev, want string) towpath.Operation {
		op := h.op(t, verb, rev)
		var s process.Spec
		if err := json.Unmarshal(op.Spec.Rendered, &s); err != nil {
			t.Fatal(err)
		}
		s.Verify.Step = []process.Job{{Name: "says who it is", HTTP: &process.HTTPCheck{Path: "/", Contains: want}, Timeout: 10 * time.Second}}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		op.Spec.Rendered, op.Spec.Revision = b, towpath.RevisionOf(towpath.KindProcess, op.Spec.Layer, b)
		return op
	}
	done := func(op towpath.Operation) towpath.OperationResult {
		t.Helper()
		h.srv.add(t, op)
		return h.srv.result(t, op.ID)
	}
	old := step(towpath.VerbPrepare, kindtest.One, kindtest.One)
	for _, op := range []towpath.Operation{old, step(towpath.VerbSwitch, kindtest.One, kindtest.One)} {
		if r := done(op); r.Status != towpath.ResultDone {
			t.Fatalf("%s: %+v", op.Verb, r)
		}
	}
	for _, c := range []struct {
		name   string
		copies *towpath.TrafficCopies
		weight int
		want   string
		passes bool
	}{
		{"with copies, of which nothing is wrong", &towpath.TrafficCopies{Percent: 50}, 0, kindtest.Two, true},
		{"with copies, of which something is", &towpath.TrafficCopies{Percent: 50}, 0, "somebody else", false},
		{"with a share, of which nothing is wrong", nil, 20, kindtest.Two, true},
		{"with a share, of which something is", nil, 20, "somebody else", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := done(step(towpath.VerbPrepare, kindtest.Two, c.want)); r.Status != towpath.ResultDone {
				t.Fatalf("it is not prepared: %+v", r)
			}
			shift := step(towpath.VerbShift, kindtest.Two, c.want)
			shift.Spec.Previous, shift.Spec.Weight, shift.Spec.Copies = old.Spec.Revision, c.weight, c.copies
			r := done(shift)
			if passed := r.Status == towpath.ResultDone; passed != c.passes {
				t.Errorf("the step is %+v, want passed %t", r, c.passes)
			}
			if !c.passes && (r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "the verification job says who it is")) {
				t.Errorf("the step is %+v, want the job's failure", r)
			}
		})
	}
}
