package git_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

type file struct {
	mode    fs.FileMode
	content string // of a link, its target
}

// export exports a commit and reads back what is on the disk.
func export(t *testing.T, r *git.Repository, commit towpath.CommitID, paths ...string) map[string]file {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := r.Export(t.Context(), commit, root, git.Selection{Paths: paths}); err != nil {
		t.Fatalf("export: %v", err)
	}
	return readBack(t, dir)
}

func readBack(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		f := file{mode: info.Mode()}
		switch {
		case d.IsDir():
		case info.Mode()&fs.ModeSymlink != 0:
			f.content, err = os.Readlink(p)
		default:
			var b []byte
			b, err = os.ReadFile(p)
			f.content = string(b)
		}
		files[name] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func exportError(t *testing.T, r *git.Repository, commit towpath.CommitID, sel git.Selection) error {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = r.Export(t.Context(), commit, root, sel)
	return err
}

func TestRepository_Export(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile(".gitattributes", "*.txt text eol=crlf\nid.c ident export-subst\nsecret export-ignore\n*.f filter=shout\n")
	g.WriteFile("a.txt", "one\ntwo\n")
	g.WriteFile("id.c", "$Id$ $Format:%H$\n")
	g.WriteFile("secret", "kept\n")
	g.WriteFile("x.f", "quiet\n")
	g.WriteFile("empty", "")
	g.WriteFile("new\nline", "odd\n")
	g.WriteFile("tab\t\"quote\" é", "odd\n")
	g.WriteExecutable("bin/run", "#!/bin/sh\n")
	g.Symlink("../a.txt", "bin/link")
	g.Symlink("missing", "dangling")
	commit := g.Commit("all kinds")
	g.Git("config", "core.autocrlf", "true")
	g.Git("config", "filter.shout.smudge", "tr a-z A-Z")
	r := open(t, g.Dir)
	want := map[string]file{
		".gitattributes":   {0o644, "*.txt text eol=crlf\nid.c ident export-subst\nsecret export-ignore\n*.f filter=shout\n"},
		"a.txt":            {0o644, "one\ntwo\n"},
		"id.c":             {0o644, "$Id$ $Format:%H$\n"},
		"secret":           {0o644, "kept\n"},
		"x.f":              {0o644, "quiet\n"},
		"empty":            {0o644, ""},
		"new\nline":        {0o644, "odd\n"},
		"tab\t\"quote\" é": {0o644, "odd\n"},
		"bin":              {fs.ModeDir | 0o755, ""},
		"bin/run":          {0o755, "#!/bin/sh\n"},
		"bin/link":         {fs.ModeSymlink | 0o777, "../a.txt"},
		"dangling":         {fs.ModeSymlink | 0o777, "missing"},
	}

	// The umask is the process's: no test of this package runs in parallel.
	for _, umask := range []int{0, 0o022, 0o077, 0o777 &^ 0o700} {
		t.Run(fmt.Sprintf("writes the exact blobs under umask %03o", umask), func(t *testing.T) {
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			got := export(t, r, commit)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(file{})); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("writes the selected paths only, where they stand in the repository", func(t *testing.T) {
		got := export(t, r, commit, "bin/run", "a.txt")
		if len(got) != 3 || got["bin/run"].content == "" || got["a.txt"].content == "" {
			t.Errorf("exported %v", got)
		}
	})
	t.Run("says that a path is not in the commit", func(t *testing.T) {
		wantKind(t, exportError(t, r, commit, git.Selection{Paths: []string{"bin", "bi"}}), towpath.KindNotFound)
	})
	t.Run("takes no path for an option or a pattern", func(t *testing.T) {
		for p, kind := range map[string]towpath.Kind{
			"--output=x": towpath.KindNotFound, "*": towpath.KindNotFound, ":(glob)*": towpath.KindNotFound,
			"../x": towpath.KindInvalid, "/etc": towpath.KindInvalid, "a\x00b": towpath.KindInvalid,
		} {
			wantKind(t, exportError(t, r, commit, git.Selection{Paths: []string{p}}), kind)
		}
	})
	t.Run("never overwrites", func(t *testing.T) {
		dir := t.TempDir()
		root := must[*os.Root](t)(os.OpenRoot(dir))
		defer root.Close()
		if err := root.WriteFile("a.txt", []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := r.Export(t.Context(), commit, root, git.Selection{})
		wantKind(t, err, towpath.KindConflict)
	})
	t.Run("does not follow a link that waits at the destination", func(t *testing.T) {
		dir, outside := t.TempDir(), t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, "bin")); err != nil {
			t.Fatal(err)
		}
		root := must[*os.Root](t)(os.OpenRoot(dir))
		defer root.Close()
		_, err := r.Export(t.Context(), commit, root, git.Selection{})
		wantKind(t, err, towpath.KindConflict)
		if left := readBack(t, outside); len(left) != 0 {
			t.Errorf("wrote outside: %v", left)
		}
	})
	t.Run("stops when it is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		err := r.Walk(ctx, commit, git.Selection{}, func(e git.Entry) error {
			seen++
			cancel()
			content, err := e.Open()
			if err == nil {
				_, err = io.ReadAll(content)
			}
			return err
		})
		if err == nil || seen == len(want)-1 {
			t.Errorf("walked %d entries, error %v", seen, err)
		}
	})
}

func TestRepository_ExportLimits(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile("a/b/c/d.txt", strings.Repeat("x", 1000))
	g.WriteFile("e.txt", strings.Repeat("y", 500))
	commit := g.Commit("limits")
	r := open(t, g.Dir)
	for name, limits := range map[string]git.Limits{
		"on files":       {Entries: 1},
		"on all bytes":   {Bytes: 1499},
		"on one file":    {FileBytes: 999},
		"on directories": {Depth: 3},
	} {
		t.Run("keeps the limit "+name, func(t *testing.T) {
			wantKind(t, exportError(t, r, commit, git.Selection{Limits: limits}), towpath.KindExhausted)
		})
	}
	t.Run("allows exactly the limits", func(t *testing.T) {
		if err := exportError(t, r, commit, git.Selection{Limits: git.Limits{Entries: 2, Bytes: 1500, FileBytes: 1000, Depth: 4}}); err != nil {
			t.Error(err)
		}
	})
}

func TestRepository_ExportRefusesLinksOut(t *testing.T) {
	for name, links := range map[string]map[string]string{
		"an absolute target":                       {"l": "/etc/passwd"},
		"a target above the root":                  {"l": "../x"},
		"a target above the root from a directory": {"a/l": "../../x"},
		"a way out through another link":           {"a/b/d": "../..", "a/b/l": "d/../x"},
		"a loop":                                   {"l": "m", "m": "l"},
		"a way back in by the root's own name":     {"l": "../" + filepath.Base(t.TempDir()) + "/x"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			g := gittest.New(t)
			g.WriteFile("a/b/file", "x")
			for at, target := range links {
				g.Symlink(target, at)
			}
			commit := g.Commit("links")
			dir := t.TempDir()
			root := must[*os.Root](t)(os.OpenRoot(dir))
			defer root.Close()
			_, err := open(t, g.Dir).Export(t.Context(), commit, root, git.Selection{})
			wantKind(t, err, towpath.KindInvalid)
			if got := readBack(t, dir); len(got) != 0 {
				t.Errorf("wrote before it refused: %v", got)
			}
		})
	}
	t.Run("keeps links that stay inside", func(t *testing.T) {
		g := gittest.New(t)
		g.WriteFile("a/b/file", "x")
		g.Symlink("../a/./b", "c/l")
		g.Symlink("l/file", "c/m")
		g.Symlink("..", "a/up")
		g.Symlink("a/up/a/b/file", "n")
		got := export(t, open(t, g.Dir), g.Commit("links"))
		if got["n"].content != "a/up/a/b/file" || got["c/l"].content != "../a/./b" {
			t.Errorf("exported %v", got)
		}
	})
}

func TestRepository_ExportRefusesWhatIsNotThere(t *testing.T) {
	t.Run("a submodule", func(t *testing.T) {
		g := gittest.New(t)
		tip := g.CommitFile("a.txt", "x")
		g.Git("update-index", "--add", "--cacheinfo", "160000,"+string(tip)+",vendored")
		g.Git("commit", "-q", "-m", "submodule")
		err := exportError(t, open(t, g.Dir), g.Tip("HEAD"), git.Selection{})
		wantKind(t, err, towpath.KindInvalid)
		if !strings.Contains(err.Error(), "submodule") {
			t.Errorf("error does not say so: %v", err)
		}
	})
	t.Run("a Git LFS pointer", func(t *testing.T) {
		g := gittest.New(t)
		commit := g.CommitFile("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")
		err := exportError(t, open(t, g.Dir), commit, git.Selection{})
		wantKind(t, err, towpath.KindInvalid)
		if !strings.Contains(err.Error(), "LFS") {
			t.Errorf("error does not say so: %v", err)
		}
	})
	t.Run("a file that a partial clone did not fetch", func(t *testing.T) {
		g := gittest.New(t)
		commit := g.CommitFile("a.txt", "x")
		g.Git("config", "uploadpack.allowFilter", "true")
		partial := g.Clone(filepath.Join(t.TempDir(), "partial"), "--filter=blob:none", "--no-checkout")
		wantKind(t, exportError(t, open(t, partial.Dir), commit, git.Selection{}), towpath.KindUnavailable)
	})
	t.Run("a file whose object is damaged", func(t *testing.T) {
		g := gittest.New(t)
		commit := g.CommitFile("a.txt", "right")
		good, bad := g.Git("rev-parse", "HEAD:a.txt"), g.GitAs(gittest.Ana, "wrong", "hash-object", "-w", "--stdin")
		object := func(id string) string { return filepath.Join(g.Dir, ".git/objects", id[:2], id[2:]) }
		if err := os.Rename(object(bad), object(good)); err != nil {
			t.Fatal(err)
		}
		err := exportError(t, open(t, g.Dir), commit, git.Selection{})
		wantKind(t, err, towpath.KindInternal)
	})
}

func TestRepository_ExportRefusesCraftedTrees(t *testing.T) {
	for name, tree := range map[string]string{
		"a parent directory":  "040000 tree DIR\t..\n",
		"a git directory":     "040000 tree DIR\t.GIT\n",
		"a name not in UTF-8": "100644 blob BLOB\tcaf\xe9\n",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			g := gittest.New(t)
			blob := g.GitAs(gittest.Ana, "x", "hash-object", "-w", "--stdin")
			dir := g.GitAs(gittest.Ana, "100644 blob "+blob+"\tfile\n", "mktree")
			made := g.GitAs(gittest.Ana, strings.NewReplacer("DIR", dir, "BLOB", blob).Replace(tree), "mktree")
			err := exportError(t, open(t, g.Dir), g.CommitTree(gittest.Ana, made, "crafted"), git.Selection{})
			wantKind(t, err, towpath.KindInvalid)
		})
	}
	t.Run("refuses a name that stands twice", func(t *testing.T) {
		g := gittest.New(t)
		blob := g.GitAs(gittest.Ana, "x", "hash-object", "-w", "--stdin")
		var raw, oid []byte
		fmt.Sscanf(blob, "%x", &oid)
		for range 2 {
			raw = append(append(raw, "100644 same\x00"...), oid...)
		}
		made := g.GitAs(gittest.Ana, string(raw), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
		err := exportError(t, open(t, g.Dir), g.CommitTree(gittest.Ana, made, "crafted"), git.Selection{})
		wantKind(t, err, towpath.KindInvalid)
	})
}

func TestRepository_Walk(t *testing.T) {
	g := gittest.New(t)
	for _, name := range []string{"a/z", "a.txt", "a-b", "b", "a/b/c"} {
		g.WriteFile(name, name)
	}
	commit := g.Commit("names")
	r := open(t, g.Dir)
	t.Run("goes in the byte order of paths and may skip content", func(t *testing.T) {
		var got []string
		err := r.Walk(t.Context(), commit, git.Selection{}, func(e git.Entry) error {
			got = append(got, e.Path)
			content, err := e.Open()
			if err != nil || e.Path == "a/z" {
				return err // its content left unread
			}
			b, err := io.ReadAll(content)
			if string(b) != e.Path {
				t.Errorf("%s has content %q", e.Path, b)
			}
			return err
		})
		if d := cmp.Diff([]string{"a-b", "a.txt", "a/b/c", "a/z", "b"}, got); err != nil || d != "" {
			t.Errorf("error %v, (-want +got)\n%s", err, d)
		}
	})
	t.Run("ends with the first error", func(t *testing.T) {
		stop := errors.New("stop")
		if err := r.Walk(t.Context(), commit, git.Selection{}, func(git.Entry) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("error is %v", err)
		}
	})
}
