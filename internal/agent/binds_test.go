package agent_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// ofARevision are the verbs that are about a revision, of a deployment that is no
// repair.
var ofARevision = []towpath.Verb{
	towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbShift, towpath.VerbSwitch, towpath.VerbVerifyAfter, towpath.VerbRetire, towpath.VerbRestore,
}

// noFiles is the archive of an empty layer.
var noFiles = make([]byte, 1024)

// TestAgent_BindsWhatItRuns: whoever stands between, in the database or on the
// network, has no key of the ledger. An authorisation that is good then runs other
// files, other settings and their jobs by no verb, under the name of what ran here.
func TestAgent_BindsWhatItRuns(t *testing.T) {
	for what, change := range map[string]func(*towpath.OperationSpec){
		"settings": func(s *towpath.OperationSpec) {
			s.Rendered = json.RawMessage(`{"command":["/bin/sh","-c","evil"],"verify":{"before":[{"name":"x","command":["/bin/sh","-c","evil"]}]}}`)
		},
		"files":       func(s *towpath.OperationSpec) { s.Layer = towpath.DigestOf(noFiles) },
		"no revision": func(s *towpath.OperationSpec) { s.Revision = "" },
	} {
		for _, of := range []towpath.DeploymentKind{towpath.DeploymentPromotion, towpath.DeploymentRollback} {
			t.Run("refuses other "+what+" in a "+string(of), func(t *testing.T) {
				onBench(t, func(t *testing.T, b *bench) {
					b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
					b.srv.result(t, "op_1")
					b.srv.add(t, b.op("op_2", towpath.VerbSwitch))
					b.srv.result(t, "op_2")
					b.srv.locked(func() { b.srv.blobs[towpath.DigestOf(noFiles)] = noFiles })
					for _, verb := range ofARevision {
						op := b.op("op_3_"+string(verb), verb)
						op.Deployment = "dep_9"
						op.Spec.Authorisation = b.srv.authorise(t, agentrpc.Authorisation{
							Kind: of, Project: "shop", Environment: "dev", Deployment: "dep_9", Release: op.Spec.Release,
						})
						change(&op.Spec)
						b.srv.add(t, op)
						if r := b.srv.result(t, op.ID); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "not those of its revision") {
							t.Errorf("%s: %+v", verb, r)
						}
					}
					if did := b.runner.steps(); len(did) != 2 {
						t.Errorf("did %q", did)
					}
				})
			})
		}
	}
}

// TestAgent_BindsWhatIsSaidTwice: settings whose canonical form is that of the revision
// may say more, which a runner must not read.
func TestAgent_BindsWhatIsSaidTwice(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		var got string
		b.runner.do = func(_ context.Context, w kind.Work) error {
			got = string(w.Operation.Spec.Rendered)
			return nil
		}
		op := b.op("op_1", towpath.VerbPrepare)
		op.Spec.Rendered = json.RawMessage(`{"env":{"A":"1"}}`)
		op.Spec.Revision = towpath.RevisionOf(op.Spec.Kind, "", op.Spec.Rendered)
		op.Spec.Rendered = json.RawMessage(`{"env":{"LD_PRELOAD":"evil"},"env":{"A":"1"}}`)
		b.srv.add(t, op)
		if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || got != `{"env":{"A":"1"}}` {
			t.Errorf("got %+v with the settings %s", r, got)
		}
	})
}

// TestAgent_ChecksWhatItDidNotPrepare: what acts on a revision is about one that this
// agent has checked, or it is checked then: an agent that was upgraded half way knows
// nothing of what it prepared before.
func TestAgent_ChecksWhatItDidNotPrepare(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		var asked []string
		b.srv.add(t, b.op("op_1", towpath.VerbPrepare)) // of the deployment dep_1
		b.srv.result(t, "op_1")
		other := b.op("op_2", towpath.VerbPrepare) // of another target
		other.Target.Component, other.Spec = "web", listening(other.Spec, "elsewhere")
		b.srv.add(t, other)
		b.srv.result(t, "op_2")
		b.stop()
		b.released = refusing{&asked}
		b.start()
		for _, verb := range ofARevision {
			for name, op := range map[string]towpath.Operation{
				"new":     {Deployment: "dep_1", Spec: listening(b.op("", verb).Spec, "elsewhere")},
				"another": {Deployment: "dep_2", Spec: b.op("", verb).Spec},
			} {
				op.ID, op.Verb, op.Target = towpath.OperationID("op_3_"+name+"_"+string(verb)), verb, b.op("", verb).Target
				b.srv.add(t, op)
				if r := b.srv.result(t, op.ID); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "a test") {
					t.Errorf("%s of a revision that it did not prepare in its deployment: %+v", verb, r)
				}
			}
		}
		if len(asked) != 2*len(ofARevision) || len(b.runner.steps()) != 2 {
			t.Errorf("asked for %q, did %q", asked, b.runner.steps())
		}
		before := len(asked)
		for _, verb := range []towpath.Verb{towpath.VerbVerifyBefore, towpath.VerbShift, towpath.VerbSwitch, towpath.VerbVerifyAfter, towpath.VerbRetire} {
			op := b.op("op_4_"+string(verb), verb)
			b.srv.add(t, op)
			if r := b.srv.result(t, op.ID); r.Status != towpath.ResultDone {
				t.Errorf("%s of what was prepared: %+v", verb, r)
			}
		}
		if len(asked) != before {
			t.Errorf("asked again for %q", asked[before:])
		}
	})
	t.Run("what was removed is not prepared", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			for i, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbRemove} {
				op := b.op("op_"+string(verb), verb)
				b.srv.add(t, op)
				if r := b.srv.result(t, op.ID); r.Status != towpath.ResultDone {
					t.Errorf("%d: %+v", i, r)
				}
			}
			b.stop()
			var asked []string
			b.released = refusing{&asked}
			b.start()
			b.srv.add(t, b.op("op_3", towpath.VerbVerifyBefore))
			if r := b.srv.result(t, "op_3"); r.Status != towpath.ResultFailed || !slices.Equal(asked, []string{"verify-before"}) {
				t.Errorf("%+v, asked for %q", r, asked)
			}
		})
	})
}

// TestAgent_KeepsTheSpec: what an agent is at work on was checked as it was; a later
// claim brings no other spec.
func TestAgent_KeepsTheSpec(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		var got []string
		begun := make(chan struct{}, 2)
		b.runner.do = func(ctx context.Context, w kind.Work) error {
			got = append(got, string(w.Operation.Spec.Rendered))
			begun <- struct{}{}
			return untilCancelled(ctx, w)
		}
		b.runner.recover = func(kind.Work) (kind.Recovery, error) { return kind.RecoveredNotStarted, nil }
		op := b.op("op_1", towpath.VerbPrepare)
		op.Spec = listening(op.Spec, "here")
		b.srv.add(t, op)
		<-begun
		synctest.Wait()
		b.stop()        // in the middle of it
		synctest.Wait() // until the server has heard so: what it was asked for by then, nobody takes
		b.srv.locked(func() {
			for _, op := range b.srv.ops {
				op.Spec = listening(op.Spec, "elsewhere")
				op.SpecDigest = digestOf(t, op.Spec)
				op.Phase = towpath.OperationPending // its lease ran out
			}
		})
		b.start()
		if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "it was given it before with the spec") {
			t.Errorf("got %+v", r)
		}
		b.stop()
		if len(got) != 2 {
			t.Errorf("began %d times", len(got))
		}
		for _, settings := range got {
			if !strings.Contains(settings, "here") {
				t.Errorf("worked on %s", settings)
			}
		}
	})
}

// TestAgent_OperationIDs: folders are named after operations, so an ID leads nowhere.
func TestAgent_OperationIDs(t *testing.T) {
	onBench(t, func(t *testing.T, b *bench) {
		precious := filepath.Join(b.dir, "victim", "precious")
		if err := os.MkdirAll(precious, 0o700); err != nil {
			t.Fatal(err)
		}
		op := b.op("op_1", towpath.VerbSwitch)
		op.Spec.Layer, op.Spec.Size = towpath.DigestOf(noFiles), int64(len(noFiles))
		op.Spec = listening(op.Spec, "here")
		b.srv.locked(func() { b.srv.blobs[op.Spec.Layer] = noFiles })
		b.srv.add(t, op)
		if r := b.srv.result(t, op.ID); r.Status != towpath.ResultDone {
			t.Fatalf("got %+v", r)
		}
		for _, id := range []towpath.OperationID{"/../../../victim", "op.1", "op 1", ".."} {
			op.ID, op.Verb = id, towpath.VerbRepair
			b.srv.add(t, op)
			if r := b.srv.result(t, id); r.Status != towpath.ResultFailed || !strings.Contains(r.Message, "its ID has other characters") {
				t.Errorf("%q: %+v", id, r)
			}
		}
		if _, err := os.Stat(precious); err != nil || len(b.runner.steps()) != 1 {
			t.Errorf("%v, did %q", err, b.runner.steps())
		}
	})
}
