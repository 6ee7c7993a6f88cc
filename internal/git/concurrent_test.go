package git_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

func TestRepository_Advance_ConcurrentPushes(t *testing.T) {
	const people, pushes, promotions = 3, 6, 12
	seed, first := upstream(t)
	origin := seed.CloneBare(filepath.Join(t.TempDir(), "origin.git"))
	r := open(t, origin.Dir)

	var mu sync.Mutex
	kept := []towpath.CommitID{first}
	keep := func(id towpath.CommitID) { mu.Lock(); defer mu.Unlock(); kept = append(kept, id) }

	var wg sync.WaitGroup
	for p := range people {
		clone := origin.Clone(filepath.Join(t.TempDir(), "clone"))
		wg.Go(func() {
			for i := range pushes {
				id, err := pushOnTop(clone, fmt.Sprintf("person %d, push %d", p, i))
				if err != nil {
					t.Error(err)
					return
				}
				keep(id)
			}
		})
	}
	for i := 0; i < promotions; {
		tip := must[towpath.CommitID](t)(r.Tip(t.Context(), "dev"))
		tree := must[string](t)(r.TreeID(t.Context(), tip, ""))
		candidate := origin.CommitTree(gittest.Ben, tree, fmt.Sprintf("candidate %d", i), tip)
		got, err := r.Advance(t.Context(), advance("dev", tip, candidate, nil))
		var m *git.MovedError
		switch {
		case err == nil:
			keep(got.New)
			i++
		case errors.As(err, &m), towpath.KindOf(err) == towpath.KindUnavailable:
			// A push came between, or held the lock: look again.
		default:
			t.Fatalf("promotion %d: %v", i, err)
		}
	}
	wg.Wait()

	tip := origin.Tip("dev")
	for _, id := range kept {
		if in := must[bool](t)(r.IsAncestor(t.Context(), id, tip)); !in {
			t.Errorf("commit %s was accepted and is lost", id)
		}
	}
	if want := 1 + people*pushes + promotions; len(kept) != want {
		t.Errorf("%d commits were accepted, want %d", len(kept), want)
	}
}

// pushOnTop commits on top of origin's dev and pushes, as often as it takes.
func pushOnTop(clone *gittest.Repo, message string) (towpath.CommitID, error) {
	for {
		if _, err := clone.Try(gittest.Ana, "", "fetch", "--quiet", "origin", "dev"); err != nil {
			return "", err
		}
		id, err := clone.Try(gittest.Ana, message, "commit-tree", "FETCH_HEAD^{tree}", "-p", "FETCH_HEAD")
		if err != nil {
			return "", err
		}
		if clone.Push(id+":refs/heads/dev") == nil {
			return towpath.CommitID(id), nil
		}
	}
}

func TestRepository_Apply_ManyAtOnce(t *testing.T) {
	g, _, plan := journalled(t)
	r := open(t, g.Dir)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				got, err := r.Apply(t.Context(), plan)
				if towpath.KindOf(err) == towpath.KindUnavailable {
					continue
				}
				if err != nil || got.Tip != plan.New {
					t.Errorf("result %+v, error %v", got, err)
				}
				return
			}
		})
	}
	wg.Wait()
}

func TestRepository_Apply_OneOfManyPlansWins(t *testing.T) {
	g, first := upstream(t)
	r := open(t, g.Dir)
	tree := g.Git("rev-parse", "HEAD^{tree}")
	var plans []git.Plan
	for i := range 8 {
		candidate := g.CommitTree(gittest.Ana, tree, fmt.Sprint(i), first)
		plans = append(plans, must[git.Plan](t)(r.Plan(t.Context(), advance("dev", first, candidate, nil))))
	}
	var wg sync.WaitGroup
	won := make(chan towpath.CommitID, len(plans))
	for _, plan := range plans {
		wg.Go(func() {
			_, err := r.Apply(t.Context(), plan)
			var m *git.MovedError
			switch {
			case err == nil:
				won <- plan.New
			case !errors.As(err, &m) && towpath.KindOf(err) != towpath.KindUnavailable:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []towpath.CommitID
	for id := range won {
		winners = append(winners, id)
	}
	if len(winners) != 1 || winners[0] != g.Tip("dev") {
		t.Errorf("winners are %v, dev is at %s", winners, g.Tip("dev"))
	}
}
