package build_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/kind"
	process "github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// project is a towpath.yaml with the given components, each the YAML of its
// body after kind and path.
func projectYAML(components map[string]string) string {
	var b strings.Builder
	b.WriteString("version: 1\nproject: shop\npolicies: policies\ncomponents:\n")
	for _, name := range slices.Sorted(maps.Keys(components)) {
		fmt.Fprintf(&b, "  %s:\n    kind: process\n    path: %s\n    process: {command: [bin/run], env: {NAME: %s}}\n", name, name, name)
		for line := range strings.Lines(components[name]) {
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	b.WriteString("environments:\n  dev: {branch: dev}\n  prod: {branch: main, from: dev, components: {" +
		slices.Sorted(maps.Keys(components))[0] + ": {env: {NAME: other}}}}\n")
	return b.String()
}

// shell is a component's build that runs a script of /bin/sh.
func shell(script string, outputs ...string) string {
	s := fmt.Sprintf("build:\n  command: [sh, -ec, %q]\n", script)
	if len(outputs) > 0 {
		s += fmt.Sprintf("  outputs: [%s]\n", strings.Join(outputs, ", "))
	}
	return s
}

// repo is a repository with files and a project file, at its first commit.
func repo(t testing.TB, components map[string]string, files map[string]string) *gittest.Repo {
	t.Helper()
	r := gittest.New(t)
	r.WriteFile("towpath.yaml", projectYAML(components))
	r.WriteFile("policies/rule", "be good")
	for name := range components {
		r.WriteFile(name+"/file", "of "+name)
	}
	for name, content := range files {
		r.WriteFile(name, content)
	}
	r.Commit("first")
	return r
}

// bench is a builder with its stores.
type bench struct {
	t     testing.TB
	cfg   build.Config
	blobs *blob.Disk
	mu    sync.Mutex
	now   time.Time
}

// tick is a clock that goes on by a second each time it is looked at.
func (b *bench) tick() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(time.Second)
	return b.now
}

func newBench(t testing.TB) *bench {
	t.Helper()
	base := t.TempDir()
	blobs, err := blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(base, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, blobs: blobs, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	work := filepath.Join(base, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	kinds := []kind.Builder{process.New()}
	b.cfg = build.Config{
		Parse:    func(src []byte) (*towpath.ProjectSpec, error) { return projectfile.Parse(src, kinds) },
		Builders: kinds, CacheDir: filepath.Join(base, "cache"), WorkDir: work,
		Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + base, "SECRET=hidden"},
		Now:     b.tick,
		Logger:  slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
			t.Errorf("builds left %v behind (%v)", left, err)
		}
	})
	return b
}

func (b *bench) try(dir string, req build.Request) (*build.Result, error) {
	b.t.Helper()
	r, err := git.Open(b.t.Context(), dir)
	if err != nil {
		b.t.Fatal(err)
	}
	x, err := build.New(b.cfg, builder.Source{Repository: r}, b.blobs)
	if err != nil {
		b.t.Fatal(err)
	}
	return x.Build(b.t.Context(), req)
}

func (b *bench) build(dir string, req build.Request) *build.Result {
	b.t.Helper()
	res, err := b.try(dir, req)
	if err != nil {
		var c *build.CommandError
		if errors.As(err, &c) {
			b.t.Fatalf("%v\n%s", err, strings.Join(c.Log, "\n"))
		}
		b.t.Fatal(err)
	}
	return res
}

// refused builds and wants an error of a kind that says something.
func (b *bench) refused(dir string, req build.Request, want towpath.Kind, says string) *towpath.Error {
	b.t.Helper()
	_, err := b.try(dir, req)
	var e *towpath.Error
	if !errors.As(err, &e) || e.Kind != want || !strings.Contains(e.Message, says) {
		b.t.Fatalf("error %v (kind %s), want %s that says %q", err, towpath.KindOf(err), want, says)
	}
	return e
}
