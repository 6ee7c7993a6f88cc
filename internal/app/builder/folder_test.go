package builder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// moody is a project whose build gives what a file outside of it says.
func moody(t *testing.T) (r *gittest.Repo, say func(string)) {
	t.Helper()
	outside := filepath.Join(t.TempDir(), "mood")
	r = gittest.New(t)
	r.WriteFile("towpath.yaml", fmt.Sprintf("version: 1\nproject: shop\ncomponents:\n  api: {kind: process, path: api, process: {command: [run]}, "+
		"build: {command: [sh, -ec, 'cat %s >out'], outputs: [out]}}\nenvironments: {dev: {branch: main}}\n", outside))
	r.WriteFile("api/run", "#!/bin/sh\n")
	r.Commit("first")
	return r, func(mood string) {
		t.Helper()
		if err := os.WriteFile(outside, []byte(mood), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuild_Fresh(t *testing.T) {
	r, say := moody(t)
	scratch := t.TempDir()
	t.Setenv("TMPDIR", scratch)
	empty := func(t *testing.T) {
		t.Helper()
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("%v was left behind (%v)", left, err)
		}
	}
	digest := func(t *testing.T, fresh bool) towpath.Digest {
		t.Helper()
		built, err := builder.Build(t.Context(), cli.BuildRequest{Dir: r.Dir, Fresh: fresh}, nil)
		if err != nil {
			t.Fatal(err)
		}
		contents(t, built)
		if built.Close != nil {
			if err := built.Close(); err != nil {
				t.Error(err)
			}
		}
		empty(t)
		return built.Digest
	}
	say("good")
	first := digest(t, false)
	t.Run("gives the same release where the build does", func(t *testing.T) {
		if got := digest(t, true); got != first {
			t.Errorf("%s, not %s", got, first)
		}
	})
	t.Run("finds that the build gives something else, whatever is remembered", func(t *testing.T) {
		say("bad")
		if got := digest(t, false); got != first {
			t.Fatalf("nothing was remembered: %s, not %s", got, first)
		}
		if digest(t, true) == first {
			t.Error("it was not built again")
		}
	})
	t.Run("is not remembered itself", func(t *testing.T) {
		if got := digest(t, false); got != first {
			t.Errorf("%s, not %s", got, first)
		}
	})
	t.Run("leaves nothing behind when it fails", func(t *testing.T) {
		if _, err := builder.Build(t.Context(), cli.BuildRequest{Dir: r.Dir, Fresh: true, Ref: "gone"}, nil); err == nil {
			t.Error("what is not there was built")
		}
		empty(t)
	})
}
