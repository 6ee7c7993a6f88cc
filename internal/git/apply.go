package git

import (
	"context"
	"errors"

	"github.com/towpath/towpath/internal/towpath"
)

// AdvanceResult is where a branch is after a move.
type AdvanceResult struct {
	Kind MoveKind         `json:"kind"`
	Old  towpath.CommitID `json:"old"` // empty: the branch was made
	New  towpath.CommitID `json:"new"` // what Towpath put there
	Tip  towpath.CommitID `json:"tip"` // what is there: New, or what was pushed on top of it since
}

// Advance plans and applies in one go, for callers without a journal.
func (r *Repository) Advance(ctx context.Context, req AdvanceRequest) (AdvanceResult, error) {
	plan, err := r.Plan(ctx, req)
	if err != nil {
		return AdvanceResult{}, err
	}
	return r.Apply(ctx, plan)
}

// Apply makes the move of a plan by compare-and-swap. It is idempotent: a
// branch that contains plan.New already was moved by an earlier try, even if
// somebody has pushed on top since. A branch that is neither there nor at
// plan.Old is a conflict with a [MovedError]: plan again. A branch that was
// checked out meanwhile is refused with a [CheckedOutError].
//
// A plan read from a journal is not trusted to keep history: one whose New does
// not contain its Old is refused.
func (r *Repository) Apply(ctx context.Context, plan Plan) (AdvanceResult, error) {
	const op = "git.apply"
	ref, err := branchRef(op, plan.Branch)
	if err != nil {
		return AdvanceResult{}, err
	}
	if err := checkCommit(op, append(ends(plan.Old, plan.New), plan.Candidate)...); err != nil {
		return AdvanceResult{}, err
	}
	if plan.Kind == MoveMerge && (plan.Old == "" || !commitPattern.MatchString(plan.Tree)) {
		return AdvanceResult{}, towpath.E(towpath.KindInvalid, op, "the plan for branch %s is not complete", plan.Branch).
			WithHint("plan again")
	}
	result := AdvanceResult{Kind: plan.Kind, Old: plan.Old, New: plan.New}
	if result.Tip, err = r.read(ctx, op, ref); err != nil {
		return AdvanceResult{}, err
	}
	if done, err := r.has(ctx, result.Tip, plan.New); err != nil || done {
		return result, err
	}
	if plan.Kind == MoveAlready || result.Tip != plan.Old {
		return AdvanceResult{}, moved(op, &MovedError{Ref: ref, Expected: plan.Old, Found: result.Tip})
	}
	if err := r.sound(ctx, op, plan); err != nil {
		return AdvanceResult{}, err
	}
	if err := r.notSymbolic(ctx, op, ref); err != nil {
		return AdvanceResult{}, err
	}
	if err := r.free(ctx, op, plan.Branch); err != nil {
		return AdvanceResult{}, err
	}
	if result.Tip, err = r.swap(ctx, op, ref, plan.New, plan.Old); err == nil {
		return result, nil
	}
	// Another process may have applied the same plan, and others pushed on top.
	var m *MovedError
	if errors.As(err, &m) {
		if done, _ := r.has(ctx, result.Tip, plan.New); done {
			return result, nil
		}
	}
	return AdvanceResult{}, err
}

// has reports whether tip contains commit. A commit that is not there at all
// (a merge not made yet) is in nothing.
func (r *Repository) has(ctx context.Context, tip, commit towpath.CommitID) (bool, error) {
	if tip == "" || tip == commit {
		return tip == commit, nil
	}
	in, err := r.IsAncestor(ctx, commit, tip)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return false, nil
	}
	return in, err
}

// sound makes sure that plan.New exists and that no commit would be lost.
func (r *Repository) sound(ctx context.Context, op string, plan Plan) error {
	if plan.Kind == MoveMerge {
		// Unreachable until the swap, the merge may have been collected since.
		made, err := r.makeMerge(ctx, op, plan)
		if err != nil {
			return err
		}
		if made != plan.New {
			return towpath.E(towpath.KindInternal, op, "the plan names merge commit %s but describes %s", plan.New, made).
				WithHint("the plan was altered after it was made: plan again")
		}
	}
	for _, kept := range ends(plan.Old, plan.Candidate) {
		in, err := r.IsAncestor(ctx, kept, plan.New)
		if err != nil {
			return err
		}
		if !in {
			return towpath.E(towpath.KindConflict, op, "the plan would take commit %s off branch %s", towpath.Short(kept), plan.Branch).
				WithHint("the plan was altered after it was made: plan again")
		}
	}
	return nil
}
