package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// noFiles are those of a revision whose files can't be had.
func noFiles(context.Context) (string, error) {
	return "", errors.New("the place of the layers is down")
}

// folders are where the processes of a revision run, by their instances' order on disk.
func (h *hand) folders(revision string) []string {
	h.t.Helper()
	spec, _ := h.Spec(h.t, revision)
	var out []string
	for _, r := range h.records() {
		if r.Revision == spec.Revision {
			dir, err := os.Readlink("/proc/" + strconv.Itoa(r.PID) + "/cwd")
			h.must(err)
			out = append(out, dir)
		}
	}
	return out
}

// TestRunner_Files: files are asked for where something is to start from them, and a
// revision runs from one folder.
func TestRunner_Files(t *testing.T) {
	t.Run("are not waited for by what goes back to what runs", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		back := h.work(towpath.VerbRestore, one)
		back.Files = noFiles
		h.must(h.r.Prepare(t.Context(), back))
		h.must(h.r.Switch(t.Context(), back))
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q has the traffic", got)
		}
	})
	t.Run("are had before anything is changed, while what runs is kept", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		w := h.work(towpath.VerbPrepare, two)
		w.Files = noFiles
		if err := h.r.Prepare(t.Context(), w); err == nil || len(h.records()) != 1 {
			t.Errorf("%v, and %+v run", err, h.records())
		}
		asked := 0
		w.Files = func(context.Context) (string, error) {
			if asked++; asked == 1 {
				h.Kill(t, one)
				h.eventually("it serves again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == one })
			}
			return h.files, nil
		}
		h.must(h.r.Prepare(t.Context(), w))
		if asked == 0 {
			t.Error("two runs, and nobody asked for its files")
		}
	})
	t.Run("are asked for anew when nothing of the revision runs, and it has those from then on", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Instances = 2 }
		h.up(one)
		fresh := filepath.Join(h.dir, "fresh")
		h.must(os.Mkdir(fresh, 0o755))
		w := h.work(towpath.VerbRestore, one)
		w.Files = kind.Folder(fresh)

		h.loseOne(one)
		h.must(h.r.Prepare(t.Context(), w)) // beside one that runs from the other folder
		if got := h.folders(one); len(got) != 2 || got[0] != h.files || got[1] != h.files {
			t.Errorf("they run from %q, want all from %s", got, h.files)
		}
		for _, r := range h.records() {
			h.must(syscall.Kill(r.Shim, syscall.SIGKILL))
			h.eventually("the instance is gone", func() bool { return gone(r.PID) && gone(r.Shim) })
		}
		w = h.work(towpath.VerbRestore, one)
		w.Files = kind.Folder(fresh)
		h.must(h.r.Prepare(t.Context(), w))
		if got := h.folders(one); len(got) != 2 || got[0] != fresh || got[1] != fresh {
			t.Errorf("they run from %q, want all from %s", got, fresh)
		}
		h.must(h.r.Switch(t.Context(), w))
		if got := h.observed().Folder; got != fresh {
			t.Errorf("compared are the files in %s", got)
		}
	})
}
