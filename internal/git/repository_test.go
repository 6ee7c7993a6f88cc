package git_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func TestOpen(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile("svc/web/main.go", "package main\n")
	first := g.Commit("first")
	g.Branch("main", "dev")
	bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git"))

	for name, dir := range map[string]string{
		"finds a work tree":                      g.Dir,
		"finds the repository of a subdirectory": filepath.Join(g.Dir, "svc", "web"),
		"finds a linked work tree":               g.Worktree(filepath.Join(t.TempDir(), "linked"), "dev"),
		"finds a bare repository":                bare.Dir,
		"finds the git directory itself":         filepath.Join(g.Dir, ".git"),
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, dir)
			if got := must[towpath.CommitID](t)(r.Resolve(t.Context(), "main")); got != first {
				t.Errorf("main is %s, want %s", got, first)
			}
			if bareDir := dir == bare.Dir || filepath.Base(dir) == ".git"; (r.WorkTree() == "") != bareDir {
				t.Errorf("work tree is %q", r.WorkTree())
			}
		})
	}
	t.Run("refuses a directory that is in no repository", func(t *testing.T) {
		_, err := git.Open(t.Context(), t.TempDir())
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("refuses a path that does not exist", func(t *testing.T) {
		_, err := git.Open(t.Context(), filepath.Join(t.TempDir(), "missing"))
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("says that git is not installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := git.Open(t.Context(), g.Dir)
		wantKind(t, err, towpath.KindUnavailable)
	})
	t.Run("refuses a git that is too old", func(t *testing.T) {
		bin := t.TempDir()
		script := "#!/bin/sh\necho git version 2.30.2\n"
		if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		_, err := git.Open(t.Context(), g.Dir)
		wantKind(t, err, towpath.KindUnavailable)
		if !strings.Contains(err.Error(), "2.30") {
			t.Errorf("error does not name the version: %v", err)
		}
	})
	t.Run("reports cancellation as such", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := git.Open(ctx, g.Dir); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled in its chain", err)
		}
	})
}

func TestRepository_IgnoresWhatTheUserConfigured(t *testing.T) {
	g := gittest.New(t)
	base := g.CommitFile("a.txt", "one\n")
	next := g.CommitFile("a.txt", "two\n")
	g.Detach()
	ran := filepath.Join(t.TempDir(), "ran")
	hook := "#!/bin/sh\ntouch " + ran + "\nexit 1\n"
	g.WriteExecutable(".git/hooks/reference-transaction", hook)
	g.WriteExecutable(".git/monitor", hook)
	g.Git("config", "core.fsmonitor", filepath.Join(g.Dir, ".git/monitor"))
	g.Git("config", "commit.gpgSign", "true")
	g.Git("config", "i18n.commitEncoding", "ISO-8859-1")
	g.WriteFile(".git/info/grafts", string(next)+"\n")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_DIR", t.TempDir())

	r := open(t, g.Dir)
	if in, err := r.IsAncestor(t.Context(), base, next); err != nil || !in {
		t.Errorf("grafts were followed: %v, %v", in, err)
	}
	if _, err := r.Advance(t.Context(), advance("dev", "", next, nil)); err != nil {
		t.Errorf("advance: %v", err)
	}
	if _, err := r.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a hook or monitor of the repository ran")
	}
}

func TestRepository_Shallow(t *testing.T) {
	g := gittest.New(t)
	g.CommitFile("a.txt", "one\n")
	tip := g.CommitFile("a.txt", "two\n")
	shallow := g.Clone(filepath.Join(t.TempDir(), "shallow"), "--depth=1")
	r := open(t, shallow.Dir)

	t.Run("refuses what needs whole history", func(t *testing.T) {
		_, err := r.Range(t.Context(), "", tip, 0)
		wantKind(t, err, towpath.KindInvalid)
		_, err = r.Describe(t.Context(), tip)
		wantKind(t, err, towpath.KindInvalid)
		_, err = r.Plan(t.Context(), advance("dev", "", tip, nil))
		wantKind(t, err, towpath.KindInvalid)
	})
	t.Run("still exports", func(t *testing.T) {
		if got := export(t, r, tip); got["a.txt"].content != "two\n" {
			t.Errorf("exported %v", got)
		}
	})
}

func TestRepository_Status(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile(".gitignore", "*.log\n")
	g.CommitFile("a.txt", "one\n")
	r := open(t, filepath.Join(g.Dir))

	if s := must[git.Status](t)(r.Status(t.Context())); s.Dirty() {
		t.Errorf("a clean work tree is dirty: %+v", s)
	}
	g.WriteFile("x.log", "ignored\n")
	g.WriteFile("new file.txt", "untracked\n")
	g.WriteFile("a.txt", "changed\n")
	s := must[git.Status](t)(r.Status(t.Context()))
	if !s.Dirty() || len(s.Changed) != 1 || s.Changed[0] != "a.txt" || len(s.Untracked) != 1 || s.Untracked[0] != "new file.txt" {
		t.Errorf("status is %+v", s)
	}
}

func TestRepository_SHA256(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "--quiet", "--object-format=sha256", "--initial-branch=main", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	g := gittest.NewAt(t, dir)
	first := g.CommitFile("a.txt", "one\n")
	next := g.CommitFile("a.txt", "two\n")
	g.Detach()
	g.Branch(string(first), "dev")
	r := open(t, g.Dir)
	if got := export(t, r, first); got["a.txt"].content != "one\n" {
		t.Errorf("exported %v", got)
	}
	must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("dev", first, next, nil)))
	if len(next) != 64 || g.Tip("dev") != next {
		t.Errorf("dev is at %s, want %s", g.Tip("dev"), next)
	}
}
