package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_Results(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(context.Context, kind.Work) error
		status towpath.ResultStatus
		says   string
	}{
		{"a step that succeeds is done", nil, towpath.ResultDone, ""},
		{"a bad release has failed", func(context.Context, kind.Work) error { return &kind.Failure{Message: "it crashed"} }, towpath.ResultFailed, "it crashed"},
		{"a step over its time has failed", untilCancelled, towpath.ResultFailed, "prepare did not end within 1h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				b.runner.do = c.do
				b.srv.locked(func() { b.srv.lease = 3 * time.Hour })
				b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
				time.Sleep(90 * time.Minute)
				if r := b.srv.result(t, "op_1"); r.Status != c.status || r.Message != c.says {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
	t.Run("an error of the place is tried again and fails nothing", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			tries := 0
			b.runner.do = func(context.Context, kind.Work) error {
				if tries++; tries < 4 {
					return errors.New("the disk is full")
				}
				return nil
			}
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || b.srv.errors != 3 {
				t.Errorf("got %+v after %d errors", r, b.srv.errors)
			}
		})
	})
	t.Run("a plan needs no authorisation and carries its changes; unknown kinds and verbs have failed", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			plan := b.op("op_1", towpath.VerbPlan)
			plan.Spec.Authorisation = "none"
			b.srv.add(t, plan)
			odd := b.op("op_2", "explode")
			odd.Target.Component = "odd"
			b.srv.add(t, odd)
			other := b.op("op_3", towpath.VerbPrepare)
			other.Target.Component, other.Spec.Kind = "other", "kubernetes"
			b.srv.add(t, other)
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || r.Plan == nil || r.Plan.Component != "api" {
				t.Errorf("plan: %+v", r)
			}
			for _, id := range []towpath.OperationID{"op_2", "op_3"} {
				if r := b.srv.result(t, id); r.Status != towpath.ResultFailed {
					t.Errorf("%s: %+v", id, r)
				}
			}
		})
	})
}
