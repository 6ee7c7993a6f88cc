package git_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func TestLookUp(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile("a", "1")
	first := g.Commit("first")
	g.Git("tag", "-a", "-m", "one", "v1", string(first))
	g.WriteFile("a", "2")
	second := g.Commit("second")
	g.Branch("main", "x/v1", "v2")
	g.Tag("v2", string(first))
	g.Git("branch", "refs/tags/v1", "main") // whose name ends as the tag's does
	bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git"))
	for _, url := range []string{g.Dir, "file://" + bare.Dir} {
		for ref, want := range map[string]git.RemoteRef{
			"v1":            {Name: "refs/tags/v1", Commit: first}, // not x/v1, and not the tag's own object
			"x/v1":          {Name: "refs/heads/x/v1", Commit: second},
			"":              {Name: "refs/heads/main", Commit: second},
			"refs/heads/v2": {Name: "refs/heads/v2", Commit: second},
		} {
			if got, err := git.LookUp(t.Context(), url, ref); err != nil || got != want {
				t.Errorf("%s: %v, %v", ref, got, err)
			}
		}
		_, err := git.LookUp(t.Context(), url, "v2")
		wantKind(t, err, towpath.KindInvalid)
		_, err = git.LookUp(t.Context(), url, "v3")
		wantKind(t, err, towpath.KindNotFound)
	}
	t.Run("is of the repository that is named, whatever the environment says", func(t *testing.T) {
		other := gittest.New(t)
		other.WriteFile("b", "")
		other.Commit("other")
		t.Setenv("GIT_DIR", filepath.Join(other.Dir, ".git"))
		t.Setenv("GIT_CONFIG_COUNT", "1")
		t.Setenv("GIT_CONFIG_KEY_0", "url."+other.Dir+".insteadOf")
		t.Setenv("GIT_CONFIG_VALUE_0", g.Dir)
		if got, err := git.LookUp(t.Context(), g.Dir, ""); err != nil || got.Commit != second {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("refuses an empty repository, none, and transports that run programs", func(t *testing.T) {
		empty := t.TempDir()
		g.Git("init", "--quiet", "--bare", empty)
		_, err := git.LookUp(t.Context(), empty, "")
		wantKind(t, err, towpath.KindNotFound)
		for _, url := range []string{filepath.Join(empty, "none"), "ext::git-upload-pack " + g.Dir, "--upload-pack=true"} {
			_, err := git.LookUp(t.Context(), url, "main")
			wantKind(t, err, towpath.KindUnavailable)
		}
	})
}

func TestRepository_Files(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile("b/ä c", "")
	g.WriteFile("a", "")
	g.WriteFile(".gitignore", "ignored\n")
	g.WriteFile("b/.gitignore", "*.tmp\n")
	g.Commit("first")
	g.WriteFile("new", "")
	g.WriteFile("ignored/x", "")
	g.WriteFile("b/x.tmp", "")
	got, err := open(t, filepath.Join(g.Dir, "b")).Files(t.Context())
	if want := []string{".gitignore", "a", "b/.gitignore", "b/ä c", "new"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git"))
	if got, err := open(t, bare.Dir).Files(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRepository_Tracked(t *testing.T) {
	g := gittest.New(t)
	g.WriteFile(".own/b/x", "")
	g.WriteFile(".own/a", "")
	g.WriteFile(".owner/a", "")
	g.WriteFile("below/.own/a", "")
	old := g.Commit("first")
	g.Git("mv", ".own", ".Own")
	renamed := g.Commit("second")
	g.Git("rm", "-r", "-q", ".Own")
	none := g.Commit("third")
	g.Symlink("below", ".OWN")
	tracked := func(dir string, of towpath.CommitID) []string {
		t.Helper()
		return must[[]string](t)(open(t, dir).Tracked(t.Context(), of, ".own"))
	}
	below := filepath.Join(g.Dir, "below")
	for _, tt := range []struct {
		name string
		of   towpath.CommitID
		want []string
	}{
		{"what the commit has", old, []string{".own/a", ".own/b/x"}},
		{"in another case too", renamed, []string{".Own/a", ".Own/b/x"}},
		{"and not what is in the work tree only", none, nil},
	} {
		if got := tracked(below, tt.of); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	g.Git("add", ".OWN")
	if got := tracked(below, none); !slices.Equal(got, []string{".OWN"}) {
		t.Errorf("what is in the index: %q", got)
	}
	bare := g.CloneBare(filepath.Join(t.TempDir(), "bare.git"))
	if got := tracked(bare.Dir, old); len(got) != 2 || len(tracked(bare.Dir, none)) != 0 {
		t.Errorf("without a work tree: %q", got)
	}
	for commit, kind := range map[towpath.CommitID]towpath.Kind{absent: towpath.KindNotFound, "--all": towpath.KindInvalid} {
		_, err := open(t, g.Dir).Tracked(t.Context(), commit, ".own")
		wantKind(t, err, kind)
	}
}
