package build_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
)

// held is a source that hands one path out only when it is let go.
type held struct {
	build.Source
	path string
	let  chan struct{}
}

func (h held) Export(ctx context.Context, id towpath.CommitID, root *os.Root, paths []string) error {
	if slices.Contains(paths, h.path) {
		select {
		case <-h.let:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return h.Source.Export(ctx, id, root, paths)
}

// While a build command runs, another unit is made from its beginning to its
// end, whose name would lead to the same folder.
func TestBuild_GivesEachUnitItsOwnFolder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		req   build.Request
		runs  towpath.ComponentName // its command waits for the other
		nth   int64                 // in this of its runs
		other string                // the path of the other
		over  build.Event           // says that the other's folder is gone
	}{
		{name: "a component with the name of a role", runs: "policies", nth: 1, other: "rules", over: build.Event{Component: "policies", Step: build.StepScan}},
		{name: "a component named again", req: build.Request{Check: true}, runs: "web", nth: 2, other: "again", over: build.Event{Component: "again", Step: build.StepCheck}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gate := filepath.Join(t.TempDir(), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			pass, err := os.OpenFile(gate, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer pass.Close()
			open := func() {
				if _, err := pass.WriteString("go\n"); err != nil {
					t.Error(err)
				}
			}
			for range tt.nth - 1 {
				open()
			}
			r := repo(t, map[string]string{string(tt.runs): shell(fmt.Sprintf("read go <%s\ncp file out", gate), "out"), "again": ""}, map[string]string{"rules/rule": "be good"})
			edited(t, r, func(yaml string) string {
				return strings.Replace(yaml, "\npolicies: policies\n", "\npolicies: rules\n", 1)
			})
			b := newBench(t)
			b.cfg.Parallel = 8
			real, err := git.Open(t.Context(), r.Dir)
			if err != nil {
				t.Fatal(err)
			}
			source := held{builder.Source{Repository: real}, tt.other, make(chan struct{})}
			x, err := build.New(b.cfg, source, b.blobs)
			if err != nil {
				t.Fatal(err)
			}
			var runs, over atomic.Int64
			tt.req.Progress = func(e build.Event) {
				switch {
				case e.Step == build.StepRun && e.Component == tt.runs && !e.Done && e.Err == nil && e.Line == "":
					if runs.Add(1) == tt.nth {
						close(source.let)
					}
				case e.Step == tt.over.Step && e.Component == tt.over.Component && !e.Done && e.Err == nil && over.Add(1) == 1:
					open()
				}
			}
			if _, err := x.Build(t.Context(), tt.req); err != nil {
				t.Fatal(err)
			}
		})
	}
}
