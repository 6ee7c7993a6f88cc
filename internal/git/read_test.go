package git_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

const absent = towpath.CommitID("0123456789012345678901234567890123456789")

func TestRepository_FullName(t *testing.T) {
	g := gittest.New(t)
	first := g.CommitFile("a.txt", "one\n")
	g.Tag("v1.0.0", string(first))
	g.Branch("main", "feature/login", "both")
	g.Git("tag", "both", string(first))
	g.Git("update-ref", "refs/remotes/origin/prod", string(first))
	r := open(t, g.Dir)
	for ref, want := range map[string]string{
		"main": "refs/heads/main", "HEAD": "refs/heads/main", "feature/login": "refs/heads/feature/login", "refs/heads/main": "refs/heads/main",
		"v1.0.0": "refs/tags/v1.0.0", "refs/tags/both": "refs/tags/both", "both": "refs/heads/both",
		"origin/prod": "refs/heads/prod", string(first): "", string(first)[:10]: "", "main~0": "",
	} {
		t.Run(ref, func(t *testing.T) {
			if got := must[string](t)(r.FullName(t.Context(), ref)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	t.Run("HEAD that is on no branch", func(t *testing.T) {
		g.Git("checkout", "--quiet", "--detach", string(first))
		if got := must[string](t)(r.FullName(t.Context(), "HEAD")); got != "" {
			t.Errorf("got %q", got)
		}
	})
	_, err := r.FullName(t.Context(), "--all")
	wantKind(t, err, towpath.KindInvalid)
}

func TestRepository_Resolve(t *testing.T) {
	g := gittest.New(t)
	first := g.CommitFile("a.txt", "one\n")
	second := g.CommitFile("a.txt", "two\n")
	g.Tag("v1.0.0", string(first))
	g.Branch("main", "staging", "feature/login")
	g.Git("branch", "both", string(second))
	g.Git("tag", "both", string(first))
	g.Git("update-ref", "refs/remotes/origin/prod", string(first))
	r := open(t, g.Dir)

	for ref, want := range map[string]towpath.CommitID{
		"main": second, "HEAD": second, "main~1": first, "HEAD^": first, "v1.0.0": first, "@": second,
		string(first): first, string(first)[:10]: first, "refs/heads/staging": second, "feature/login": second,
		"refs/tags/both": first, "origin/prod": first,
	} {
		t.Run("knows "+ref, func(t *testing.T) {
			if got := must[towpath.CommitID](t)(r.Resolve(t.Context(), ref)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	for ref, hint := range map[string]string{
		"stagin": "staging", "Main": "main", "login": "feature/login", "prod": "origin/prod", "v1.0.1": "v1.0.0", "zzzzzz": "git branch",
	} {
		t.Run("suggests a name for "+ref, func(t *testing.T) {
			_, err := r.Resolve(t.Context(), ref)
			wantKind(t, err, towpath.KindNotFound)
			if _, got := towpath.PublicMessage(err); !strings.Contains(got, hint) {
				t.Errorf("hint is %q, want %q in it", got, hint)
			}
		})
	}
	for _, ref := range []string{
		"", "-", "--upload-pack=x", "--all", "-n1", "main..dev", "main...dev", "main:a.txt", ":/two", "main^{/two}", "main@{1}",
		"@{-1}", "^main", "main dev", "main\nHEAD", "main\x00", "a..b", "../main", "a//b", "main.lock", "*", "main~x", "\xff",
	} {
		t.Run("refuses "+ref, func(t *testing.T) {
			_, err := r.Resolve(t.Context(), ref)
			wantKind(t, err, towpath.KindInvalid)
		})
	}
	t.Run("refuses a name that is a branch and a tag", func(t *testing.T) {
		_, err := r.Resolve(t.Context(), "both")
		wantKind(t, err, towpath.KindConflict)
	})
}

func TestRepository_RefusesOptionsInPlaceOfCommits(t *testing.T) {
	g := gittest.New(t)
	tip := g.CommitFile("a.txt", "one\n")
	r, ctx := open(t, g.Dir), t.Context()
	for _, bad := range []towpath.CommitID{"", "--all", "-h", "HEAD", "main", "--output=x", towpath.CommitID(string(tip) + "\n"), tip[:8]} {
		errs := map[string]error{}
		_, errs["Commit"] = r.Commit(ctx, bad)
		_, errs["Range"] = r.Range(ctx, tip, bad, 0)
		_, errs["Count"] = r.Count(ctx, tip, bad)
		_, errs["IsAncestor"] = r.IsAncestor(ctx, tip, bad)
		_, errs["Describe"] = r.Describe(ctx, bad)
		_, errs["TreeID"] = r.TreeID(ctx, bad, "a.txt")
		errs["Walk"] = r.Walk(ctx, bad, git.Selection{}, func(git.Entry) error { return nil })
		_, errs["IsContentFreeMerge"] = r.IsContentFreeMerge(ctx, bad)
		_, errs["Plan"] = r.Plan(ctx, advance("dev", "", bad, nil))
		_, errs["Apply"] = r.Apply(ctx, git.Plan{Branch: "dev", New: bad, Candidate: tip})
		errs["SetRef"] = r.SetRef(ctx, "refs/towpath/env/dev", bad, "")
		for name, err := range errs {
			if towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%s(%q): error is %v, want invalid", name, bad, err)
			}
		}
	}
	for _, bad := range []string{"", "-d", "--stdin", "a..b", "refs/heads/dev", "a b", "dev\x00", "dev\n", ".dev", "dev/", "@", "a/.b", "x.lock"} {
		for name, err := range map[string]error{
			"Tip":   second(r.Tip(ctx, bad)),
			"Plan":  second(r.Plan(ctx, advance(bad, "", tip, nil))),
			"Apply": second(r.Apply(ctx, git.Plan{Branch: bad, New: tip, Candidate: tip})),
		} {
			if towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%s(%q): error is %v, want invalid", name, bad, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRepository_Commit(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile(".mailmap", "Eve <eve@example.com> <ben@example.com>\n")
	first := g.Commit("first")
	g.WriteFile("a.txt", "one\n")
	id := g.CommitAs(gittest.Ben, "a subject\non two lines\n\nand a body")
	r := open(t, g.Dir)

	t.Run("reads all fields and no mailmap", func(t *testing.T) {
		got := must[git.Commit](t)(r.Commit(t.Context(), id))
		if got.ID != id || len(got.Parents) != 1 || got.Parents[0] != first || got.Tree != g.Git("rev-parse", "HEAD^{tree}") {
			t.Errorf("graph of the commit is %+v", got)
		}
		if got.AuthorName != "Ben" || got.AuthorEmail != "ben@example.com" || got.CommitterEmail != "ben@example.com" {
			t.Errorf("people of the commit are %+v", got)
		}
		if want := gittest.Start.Add(2 * time.Minute); !got.AuthorTime.Equal(want) || !got.CommitTime.Equal(want) {
			t.Errorf("times are %s and %s, want %s", got.AuthorTime, got.CommitTime, want)
		}
		if got.Message != "a subject on two lines" {
			t.Errorf("subject is %q", got.Message)
		}
	})
	t.Run("reads no mailmap in a bare repository either", func(t *testing.T) {
		bare := open(t, g.CloneBare(filepath.Join(t.TempDir(), "bare.git")).Dir)
		if got := must[git.Commit](t)(bare.Commit(t.Context(), id)); got.AuthorEmail != "ben@example.com" || got.CommitterName != "Ben" {
			t.Errorf("people of the commit are %+v", got)
		}
	})
	t.Run("says that a commit is not there", func(t *testing.T) {
		_, err := r.Commit(t.Context(), absent)
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("says that an object is not a commit", func(t *testing.T) {
		_, err := r.Commit(t.Context(), towpath.CommitID(g.Git("rev-parse", "HEAD^{tree}")))
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("keeps names that are not UTF-8 readable", func(t *testing.T) {
		raw := strings.ReplaceAll(g.Git("cat-file", "commit", string(id))+"\n", "Ben", "Zo\xeb")
		id := towpath.CommitID(g.GitAs(gittest.Ana, raw, "hash-object", "-t", "commit", "-w", "--stdin"))
		if got := must[git.Commit](t)(r.Commit(t.Context(), id)); got.AuthorName != "Zo\uFFFD" {
			t.Errorf("name is %q", got.AuthorName)
		}
	})
}

func TestRepository_Range(t *testing.T) {
	g := gittest.New(t)
	var ids []towpath.CommitID
	for _, s := range []string{"1", "2", "3", "4"} {
		ids = append(ids, g.CommitFile("a.txt", s))
	}
	r, ctx := open(t, g.Dir), t.Context()

	t.Run("lists what the newer one adds, newest first", func(t *testing.T) {
		got := must[[]git.Commit](t)(r.Range(ctx, ids[1], ids[3], 0))
		if len(got) != 2 || got[0].ID != ids[3] || got[1].ID != ids[2] {
			t.Errorf("range is %+v", got)
		}
		if n := must[int](t)(r.Count(ctx, ids[1], ids[3])); n != 2 {
			t.Errorf("count is %d", n)
		}
	})
	t.Run("lists from the beginning when from is empty", func(t *testing.T) {
		if got := must[[]git.Commit](t)(r.Range(ctx, "", ids[3], 0)); len(got) != 4 {
			t.Errorf("range has %d commits", len(got))
		}
	})
	t.Run("is empty when there is nothing new", func(t *testing.T) {
		if got := must[[]git.Commit](t)(r.Range(ctx, ids[3], ids[0], 0)); len(got) != 0 {
			t.Errorf("range is %+v", got)
		}
	})
	t.Run("never passes a part off as the whole", func(t *testing.T) {
		got, err := r.Range(ctx, "", ids[3], 3)
		wantKind(t, err, towpath.KindExhausted)
		if len(got) != 3 {
			t.Errorf("range has %d commits", len(got))
		}
	})
	t.Run("says which commit is not there", func(t *testing.T) {
		_, err := r.Range(ctx, absent, ids[3], 0)
		wantKind(t, err, towpath.KindNotFound)
		_, err = r.IsAncestor(ctx, ids[0], absent)
		wantKind(t, err, towpath.KindNotFound)
	})
	t.Run("knows ancestors", func(t *testing.T) {
		for _, c := range []struct {
			a, b towpath.CommitID
			want bool
		}{{ids[0], ids[3], true}, {ids[3], ids[0], false}, {ids[2], ids[2], true}} {
			if got := must[bool](t)(r.IsAncestor(ctx, c.a, c.b)); got != c.want {
				t.Errorf("IsAncestor is %v, want %v", got, c.want)
			}
		}
	})
}

func TestRepository_Branches(t *testing.T) {
	g := gittest.New(t)
	r, ctx := open(t, g.Dir), t.Context()
	if head := must[git.Branch](t)(r.Head(ctx)); head != (git.Branch{Name: "main"}) {
		t.Errorf("head of an empty repository is %+v", head)
	}
	if at := must[map[string]string](t)(r.CheckedOut(ctx)); at["main"] == "" {
		t.Errorf("the unborn branch does not count as checked out: %v", at)
	}
	tip := g.CommitFile("a.txt", "one\n")
	g.Branch("main", "dev", "feature/x")
	linked := g.Worktree(filepath.Join(t.TempDir(), "with space"), "dev")

	want := []git.Branch{{Name: "dev", Tip: tip}, {Name: "feature/x", Tip: tip}, {Name: "main", Tip: tip}}
	if got := must[[]git.Branch](t)(r.Branches(ctx)); !slices.Equal(got, want) {
		t.Errorf("branches are %+v", got)
	}
	at := must[map[string]string](t)(r.CheckedOut(ctx))
	if len(at) != 2 || at["dev"] != linked || at["main"] == "" {
		t.Errorf("checked out are %v", at)
	}
	g.Detach()
	if head := must[git.Branch](t)(r.Head(ctx)); head != (git.Branch{Tip: tip}) {
		t.Errorf("detached head is %+v", head)
	}
	if got := must[towpath.CommitID](t)(r.Tip(ctx, "missing")); got != "" {
		t.Errorf("tip of no branch is %s", got)
	}
}

func TestRepository_Describe(t *testing.T) {
	g := gittest.New(t)
	first := g.CommitFile("a.txt", "1")
	g.Branch("main", "side")
	second := g.CommitFile("a.txt", "2")
	g.Checkout("side")
	onSide := g.CommitFile("b.txt", "1")
	g.Checkout("main")
	merged := g.Merge("side")
	r, ctx := open(t, g.Dir), t.Context()

	describe := func(id towpath.CommitID) git.Description { return must[git.Description](t)(r.Describe(ctx, id)) }
	if d := describe(merged); d != (git.Description{Distance: 3}) {
		t.Errorf("without tags: %+v", d)
	}
	g.Git("tag", "v9", string(second))
	g.Git("tag", "v9.1", string(second))
	g.Git("tag", "version-9", string(second))
	g.Git("tag", "v9.0.0", string(onSide))
	g.Git("tag", "v9.9.9", g.Git("rev-parse", "HEAD^{tree}"))
	g.Tag("v1.2.0", string(first))
	g.Tag("v1.10.0-rc.1", string(first))
	g.Tag("v1.10.0", string(first))
	if d := describe(merged); d != (git.Description{Tag: "v1.10.0", Commit: first, Distance: 2}) {
		t.Errorf("with tags: %+v", d)
	}
	g.Tag("v2.0.0-rc.1+b7", string(merged))
	if d := describe(merged); d.Tag != "v2.0.0-rc.1+b7" || d.Distance != 0 {
		t.Errorf("at the tag: %+v", d)
	}
	_, err := r.Describe(ctx, absent)
	wantKind(t, err, towpath.KindNotFound)
}

func TestRepository_TreeID(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile("svc/a/x", "1")
	g.WriteFile("svc/new\nline/x", "1")
	one := g.CommitFile("svc/b/x", "1")
	two := g.CommitFile("svc/b/x", "2")
	r, ctx := open(t, g.Dir), t.Context()
	id := func(c towpath.CommitID, p string) string { return must[string](t)(r.TreeID(ctx, c, p)) }

	if id(one, "svc/a") != id(two, "./svc/a/") || id(one, "svc/b") == id(two, "svc/b") {
		t.Error("IDs do not follow content")
	}
	if id(one, "") != g.Git("rev-parse", string(one)+"^{tree}") || id(one, "svc/a") != id(one, "svc/new\nline") {
		t.Error("IDs are not git's")
	}
	g.WriteFile("run", "svc")
	plain := g.Commit("plain")
	g.WriteExecutable("run", "svc")
	runs := g.Commit("runs")
	g.Remove("run")
	g.Symlink("svc", "run")
	link := g.Commit("link")
	if a, b, c := id(plain, "run"), id(runs, "./run"), id(link, "run"); a == b || b == c || a == c || id(runs, "run") != b {
		t.Errorf("modes of a file make no difference: %q, %q, %q", a, b, c)
	}
	for p, kind := range map[string]towpath.Kind{"svc/c": towpath.KindNotFound, "../x": towpath.KindInvalid, "/svc": towpath.KindInvalid} {
		_, err := r.TreeID(ctx, one, p)
		wantKind(t, err, kind)
	}
	_, err := r.TreeID(ctx, absent, "svc")
	wantKind(t, err, towpath.KindNotFound)
	var te *towpath.Error
	if !errors.As(err, &te) || !strings.Contains(te.Message, "commit") {
		t.Errorf("error does not blame the commit: %v", err)
	}
}
