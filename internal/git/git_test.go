package git_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func open(t *testing.T, dir string) *git.Repository {
	t.Helper()
	r, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatalf("open %s: %v", dir, err)
	}
	return r
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// wantKind demands an error of a kind that says what to do next.
func wantKind(t *testing.T, err error, kind towpath.Kind) {
	t.Helper()
	if towpath.KindOf(err) != kind {
		t.Fatalf("error is %q (%v), want kind %q", towpath.KindOf(err), err, kind)
	}
	if _, hint := towpath.PublicMessage(err); hint == "" {
		t.Errorf("error %q has no hint", err)
	}
}

func advance(branch string, expect, candidate towpath.CommitID, recorded func(towpath.CommitID) bool) git.AdvanceRequest {
	return git.AdvanceRequest{
		Branch: branch, Expect: expect, Candidate: candidate, Recorded: recorded,
		Message:  "Promote to " + branch,
		When:     gittest.Start.Add(24 * time.Hour),
		Identity: git.Identity{Name: "Towpath", Email: "towpath@example.com"},
	}
}

// record is the set of commits that Towpath recorded.
type record map[towpath.CommitID]bool

func (r record) has(id towpath.CommitID) bool { return r[id] }

func contextCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
