package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_Authorisation(t *testing.T) {
	release, before := towpath.DigestOf([]byte("release")), towpath.DigestOf([]byte("before"))
	good := agentrpc.Authorisation{
		Kind: towpath.DeploymentPromotion, Project: "shop", Environment: "dev", Deployment: "dep_1", Release: release, Previous: before,
	}
	for _, c := range []struct {
		name   string
		verb   towpath.Verb
		change func(*agentrpc.Authorisation, *towpath.Operation)
		says   string // "" is obeyed
	}{
		{"obeys what was approved", towpath.VerbSwitch, nil, ""},
		{"refuses what carries none", towpath.VerbSwitch, func(_ *agentrpc.Authorisation, op *towpath.Operation) { op.Spec.Authorisation = "x" }, "not a signed note"},
		{"refuses another release", towpath.VerbSwitch, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Release = before }, "for release"},
		{"refuses another environment", towpath.VerbSwitch, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Environment = "prod" }, "for shop/prod"},
		{"refuses another project", towpath.VerbSwitch, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Project = "bank" }, "for bank/dev"},
		{"refuses another deployment", towpath.VerbSwitch, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Deployment = "dep_2" }, "for deployment dep_2"},
		{"refuses an unknown kind", towpath.VerbSwitch, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Kind = "whim" }, "unknown kind"},
		{"refuses removing in another environment", towpath.VerbRemove, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Environment = "prod" }, "for shop/prod"},
		{"goes back to the release before, as the approval says", towpath.VerbRestore, func(_ *agentrpc.Authorisation, op *towpath.Operation) { op.Spec.Release = before }, ""},
		{"goes back to what the release before had not changed, as the approval says", towpath.VerbRestore, func(a *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec.Release = towpath.DigestOf([]byte("earlier"))
			a.Earlier = []towpath.Digest{op.Spec.Release}
		}, ""},
		{"goes back to no other release", towpath.VerbRestore, func(_ *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec.Release = towpath.DigestOf([]byte("earlier"))
		}, "for release"},
		{"switches forward to nothing that ran before", towpath.VerbSwitch, func(a *agentrpc.Authorisation, op *towpath.Operation) {
			op.Spec.Release = towpath.DigestOf([]byte("earlier"))
			a.Earlier = []towpath.Digest{op.Spec.Release}
		}, "for release"},
		{"switches forward to nothing but the release", towpath.VerbSwitch, func(_ *agentrpc.Authorisation, op *towpath.Operation) { op.Spec.Release = before }, "for release"},
		{"refuses a rollback that nobody approved to what never ran here", towpath.VerbPrepare, func(a *agentrpc.Authorisation, _ *towpath.Operation) { a.Kind = towpath.DeploymentRollback }, "never ran here"},
		{"obeys an approved rollback to what never ran here", towpath.VerbPrepare, func(a *agentrpc.Authorisation, _ *towpath.Operation) {
			a.Kind, a.Approvers = towpath.DeploymentRollback, []towpath.AccountName{"ana"}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				a, op := good, b.op("op_1", c.verb)
				op.Deployment = "dep_1"
				if c.change != nil {
					c.change(&a, &op)
				}
				if op.Spec.Authorisation == "" {
					op.Spec.Authorisation = b.srv.authorise(t, a)
				}
				b.srv.add(t, op)
				r := b.srv.result(t, "op_1")
				if c.says == "" && r.Status != towpath.ResultDone || c.says != "" && (r.Status != towpath.ResultFailed || !strings.Contains(r.Message, c.says)) {
					t.Errorf("got %+v, want it to say %q", r, c.says)
				}
				if did := len(b.runner.steps()); c.says != "" && did > 0 {
					t.Error("it was done all the same")
				}
			})
		})
	}
	t.Run("refuses an ID by which a folder elsewhere could be meant", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			op := b.op("op_/../../../elsewhere", towpath.VerbPrepare)
			b.srv.add(t, op)
			if r := b.srv.result(t, op.ID); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "its ID has other characters") || len(b.runner.steps()) > 0 {
				t.Errorf("got %+v", r)
			}
		})
	})
	t.Run("obeys a rollback without approval to what its journal knows", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.srv.add(t, b.op("op_1", towpath.VerbSwitch))
			b.srv.result(t, "op_1")
			b.stop()
			b.start()
			back := b.op("op_2", towpath.VerbPrepare)
			back.Deployment = "dep_2"
			back.Spec.Authorisation = b.srv.authorise(t, agentrpc.Authorisation{
				Kind: towpath.DeploymentRollback, Project: "shop", Environment: "dev", Deployment: "dep_2", Release: back.Spec.Release,
			})
			b.srv.add(t, back)
			if r := b.srv.result(t, "op_2"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
		})
	})
	t.Run("trusts the first server that it meets, and no other", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			b.srv.result(t, "op_1")
			b.stop()
			pub, err := os.ReadFile(filepath.Join(b.dir, "agent", "trust", "server.pub"))
			if err != nil || string(pub) != b.srv.key+"\n" {
				t.Fatalf("kept %q, %v", pub, err)
			}
			stranger := newServer(t)
			b.client, b.srv = stranger.pipe(t), stranger
			b.start()
			b.srv.add(t, b.op("op_9", towpath.VerbSwitch))
			time.Sleep(time.Minute)
			if got := b.runner.steps(); len(got) != 1 || len(b.srv.finishes) != 0 {
				t.Errorf("did %q for a stranger", got)
			}
		})
	})
}
