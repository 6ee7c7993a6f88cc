package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// layered is an operation whose revision has the files of an empty layer.
func (b *bench) layered(id string, verb towpath.Verb) towpath.Operation {
	op := b.op(id, verb)
	op.Spec.Layer, op.Spec.Size = towpath.DigestOf(noFiles), int64(len(noFiles))
	op.Spec.Revision = towpath.RevisionOf(op.Spec.Kind, op.Spec.Layer, nil)
	return op
}

// asksForFiles is a step that asks for its revision's files, and then ends with an error.
func asksForFiles(then error) func(ctx context.Context, w kind.Work) error {
	return func(ctx context.Context, w kind.Work) error {
		if _, err := w.Files(ctx); err != nil {
			return err
		}
		return then
	}
}

func TestAgent_Files(t *testing.T) {
	t.Run("are not fetched for what does not ask for them", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) { // whose server has no layer
			for _, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch, towpath.VerbRestore, towpath.VerbRetire} {
				op := b.layered("op_"+string(verb), verb)
				b.srv.add(t, op)
				if r := b.srv.result(t, op.ID); r.Status != towpath.ResultDone {
					t.Errorf("%s: %+v", verb, r)
				}
			}
			b.runner.do = asksForFiles(nil)
			b.srv.add(t, b.layered("op_again", towpath.VerbRestore))
			b.srv.wait(t, "the layer is missed", func() bool { return strings.Contains(b.srv.erred, "no such blob") })
		})
	})
	t.Run("are those of the release also where they only verify", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.srv.locked(func() { b.srv.blobs[towpath.DigestOf(noFiles)] = noFiles })
			given := map[towpath.Verb]string{}
			b.runner.do = func(ctx context.Context, w kind.Work) (err error) {
				given[w.Operation.Verb], err = w.Files(ctx)
				return err
			}
			for _, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter} {
				op := b.layered("op_"+string(verb), verb)
				b.srv.add(t, op)
				if r := b.srv.result(t, op.ID); r.Status != towpath.ResultDone {
					t.Fatalf("%s: %+v", verb, r)
				}
				script := filepath.Join(given[verb], "verify.sh")
				if _, err := os.Stat(script); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is given %s, which somebody edited: %v", verb, given[verb], err)
				}
				if err := errors.Join(os.Chmod(given[verb], 0o755), os.WriteFile(script, nil, 0o755)); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
	t.Run("of repairs that failed are not kept one and all", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.srv.locked(func() { b.srv.blobs[towpath.DigestOf(noFiles)] = noFiles })
			for _, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch} {
				op := b.layered("op_"+string(verb), verb)
				b.srv.add(t, op)
				b.srv.result(t, op.ID)
			}
			b.runner.do = asksForFiles(&kind.Failure{Message: "never healthy"})
			for _, id := range []string{"op_1", "op_2", "op_3"} {
				b.srv.add(t, b.layered(id, towpath.VerbRepair))
				if r := b.srv.result(t, towpath.OperationID(id)); r.Message != "never healthy" {
					t.Fatalf("%s: %+v", id, r)
				}
			}
			synctest.Wait()
			left, err := os.ReadDir(filepath.Join(b.dir, "agent", "files"))
			if err != nil || len(left) != 1 {
				t.Errorf("%v, %d copies are left, want the newest", err, len(left))
			}
		})
	})
}

// TestAgent_RetiresForAsLongAsItTakes: requests and processes may take longer to end than
// a step has time to become healthy.
func TestAgent_RetiresForAsLongAsItTakes(t *testing.T) {
	for verb, want := range map[towpath.Verb]towpath.ResultStatus{
		towpath.VerbRetire: towpath.ResultDone, towpath.VerbRemove: towpath.ResultDone, towpath.VerbPrepare: towpath.ResultFailed,
	} {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = func(ctx context.Context, _ kind.Work) error {
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-time.After(30 * time.Second):
					return nil
				}
			}
			op := b.op("op_1", verb)
			op.Spec.Timeout = 10 * time.Second
			b.srv.add(t, op)
			if r := b.srv.result(t, op.ID); r.Status != want {
				t.Errorf("%s: %+v, want %s", verb, r, want)
			}
			b.srv.locked(func() {
				if n := b.srv.fences[op.Target.Key()]; n != 1 { // its lease was renewed as often as the server says, from the first on
					t.Errorf("it was given out %d times", n)
				}
			})
		})
	}
}

// TestAgent_RemovesRemainsFirst: what a crash has left of files may be what fills the disk
// that the journal is opened on.
func TestAgent_RemovesRemainsFirst(t *testing.T) {
	dir := t.TempDir()
	remains := filepath.Join(dir, "files", ".tmp-1")
	if err := errors.Join(os.MkdirAll(remains, 0o700), os.Mkdir(filepath.Join(dir, "journal"), 0o700)); err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{Dir: dir, Name: "test", Place: "local", Now: time.Now, Extract: extract, Released: believing{}},
		newServer(t).pipe(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); towpath.KindOf(err) != towpath.KindUnavailable {
		t.Errorf("run: %v, want that the journal can't be read", err)
	}
	if _, err := os.Stat(remains); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is left of an extraction: %v", err)
	}
}
