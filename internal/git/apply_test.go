package git_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// journalled is a plan for a merge on main as it comes back from a journal.
func journalled(t *testing.T) (*gittest.Repo, git.AdvanceRequest, git.Plan) {
	t.Helper()
	g, _ := upstream(t)
	g.Checkout("main")
	tip := g.Commit("recorded")
	g.Checkout("dev")
	candidate := g.CommitFile("app.txt", "1\n")
	g.Detach()
	req := advance("main", tip, candidate, record{tip: true}.has)
	req.Message = "Promote to main\n\nRelease: 1.2.3"
	plan := must[git.Plan](t)(open(t, g.Dir).Plan(t.Context(), req))
	if plan.Kind != git.MoveMerge || g.Tip("main") != tip {
		t.Fatalf("plan is %+v", plan)
	}
	var back git.Plan
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(plan)), &back); err != nil {
		t.Fatal(err)
	}
	return g, req, back
}

func TestRepository_Apply(t *testing.T) {
	t.Run("finishes what another process planned, any number of times", func(t *testing.T) {
		g, _, plan := journalled(t)
		for i := range 3 {
			got := must[git.AdvanceResult](t)(open(t, g.Dir).Apply(t.Context(), plan))
			if want := (git.AdvanceResult{Kind: git.MoveMerge, Old: plan.Old, New: plan.New, Tip: plan.New}); got != want {
				t.Errorf("try %d: %+v, want %+v", i, got, want)
			}
		}
		if g.Tip("main") != plan.New {
			t.Error("main did not move")
		}
	})
	t.Run("plans the same commit again after a crash before the journal", func(t *testing.T) {
		g, req, plan := journalled(t)
		again := must[git.Plan](t)(open(t, g.Dir).Plan(t.Context(), req))
		if again.New != plan.New {
			t.Errorf("planned %s, then %s", plan.New, again.New)
		}
	})
	t.Run("plans the same commit whatever the repository's configuration", func(t *testing.T) {
		g, req, plan := journalled(t)
		g.Git("config", "i18n.commitEncoding", "ISO-8859-1")
		g.Git("config", "commit.gpgSign", "true")
		g.Git("config", "user.name", "Somebody")
		if again := must[git.Plan](t)(open(t, g.Dir).Plan(t.Context(), req)); again.New != plan.New {
			t.Errorf("planned %s, then %s", plan.New, again.New)
		}
	})
	t.Run("makes the merge again when it was collected meanwhile", func(t *testing.T) {
		g, _, plan := journalled(t)
		g.Git("prune", "--expire=now")
		if _, err := g.Try(gittest.Ana, "", "cat-file", "-e", string(plan.New)); err == nil {
			t.Fatal("the merge is still there")
		}
		must[git.AdvanceResult](t)(open(t, g.Dir).Apply(t.Context(), plan))
		if g.Tip("main") != plan.New {
			t.Error("main did not move")
		}
	})
	t.Run("is done when somebody pushed on top of it", func(t *testing.T) {
		g, _, plan := journalled(t)
		r := open(t, g.Dir)
		must[git.AdvanceResult](t)(r.Apply(t.Context(), plan))
		g.Checkout("main")
		top := g.CommitFile("more.txt", "x")
		g.Detach()
		if got := must[git.AdvanceResult](t)(r.Apply(t.Context(), plan)); got.Tip != top || got.New != plan.New {
			t.Errorf("result is %+v", got)
		}
		if g.Tip("main") != top {
			t.Error("main moved back")
		}
	})
	t.Run("says that somebody pushed between plan and apply", func(t *testing.T) {
		g, _, plan := journalled(t)
		g.Checkout("main")
		pushed := g.CommitFile("more.txt", "x")
		g.Detach()
		_, err := open(t, g.Dir).Apply(t.Context(), plan)
		wantKind(t, err, towpath.KindConflict)
		var m *git.MovedError
		if !errors.As(err, &m) || m.Found != pushed {
			t.Errorf("error is %v", err)
		}
		if g.Tip("main") != pushed {
			t.Error("the push was lost")
		}
	})
	t.Run("says that the branch was removed", func(t *testing.T) {
		g, _, plan := journalled(t)
		g.Git("branch", "-D", "main")
		var m *git.MovedError
		if _, err := open(t, g.Dir).Apply(t.Context(), plan); !errors.As(err, &m) || m.Found != "" {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("refuses an altered plan that would lose commits", func(t *testing.T) {
		g, _, plan := journalled(t)
		tip := g.Tip("main")
		plan.Kind, plan.New = git.MoveFastForward, plan.Candidate
		_, err := open(t, g.Dir).Apply(t.Context(), plan)
		wantKind(t, err, towpath.KindConflict)
		if g.Tip("main") != tip {
			t.Error("main moved")
		}
	})
	t.Run("refuses an altered merge", func(t *testing.T) {
		g, _, plan := journalled(t)
		plan.Message = "something else"
		_, err := open(t, g.Dir).Apply(t.Context(), plan)
		wantKind(t, err, towpath.KindInternal)
	})
	t.Run("refuses a merge whose tree is an option", func(t *testing.T) {
		g, _, plan := journalled(t)
		plan.Tree = "--help"
		_, err := open(t, g.Dir).Apply(t.Context(), plan)
		wantKind(t, err, towpath.KindInvalid)
	})
	t.Run("says that a lock was left behind", func(t *testing.T) {
		g, _, plan := journalled(t)
		lock := filepath.Join(g.Dir, ".git/refs/heads/main.lock")
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := open(t, g.Dir)
		_, err := r.Apply(t.Context(), plan)
		wantKind(t, err, towpath.KindUnavailable)
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		must[git.AdvanceResult](t)(r.Apply(t.Context(), plan))
	})
	t.Run("leaves nothing locked when it is cancelled", func(t *testing.T) {
		g, _, plan := journalled(t)
		r := open(t, g.Dir)
		ctx, cancel := contextCancelled(t)
		defer cancel()
		if _, err := r.Apply(ctx, plan); !errors.Is(err, ctx.Err()) {
			t.Errorf("error is %v", err)
		}
		must[git.AdvanceResult](t)(r.Apply(t.Context(), plan))
	})
}

func TestRepository_SetRef(t *testing.T) {
	g, first := upstream(t)
	next := g.CommitFile("app.txt", "1\n")
	r, ctx := open(t, g.Dir), t.Context()
	ref := git.EnvironmentRef("prod")
	set := func(commit, expect towpath.CommitID) error { return r.SetRef(ctx, ref, commit, expect) }
	is := func(want towpath.CommitID) {
		t.Helper()
		if got := must[towpath.CommitID](t)(r.Ref(ctx, ref)); got != want {
			t.Fatalf("%s is %q, want %q", ref, got, want)
		}
	}
	is("")
	for _, step := range []struct{ commit, expect towpath.CommitID }{
		{next, ""}, {next, ""}, // made; and again
		{first, next}, {first, next}, // back, as a rollback does; and again
	} {
		if err := set(step.commit, step.expect); err != nil {
			t.Fatal(err)
		}
		is(step.commit)
	}
	var m *git.MovedError
	for _, stale := range []towpath.CommitID{"", next} {
		candidate := g.CommitFile("app.txt", "2\n"+string(stale))
		err := set(candidate, stale)
		if wantKind(t, err, towpath.KindConflict); !errors.As(err, &m) || m.Found != first {
			t.Errorf("error is %v", err)
		}
	}
	is(first)
	wantKind(t, set(absent, first), towpath.KindNotFound)
	wantKind(t, set(towpath.CommitID(g.Git("rev-parse", "HEAD^{tree}")), first), towpath.KindNotFound)
	for _, bad := range []string{"refs/heads/main", "HEAD", "--stdin", "refs/towpath/", "refs/towpath/../heads/main", "refs/towpath/env/a b"} {
		wantKind(t, r.SetRef(ctx, bad, first, ""), towpath.KindInvalid)
	}

	t.Run("never moves a branch to which the ref is a link", func(t *testing.T) {
		g.Git("symbolic-ref", "refs/towpath/env/linked", "refs/heads/main")
		if err := r.SetRef(ctx, "refs/towpath/env/linked", next, first); err != nil {
			t.Fatal(err)
		}
		if g.Tip("main") != first || g.Tip("refs/towpath/env/linked") != next {
			t.Errorf("main went from %s to %s", first, g.Tip("main"))
		}
	})
}
