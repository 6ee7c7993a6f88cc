package builder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func TestBuild_RefusesWhatCameWithTheCommit(t *testing.T) {
	const marker = ".towpath/build/cache/clean/ab/abcd"
	refuses := func(t *testing.T, r *gittest.Repo, ref, says string) {
		t.Helper()
		steps := 0
		_, err := builder.Build(t.Context(), cli.BuildRequest{Dir: filepath.Join(r.Dir, "api"), Ref: ref}, func(cli.Step) { steps++ })
		if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), says) || steps > 0 {
			t.Errorf("%v, after %d steps", err, steps)
		}
		if _, hint := towpath.PublicMessage(err); hint == "" {
			t.Error("no hint")
		}
	}
	builds := func(t *testing.T, r *gittest.Repo) {
		t.Helper()
		if _, err := builder.Build(t.Context(), cli.BuildRequest{Dir: r.Dir}, nil); err != nil {
			t.Error(err)
		}
	}
	t.Run("a file of the cache", func(t *testing.T) {
		r := project(t)
		r.CommitFile(marker, "")
		refuses(t, r, "", `git tracks [".towpath/build/cache/clean/ab/abcd"]`)
	})
	t.Run("anything in the folder, of which it names three", func(t *testing.T) {
		r := project(t)
		for _, name := range []string{"a", "b", "c", "d"} {
			r.WriteFile(".towpath/"+name, "")
		}
		r.Commit("four")
		refuses(t, r, "", `git tracks [".towpath/a" ".towpath/b" ".towpath/c"] and 1 more`)
	})
	t.Run("what is in the index only", func(t *testing.T) {
		r := project(t)
		r.WriteFile(marker, "")
		r.Git("add", "-f", marker)
		refuses(t, r, "", "git tracks")
		r.Git("rm", "-r", "-q", "--cached", ".towpath")
		builds(t, r)
	})
	t.Run("what is in the commit only", func(t *testing.T) {
		r := project(t)
		r.Branch("HEAD", "clean")
		bad := r.CommitFile(marker, "")
		r.Checkout("clean")
		refuses(t, r, string(bad), "git tracks")
		builds(t, r)
	})
	t.Run("a folder in another case", func(t *testing.T) {
		r := project(t)
		r.CommitFile(".TowPath/x", "")
		refuses(t, r, "", `git tracks [".TowPath/x"]`)
	})
	t.Run("a link in the place of the folder", func(t *testing.T) {
		r := project(t)
		r.Symlink("api", ".towpath")
		refuses(t, r, "", ".towpath is no folder")
		r.Commit("a link")
		refuses(t, r, "", `git tracks [".towpath"]`)
	})
	t.Run("a link in the place of the folder for builds", func(t *testing.T) {
		r := project(t)
		builds(t, r)
		if err := os.RemoveAll(filepath.Join(r.Dir, ".towpath/build")); err != nil {
			t.Fatal(err)
		}
		r.Symlink("../api", ".towpath/build")
		refuses(t, r, "", ".towpath/build is no folder")
	})
	t.Run("a link in the place of the ignore file, which it does not follow", func(t *testing.T) {
		r := project(t)
		builds(t, r)
		r.Remove(".towpath/.gitignore")
		r.Symlink("../api/run", ".towpath/.gitignore")
		refuses(t, r, "", ".towpath/.gitignore is no file")
		if b, err := os.ReadFile(filepath.Join(r.Dir, "api/run")); err != nil || string(b) != "#!/bin/sh\n" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestIgnore(t *testing.T) {
	ignores := func(t *testing.T, dir string) {
		t.Helper()
		if err := builder.Ignore("test", dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(filepath.Join(dir, ".gitignore"))
		if err != nil || !info.Mode().IsRegular() {
			t.Fatalf("%v, %v", info, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(b) != "*\n" {
			t.Errorf("%q, %v", b, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	ignores(t, dir)
	ignores(t, dir)
	t.Run("mends a file that was not written to its end", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		ignores(t, dir)
	})
	t.Run("replaces a link and follows none", func(t *testing.T) {
		other, dir := filepath.Join(t.TempDir(), "mine"), t.TempDir()
		if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, filepath.Join(dir, ".gitignore")); err != nil {
			t.Fatal(err)
		}
		ignores(t, dir)
		if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
			t.Errorf("%q, %v", b, err)
		}
	})
}
