package git_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// upstream is a repository whose work tree is detached and that has the
// branches dev, staging and main at its first commit.
func upstream(t *testing.T) (*gittest.Repo, towpath.CommitID) {
	t.Helper()
	g := gittest.New(t)
	first := g.CommitFile("app.txt", "0\n")
	g.Detach()
	g.Branch("main", "dev", "staging")
	return g, first
}

func TestRepository_Advance_TenPromotions(t *testing.T) {
	g, at := upstream(t)
	r := open(t, g.Dir)
	for i := range 10 {
		next := g.CommitFile("app.txt", fmt.Sprintln(i))
		for _, branch := range []string{"dev", "staging", "main"} {
			got := must[git.AdvanceResult](t)(r.Advance(t.Context(), advance(branch, at, next, nil)))
			if want := (git.AdvanceResult{Kind: git.MoveFastForward, Old: at, New: next, Tip: next}); got != want {
				t.Fatalf("promotion %d to %s: %+v, want %+v", i, branch, got, want)
			}
			if g.Tip(branch) != next {
				t.Fatalf("%s is at %s after promotion %d", branch, g.Tip(branch), i)
			}
		}
		at = next
	}
}

func TestRepository_Advance(t *testing.T) {
	t.Run("makes a branch that does not exist", func(t *testing.T) {
		g, first := upstream(t)
		got := must[git.AdvanceResult](t)(open(t, g.Dir).Advance(t.Context(), advance("prod", "", first, nil)))
		if got.Kind != git.MoveFastForward || got.Old != "" || g.Tip("prod") != first {
			t.Errorf("result is %+v", got)
		}
	})
	t.Run("works in a bare repository, also on its HEAD", func(t *testing.T) {
		g, first := upstream(t)
		next := g.CommitFile("app.txt", "1\n")
		g.Branch("HEAD", "keep")
		bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git"))
		bare.Git("symbolic-ref", "HEAD", "refs/heads/main")
		must[git.AdvanceResult](t)(open(t, bare.Dir).Advance(t.Context(), advance("main", first, next, nil)))
		if bare.Tip("main") != next {
			t.Error("main did not move")
		}
	})
	t.Run("does nothing when the branch has the candidate", func(t *testing.T) {
		g, first := upstream(t)
		r := open(t, g.Dir)
		got := must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("dev", first, first, nil)))
		if got.Kind != git.MoveAlready || got.New != first {
			t.Errorf("result is %+v", got)
		}
	})
	t.Run("lists the commits that the candidate lacks", func(t *testing.T) {
		g, _ := upstream(t)
		candidate := g.CommitFile("app.txt", "1\n")
		g.Checkout("staging")
		g.WriteFile("hotfix.txt", "x")
		hotfix := g.CommitAs(gittest.Ben, "hotfix at night")
		g.Detach()
		r := open(t, g.Dir)
		_, err := r.Plan(t.Context(), advance("staging", hotfix, candidate, nil))
		wantKind(t, err, towpath.KindConflict)
		var foreign *git.ForeignError
		if !errors.As(err, &foreign) || len(foreign.Commits) != 1 || foreign.Commits[0].ID != hotfix {
			t.Fatalf("error is %v", err)
		}
		if m, _ := towpath.PublicMessage(err); !strings.Contains(m, "hotfix at night") || !strings.Contains(m, "Ben") {
			t.Errorf("message does not name the commit: %s", m)
		}
		if got := must[[]git.Commit](t)(r.ForeignCommits(t.Context(), "staging", candidate, nil)); len(got) != 1 {
			t.Errorf("foreign commits are %+v", got)
		}
		if g.Tip("staging") != hotfix {
			t.Error("the branch moved")
		}
	})
	t.Run("refuses an older commit: what is newer on the branch is foreign to it", func(t *testing.T) {
		g, first := upstream(t)
		r := open(t, g.Dir)
		next := g.CommitFile("app.txt", "1\n")
		must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("dev", first, next, nil)))
		var foreign *git.ForeignError
		if _, err := r.Advance(t.Context(), advance("dev", next, first, nil)); !errors.As(err, &foreign) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("says that the branch moved since the caller looked", func(t *testing.T) {
		g, first := upstream(t)
		pushed := g.CommitFile("app.txt", "1\n")
		candidate := g.CommitFile("app.txt", "2\n")
		g.Git("update-ref", "refs/heads/dev", string(pushed))
		_, err := open(t, g.Dir).Plan(t.Context(), advance("dev", first, candidate, nil))
		wantKind(t, err, towpath.KindConflict)
		var m *git.MovedError
		if !errors.As(err, &m) || m.Found != pushed || m.Expected != first {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("says that the branch exists already", func(t *testing.T) {
		g, first := upstream(t)
		candidate := g.CommitFile("app.txt", "1\n")
		var m *git.MovedError
		if _, err := open(t, g.Dir).Plan(t.Context(), advance("dev", "", candidate, nil)); !errors.As(err, &m) || m.Found != first {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("refuses an incomplete request", func(t *testing.T) {
		g, first := upstream(t)
		r := open(t, g.Dir)
		for _, spoil := range []func(*git.AdvanceRequest){
			func(q *git.AdvanceRequest) { q.Message = " \n" },
			func(q *git.AdvanceRequest) { q.Identity.Name = "a <b" },
			func(q *git.AdvanceRequest) { q.Identity.Email = "" },
			func(q *git.AdvanceRequest) { q.When = q.When.Add(1) },
		} {
			req := advance("dev", first, first, nil)
			spoil(&req)
			_, err := r.Plan(t.Context(), req)
			wantKind(t, err, towpath.KindInvalid)
		}
		_, err := r.Plan(t.Context(), advance("dev", first, absent, nil))
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("explains that a and a/b can't both be branches", func(t *testing.T) {
		g, first := upstream(t)
		_, err := open(t, g.Dir).Advance(t.Context(), advance("dev/eu", "", first, nil))
		wantKind(t, err, towpath.KindConflict)
		if !strings.Contains(err.Error(), "stands in the way") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("refuses a branch that is a link to another one", func(t *testing.T) {
		g, first := upstream(t)
		candidate := g.CommitFile("app.txt", "1\n")
		g.Git("symbolic-ref", "refs/heads/alias", "refs/heads/dev")
		_, err := open(t, g.Dir).Advance(t.Context(), advance("alias", first, candidate, nil))
		wantKind(t, err, towpath.KindInvalid)
	})
}

func TestRepository_Advance_CheckedOut(t *testing.T) {
	for name, out := range map[string]func(*testing.T, *gittest.Repo) string{
		"in the repository's own work tree": func(_ *testing.T, g *gittest.Repo) string {
			g.Checkout("dev")
			return g.Git("rev-parse", "--show-toplevel")
		},
		"in a linked work tree": func(t *testing.T, g *gittest.Repo) string {
			return g.Worktree(filepath.Join(t.TempDir(), "linked"), "dev")
		},
	} {
		t.Run("refuses a branch that is checked out "+name, func(t *testing.T) {
			g, first := upstream(t)
			r := open(t, g.Dir)
			candidate := g.CommitFile("app.txt", "1\n")
			plan := must[git.Plan](t)(r.Plan(t.Context(), advance("dev", first, candidate, nil)))
			tree := out(t, g)

			for step, err := range map[string]error{
				"plan":  second(r.Plan(t.Context(), advance("dev", first, candidate, nil))),
				"apply": second(r.Apply(t.Context(), plan)),
			} {
				wantKind(t, err, towpath.KindLocked)
				var c *git.CheckedOutError
				if !errors.As(err, &c) || c.Branch != "dev" || c.WorkTree != tree {
					t.Errorf("%s: error is %v, want work tree %s", step, err, tree)
				}
			}
			if g.Tip("dev") != first {
				t.Error("the branch moved")
			}
		})
	}
}

func TestRepository_Advance_MergesByHand(t *testing.T) {
	// A person merges dev into main with a merge commit; dev then goes on.
	setup := func(t *testing.T, content string, options ...string) (g *gittest.Repo, merge, candidate towpath.CommitID) {
		g, _ = upstream(t)
		dev := g.CommitFile("app.txt", "1\n")
		g.Checkout("main")
		if content == "" {
			merge = g.Merge(string(dev), options...)
		} else {
			g.Git("merge", "--quiet", "--no-ff", "--no-commit", string(dev))
			merge = g.CommitFile("app.txt", content)
		}
		g.Checkout(string(dev))
		return g, merge, g.CommitFile("app.txt", "2\n")
	}
	t.Run("a merge without content of its own can be recorded and is merged over", func(t *testing.T) {
		g, merge, candidate := setup(t, "")
		r := open(t, g.Dir)
		if free := must[bool](t)(r.IsContentFreeMerge(t.Context(), merge)); !free {
			t.Fatal("the merge counts as having content")
		}
		var foreign *git.ForeignError
		if _, err := r.Plan(t.Context(), advance("main", merge, candidate, nil)); !errors.As(err, &foreign) {
			t.Fatalf("unrecorded: error is %v", err)
		}
		rec := record{merge: true}
		got := must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("main", merge, candidate, rec.has)))
		if got.Kind != git.MoveMerge || g.Tip("main") != got.New {
			t.Fatalf("result is %+v", got)
		}
		made := must[git.Commit](t)(r.Commit(t.Context(), got.New))
		want := must[git.Commit](t)(r.Commit(t.Context(), candidate))
		if made.Tree != want.Tree || len(made.Parents) != 2 || made.Parents[0] != merge || made.Parents[1] != candidate {
			t.Errorf("merge is %+v", made)
		}
		if made.AuthorName != "Towpath" || made.CommitterEmail != "towpath@example.com" || made.Message != "Promote to main" {
			t.Errorf("merge is by %+v", made)
		}
		rec[got.New] = true

		again := must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("main", merge, candidate, rec.has)))
		if again.Kind != git.MoveAlready || again.New != got.New {
			t.Errorf("the second time: %+v", again)
		}
		next := g.CommitFile("app.txt", "3\n")
		third := must[git.AdvanceResult](t)(r.Advance(t.Context(), advance("main", got.New, next, rec.has)))
		if third.Kind != git.MoveMerge {
			t.Errorf("the next promotion: %+v", third)
		}
		if free := must[bool](t)(r.IsContentFreeMerge(t.Context(), third.New)); !free {
			t.Error("our own merge over a merge counts as having content")
		}
	})
	t.Run("a merge with content of its own is foreign", func(t *testing.T) {
		g, merge, candidate := setup(t, "changed in the merge\n")
		r := open(t, g.Dir)
		if free := must[bool](t)(r.IsContentFreeMerge(t.Context(), merge)); free {
			t.Error("the merge counts as free of content")
		}
		var foreign *git.ForeignError
		if _, err := r.Advance(t.Context(), advance("main", merge, candidate, record{}.has)); !errors.As(err, &foreign) || foreign.Commits[0].ID != merge {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a merge that throws the other side away is not free of content", func(t *testing.T) {
		g, merge, _ := setup(t, "", "--strategy=ours")
		if free := must[bool](t)(open(t, g.Dir).IsContentFreeMerge(t.Context(), merge)); free {
			t.Error("the merge counts as free of content")
		}
	})
	t.Run("a commit that is no merge is not free of content", func(t *testing.T) {
		g, first := upstream(t)
		if free := must[bool](t)(open(t, g.Dir).IsContentFreeMerge(t.Context(), first)); free {
			t.Error("the commit counts as a merge")
		}
	})
	t.Run("a merge that brings in unrecorded commits leaves those foreign", func(t *testing.T) {
		g, _ := upstream(t)
		side := g.CommitFile("side.txt", "x\n")
		g.Checkout("main")
		merge := g.Merge(string(side))
		g.Checkout("dev")
		candidate := g.CommitFile("app.txt", "1\n")
		g.Detach()
		var foreign *git.ForeignError
		_, err := open(t, g.Dir).Advance(t.Context(), advance("main", merge, candidate, record{merge: true}.has))
		if !errors.As(err, &foreign) || len(foreign.Commits) != 1 || foreign.Commits[0].ID != side {
			t.Errorf("error is %v", err)
		}
	})
}
