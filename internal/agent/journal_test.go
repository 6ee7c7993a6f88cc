package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

func clock() time.Time { return time.Date(2026, 11, 20, 22, 30, 0, 0, time.UTC) }

func mustOpen(t interface{ Fatal(...any) }, path string) *journal {
	j, err := openJournal(blob.OS{}, path, clock)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func testOp(n int, component string, fence int64, verb towpath.Verb) towpath.Operation {
	rev := towpath.RevisionID(fmt.Sprintf("rev_%d", n))
	return towpath.Operation{
		ID: towpath.OperationID(fmt.Sprintf("op_%d", n)), Fence: fence, Verb: verb,
		Target: towpath.Target{Project: "shop", Environment: "dev", Component: towpath.ComponentName(component), Place: "local", Slot: "main"},
		Spec:   towpath.OperationSpec{Kind: towpath.KindProcess, Revision: rev, Layer: towpath.DigestOf([]byte(rev))},
	}
}

func must(t interface{ Fatal(...any) }, errs ...error) {
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestJournal(t *testing.T) {
	accept := func(t *testing.T, j *journal, op towpath.Operation) assignment {
		t.Helper()
		as, _, err := j.accept(op)
		must(t, err)
		return as
	}
	t.Run("remembers everything that was acknowledged", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal")
		j := mustOpen(t, path)
		for i, verb := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch, towpath.VerbRetire} {
			op := testOp(i, "api", int64(i+1), verb)
			accept(t, j, op)
			must(t, j.intent(op.ID), j.effect(op.ID), j.done(op.ID, op.Fence, towpath.OperationResult{Status: towpath.ResultDone}))
		}
		must(t, j.reported("op_0", "accepted"))
		accept(t, j, testOp(9, "web", 5, towpath.VerbPrepare))
		j.close()
		back := mustOpen(t, path)
		if !reflect.DeepEqual(back.state, j.state) {
			t.Errorf("got %+v, want %+v", back.state, j.state)
		}
		if target := testOp(1, "api", 0, "").Target; !back.switched(target, "rev_1") || back.switched(target, "rev_0") {
			t.Error("does not know which revision had the traffic")
		}
		s := back.summary()
		if len(s.Fences) != 2 || s.Fences[0].Fence != 3 || s.Fences[1].Fence != 5 || len(s.Unfinished) != 3 || s.Unfinished[2].Phase != agentrpc.JournalAccepted {
			t.Errorf("tells the server %+v", s)
		}
	})
	t.Run("refuses a fence that is not higher, and knows the claim that it has", func(t *testing.T) {
		j := mustOpen(t, filepath.Join(t.TempDir(), "journal"))
		accept(t, j, testOp(1, "api", 5, towpath.VerbPrepare))
		if _, fresh, err := j.accept(testOp(1, "api", 5, towpath.VerbPrepare)); fresh || err != nil {
			t.Errorf("the same claim again: fresh %v, %v", fresh, err)
		}
		for _, fence := range []int64{4, 5} {
			if _, _, err := j.accept(testOp(2, "api", fence, towpath.VerbPrepare)); towpath.KindOf(err) != towpath.KindLocked {
				t.Errorf("fence %d: %v", fence, err)
			}
		}
		if as, fresh, err := j.accept(testOp(1, "api", 6, towpath.VerbPrepare)); fresh || err != nil || as.Run != 1 {
			t.Errorf("a new claim of what is open: %+v %v %v", as, fresh, err)
		}
	})
	t.Run("keeps an error of the claim that had it only, and that something was done for any", func(t *testing.T) {
		j := mustOpen(t, filepath.Join(t.TempDir(), "journal"))
		accept(t, j, testOp(1, "api", 5, towpath.VerbPrepare))
		must(t, j.intent("op_1"))
		accept(t, j, testOp(1, "api", 6, towpath.VerbPrepare))
		must(t, j.done("op_1", 5, towpath.OperationResult{Status: towpath.ResultError}))
		if as, _ := j.find("op_1"); as.Phase != agentrpc.JournalIntent {
			t.Errorf("the earlier claim's error is kept: %+v", as)
		}
		must(t, j.done("op_1", 5, towpath.OperationResult{Status: towpath.ResultDone}))
		if as, _ := j.find("op_1"); as.Phase != agentrpc.JournalDone {
			t.Errorf("what was done is not kept: %+v", as)
		}
	})
	t.Run("stays small however much it has seen", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal")
		j := mustOpen(t, path)
		for i := range 600 {
			op := testOp(i, "api", int64(i+1), towpath.VerbSwitch)
			op.Spec.Rendered = bytes.Repeat([]byte("1"), 4000)
			accept(t, j, op)
			must(t, j.effect(op.ID), j.reported(op.ID, "accepted"))
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Size() > 2*compactFrom {
			t.Errorf("%d bytes, %v", fi.Size(), err)
		}
		if n := len(j.state.target(testOp(0, "api", 0, "").Target).Switched); n != maxSwitched {
			t.Errorf("remembers %d revisions", n)
		}
		if b := mustOpen(t, path); !reflect.DeepEqual(b.state, j.state) {
			t.Error("a journal that was compacted says something else")
		}
	})
	t.Run("drops a last line that a crash tore, wherever it was torn", func(t *testing.T) {
		dir := t.TempDir()
		j := mustOpen(t, filepath.Join(dir, "whole"))
		accept(t, j, testOp(1, "api", 1, towpath.VerbPrepare))
		keep := j.size
		must(t, j.intent("op_1"))
		j.close()
		b, err := os.ReadFile(filepath.Join(dir, "whole"))
		must(t, err)
		for cut := keep; cut < int64(len(b)); cut++ {
			path := filepath.Join(dir, "torn")
			must(t, os.WriteFile(path, b[:cut], 0o600))
			torn := mustOpen(t, path)
			if as, ok := torn.find("op_1"); !ok || as.Phase != agentrpc.JournalAccepted {
				t.Fatalf("cut at byte %d: %+v", cut, as)
			}
			must(t, torn.intent("op_1"))
			torn.close()
			if as, _ := mustOpen(t, path).find("op_1"); as.Phase != agentrpc.JournalIntent {
				t.Fatalf("cut at byte %d: what was written after it is lost", cut)
			}
		}
	})
	t.Run("does not open when anything before the last line is damaged", func(t *testing.T) {
		dir := t.TempDir()
		j := mustOpen(t, filepath.Join(dir, "whole"))
		accept(t, j, testOp(1, "api", 1, towpath.VerbPrepare))
		first := j.size
		must(t, j.intent("op_1"))
		j.close()
		b, err := os.ReadFile(filepath.Join(dir, "whole"))
		must(t, err)
		for i := range first - 1 {
			damaged := bytes.Clone(b)
			damaged[i] ^= 1
			must(t, os.WriteFile(filepath.Join(dir, "damaged"), damaged, 0o600))
			if _, err := openJournal(blob.OS{}, filepath.Join(dir, "damaged"), clock); towpath.KindOf(err) != towpath.KindInternal {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	})
}

// TestJournal_Properties: whatever is written, and wherever the journal is
// opened again, the fence of a target never falls and the state is the same.
func TestJournal_Properties(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(dir, "journal")
		must(rt, os.RemoveAll(path))
		j := mustOpen(rt, path)
		fences := map[string]int64{}
		verbs := []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch, towpath.VerbRetire, towpath.VerbRemove, towpath.VerbPlan}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			id := towpath.OperationID(fmt.Sprintf("op_%d", rapid.IntRange(0, 5).Draw(rt, "id")))
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				n := rapid.IntRange(0, 5).Draw(rt, "n")
				op := testOp(n, fmt.Sprintf("c%d", n%2), int64(rapid.IntRange(1, 20).Draw(rt, "fence")), rapid.SampledFrom(verbs).Draw(rt, "verb"))
				before := fences[op.Target.Key()]
				as, _, err := j.accept(op)
				if err == nil && as.Operation.Fence < before {
					rt.Fatalf("accepted fence %d after %d", op.Fence, before)
				}
				if err == nil {
					fences[op.Target.Key()] = max(before, op.Fence)
				}
			case 1:
				must(rt, j.intent(id))
			case 2:
				must(rt, j.effect(id))
			case 3:
				must(rt, j.done(id, 0, towpath.OperationResult{Status: towpath.ResultDone}))
			case 4:
				must(rt, j.reported(id, "accepted"))
			case 5:
				j.close()
				again := mustOpen(rt, path)
				if !reflect.DeepEqual(again.summary(), j.summary()) || !reflect.DeepEqual(again.state.lines(), j.state.lines()) {
					rt.Fatalf("opened again it says %+v, before %+v", again.state, j.state)
				}
				j = again
			}
		}
		j.close()
	})
}
