package run_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// hand drives a world's runner by hand.
type hand struct {
	*world
	t     *testing.T
	r     *run.Runner
	fence int64
}

func newHand(t *testing.T) *hand {
	t.Helper()
	w := newWorld(t)
	return &hand{world: w, t: t, r: w.processes(t)}
}

func (h *hand) work(verb towpath.Verb, revision string) kind.Work {
	h.t.Helper()
	h.fence++
	spec, files := h.Spec(h.t, revision)
	id := towpath.OperationID("op_" + strconv.FormatInt(h.fence, 10))
	return kind.Work{
		Operation: towpath.Operation{ID: id, Target: h.Target(), Verb: verb, Fence: h.fence, Spec: spec},
		Files:     kind.Folder(files), Say: func(string) {},
	}
}

func (h *hand) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v; the logs: %s", err, h.logs())
	}
}

func (h *hand) up(revision string) {
	h.t.Helper()
	h.must(h.r.Prepare(h.t.Context(), h.work(towpath.VerbPrepare, revision)))
	h.must(h.r.Switch(h.t.Context(), h.work(towpath.VerbSwitch, revision)))
}

func (h *hand) observed() towpath.Observation {
	h.t.Helper()
	all, err := h.r.Observe(h.t.Context())
	h.must(err)
	if len(all) != 1 {
		h.t.Fatalf("observed %+v, want one target", all)
	}
	return all[0]
}

func (h *hand) url() string { return "http://" + h.observed().Address }

// glob lists files of the runner's folder.
func (h *hand) glob(pattern string) []string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "run", pattern))
	h.must(err)
	return found
}

func (h *hand) logs() string {
	var all string
	for _, p := range h.glob("instances/*/*.log") {
		b, _ := os.ReadFile(p)
		all += fmt.Sprintf("\n%s:\n%s", p, b)
	}
	return all
}

// eventually waits for the world, which says nothing by itself.
func (h *hand) eventually(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			h.t.Fatalf("waited in vain until %s%s", what, h.logs())
		}
	}
}

var (
	one   = kindtest.One
	two   = kindtest.Two
	crash = kindtest.Crash
)
