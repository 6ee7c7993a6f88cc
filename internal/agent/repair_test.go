package agent_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// TestAgent_AuthorisesRepairs: nobody approved a repair, so it may bring back
// what the agent itself last gave the traffic, and nothing else.
func TestAgent_AuthorisesRepairs(t *testing.T) {
	spec := func(b *bench, at string) towpath.OperationSpec { return listening(b.op("", "").Spec, at) }
	for name, c := range map[string]struct {
		change func(b *bench, a *agentrpc.Authorisation, op *towpath.Operation)
		says   string // "" is obeyed
	}{
		"repairs what runs": {func(*bench, *agentrpc.Authorisation, *towpath.Operation) {}, ""},
		"refuses what ran before": {func(b *bench, _ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec = spec(b, "first")
		}, "not what was last switched to here"},
		"refuses what never ran": {func(b *bench, _ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec = spec(b, "never")
		}, "not what was last switched to here"},
		"refuses other settings under the name of what runs": {func(_ *bench, _ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec.Rendered = json.RawMessage(`{"listen":"elsewhere"}`)
		}, "not those of its revision"},
		"refuses other files under the name of what runs": {func(_ *bench, _ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec.Layer = towpath.DigestOf([]byte("others"))
		}, "not those of its revision"},
		"refuses a repair that was authorised as something else": {func(_ *bench, a *agentrpc.Authorisation, _ *towpath.Operation) {
			a.Kind = towpath.DeploymentPromotion
		}, "has no step repair"},
		"refuses anything else that was authorised as a repair": {func(_ *bench, _ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Verb = towpath.VerbRemove
		}, "has no step remove"},
		"refuses another release": {func(_ *bench, a *agentrpc.Authorisation, _ *towpath.Operation) {
			a.Release = towpath.DigestOf([]byte("another"))
		}, "for release"},
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				for _, listen := range []string{"first", "second"} {
					before := b.op("op_"+listen, towpath.VerbSwitch)
					before.Spec = spec(b, listen)
					b.srv.add(t, before)
					b.srv.result(t, before.ID)
				}
				op := b.op("op_3", towpath.VerbRepair)
				op.Deployment, op.Spec = "dep_2", spec(b, "second")
				a := agentrpc.Authorisation{
					Kind: towpath.DeploymentRepair, Project: "shop", Environment: "dev", Deployment: "dep_2", Release: op.Spec.Release,
				}
				c.change(b, &a, &op)
				op.Spec.Authorisation = b.srv.authorise(t, a)
				b.srv.add(t, op)
				r := b.srv.result(t, "op_3")
				if c.says == "" && r.Status != towpath.ResultDone || c.says != "" && (r.Status != towpath.ResultFailed || !strings.Contains(r.Message, c.says)) {
					t.Errorf("got %+v, want it to say %q", r, c.says)
				}
			})
		})
	}
}
