package run_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/router"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

func TestRunner(t *testing.T) {
	kindtest.Runners(t, func(t *testing.T) kindtest.World { return newWorld(t) })
}

func TestRunner_Shifts(t *testing.T) {
	kindtest.Shifters(t, func(t *testing.T) kindtest.World { return newWorld(t) })
}

func TestRunner_Repairs(t *testing.T) {
	kindtest.Repairers(t, func(t *testing.T) kindtest.World { return newWorld(t) })
}

// world is a place for processes in a folder of the test's.
type world struct {
	dir    string
	files  string
	starts string
	change func(*process.Spec) // of every spec
	now    func() time.Time
	free   func() (int64, error)
	log    slog.Handler // of the runner
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), change: func(*process.Spec) {}, now: time.Now, log: slog.DiscardHandler}
	w.files, w.starts = filepath.Join(w.dir, "files"), filepath.Join(w.dir, "starts")
	if err := os.Mkdir(w.files, 0o755); err != nil {
		t.Fatal(err)
	}
	kindtest.KillProcesses(t, filepath.Join(w.dir, "run"), filepath.Join(w.dir, "router"))
	return w
}

func (w *world) Target() towpath.Target {
	return towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain}
}

func (w *world) router(t *testing.T) *router.Client {
	t.Helper()
	c, err := router.NewClient(router.ClientConfig{
		Dir: filepath.Join(w.dir, "router"), Executable: self(t), Args: []string{"towpath-router"},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func (w *world) Runner(t *testing.T) kind.Runner { return w.processes(t) }

func (w *world) processes(t *testing.T) *run.Runner {
	t.Helper()
	r, err := run.New(run.Config{
		Dir: filepath.Join(w.dir, "run"), Executable: self(t), ShimArgs: []string{"towpath-shim"}, Now: w.now,
		Free: func() (int64, error) { return w.available() },
	}, w.router(t), slog.New(w.log))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// available is as much as a machine may have, unless the test says otherwise.
func (w *world) available() (int64, error) {
	if w.free == nil {
		return 1 << 40, nil
	}
	return w.free()
}

func (w *world) Spec(t *testing.T, revision string) (towpath.OperationSpec, string) {
	t.Helper()
	s := process.Spec{
		Command: []string{self(t), "towpath-app"}, Listen: "127.0.0.1:0", Instances: 1, StopGrace: 5 * time.Second, Drain: 5 * time.Second,
		Health: process.Health{Path: "/healthz", Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Deadline: 30 * time.Second},
		Env: map[string]process.Value{
			kindtest.AppVersion: {Literal: revision}, kindtest.AppStarts: {Literal: w.starts}, kindtest.AppMode: {Literal: revision},
		},
	}
	if revision == kindtest.Unhealthy {
		s.Health.Deadline = 2 * time.Second
	}
	w.change(&s)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	layer := towpath.DigestOf([]byte(revision))
	return towpath.OperationSpec{
		Kind: towpath.KindProcess, Layer: layer, Rendered: b, Revision: towpath.RevisionOf(towpath.KindProcess, layer, b),
	}, w.files
}

func (w *world) Serves(_ *testing.T, address string) string { return kindtest.Get("http://" + address) }

func (w *world) Kill(t *testing.T, revision string) {
	t.Helper()
	spec, _ := w.Spec(t, revision)
	killed := 0
	records, _ := filepath.Glob(filepath.Join(w.dir, "run", "instances", "*", "record.json"))
	for _, path := range records {
		var record struct{ PID, Start int }
		b, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(b, &record) != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "spec.json")); err != nil || !bytes.Contains(b, []byte(spec.Revision)) {
			continue
		}
		if err := syscall.Kill(record.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		w.writtenDown(t, filepath.Dir(path), record.Start)
		killed++
	}
	if killed == 0 {
		t.Fatalf("nothing runs of %s", revision)
	}
}

// writtenDown waits until the shim of an instance has written down how its
// process of a start ended.
func (w *world) writtenDown(t *testing.T, dir string, start int) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.After(30 * time.Second); ; {
		var exit struct{ Start int }
		if b, err := os.ReadFile(filepath.Join(dir, "exit.json")); err == nil && json.Unmarshal(b, &exit) == nil && exit.Start == start {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("the end of the instance in %s is not written down", dir)
		}
	}
}

func (w *world) Starts(t *testing.T, revision string) int {
	return kindtest.CountStarts(t, w.starts, revision)
}
