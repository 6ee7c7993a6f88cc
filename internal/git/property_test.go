package git_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// graph is what the test itself knows of history: each commit's parents.
type graph map[towpath.CommitID][]towpath.CommitID

func (g graph) reach(from towpath.CommitID) record {
	seen := record{}
	todo := []towpath.CommitID{from}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if id != "" && !seen[id] {
			seen[id] = true
			todo = append(todo, g[id]...)
		}
	}
	return seen
}

// drawHistory makes a repository of a few commits with random parents and
// content. Every commit stays reachable by a ref of its own.
func drawHistory(t *rapid.T, dir string) (*gittest.Repo, graph, []towpath.CommitID) {
	repo := gittest.NewBareAt(t, dir)
	var stream strings.Builder
	n := rapid.IntRange(2, 9).Draw(t, "commits")
	parents := make([][]int, n)
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/made/%d\nmark :%d\ncommitter Ana <ana@example.com> %d +0000\ndata %d\n%d\n",
			i, i+1, gittest.Start.Unix()+int64(i), len(fmt.Sprint(i)), i)
		if i > 0 {
			parents[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, min(2, i), rapid.ID).Draw(t, "parents")
		}
		for j, p := range parents[i] {
			fmt.Fprintf(&stream, "%s :%d\n", []string{"from", "merge"}[j], p+1)
		}
		fmt.Fprintf(&stream, "M 644 inline f\ndata 1\n%d\n", rapid.IntRange(0, 3).Draw(t, "content"))
	}
	marks := filepath.Join(dir, "marks")
	repo.GitAs(gittest.Ana, stream.String(), "fast-import", "--quiet", "--export-marks="+marks)
	lines, err := os.ReadFile(marks)
	if err != nil {
		t.Fatalf("read marks: %v", err)
	}
	ids := make([]towpath.CommitID, n)
	for line := range strings.Lines(string(lines)) {
		var mark int
		var id string
		fmt.Sscanf(line, ":%d %s", &mark, &id)
		ids[mark-1] = towpath.CommitID(id)
	}
	known := graph{}
	for i, ps := range parents {
		known[ids[i]] = nil
		for _, p := range ps {
			known[ids[i]] = append(known[ids[i]], ids[p])
		}
	}
	return repo, known, ids
}

func TestRepository_Advance_NeverLosesACommit(t *testing.T) {
	base := t.TempDir()
	kinds := map[git.MoveKind]int{}
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "") //nolint:usetesting // one of many inside a property; base is the test's own
		if err != nil {
			t.Fatalf("make a directory: %v", err)
		}
		defer os.RemoveAll(dir)
		repo, known, ids := drawHistory(t, dir)
		recorded := record{}
		for _, id := range ids {
			recorded[id] = rapid.IntRange(0, 2).Draw(t, "recorded") == 0
		}
		var tip towpath.CommitID
		if rapid.IntRange(0, 9).Draw(t, "exists") > 0 {
			tip = rapid.SampledFrom(ids).Draw(t, "tip")
			repo.Git("update-ref", "refs/heads/env", string(tip))
		}
		r, err := git.Open(t.Context(), dir)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "promotions") {
			candidate := rapid.SampledFrom(ids).Draw(t, "candidate")
			want, foreign := expected(known, recorded, tip, candidate)
			got, err := r.Advance(t.Context(), advance("env", tip, candidate, recorded.has))
			now, tipErr := r.Tip(t.Context(), "env")
			if tipErr != nil {
				t.Fatalf("tip: %v", tipErr)
			}
			if foreign > 0 {
				var f *git.ForeignError
				if !errors.As(err, &f) || len(f.Commits) != foreign || now != tip {
					t.Fatalf("%d foreign commits: error %v, branch went from %s to %s", foreign, err, tip, now)
				}
				refused++
				continue
			}
			if err != nil || got.Kind != want || now != got.New || got.Old != tip {
				t.Fatalf("want %s, got %+v, error %v", want, got, err)
			}
			if want == git.MoveMerge {
				known[now] = []towpath.CommitID{tip, candidate}
				recorded[now] = rapid.Bool().Draw(t, "record the merge")
			}
			reach := known.reach(now)
			for id := range known.reach(tip) {
				if !reach[id] {
					t.Fatalf("commit %s was on the branch and is lost", id)
				}
			}
			if !reach[candidate] {
				t.Fatalf("candidate %s is not on the branch", candidate)
			}
			kinds[want]++
			tip = now
		}
	})
	for _, kind := range []git.MoveKind{git.MoveFastForward, git.MoveMerge, git.MoveAlready} {
		if kinds[kind] == 0 {
			t.Errorf("no history led to %s: the property proves little", kind)
		}
	}
	t.Logf("%v, %d refused", kinds, refused)
}

// expected is what should happen, told from the test's own graph.
func expected(known graph, recorded record, tip, candidate towpath.CommitID) (kind git.MoveKind, foreign int) {
	has, on := known.reach(candidate), known.reach(tip)
	for id := range on {
		if !has[id] && !recorded[id] {
			foreign++
		}
	}
	switch {
	case on[candidate]:
		return git.MoveAlready, foreign
	case tip == "" || has[tip]:
		return git.MoveFastForward, foreign
	}
	return git.MoveMerge, foreign
}
