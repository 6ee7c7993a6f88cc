package git

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

// Identity is the author and committer of the merges that Towpath makes.
type Identity struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// AdvanceRequest asks that a branch contain a candidate.
type AdvanceRequest struct {
	Branch    string
	Expect    towpath.CommitID // where the branch is; empty: it must not exist yet
	Candidate towpath.CommitID
	// Recorded says whether Towpath or the forge made a commit and Towpath
	// recorded it. It may be nil: nothing is.
	Recorded func(towpath.CommitID) bool

	// Of the merge commit, if one is needed. The same request makes the same
	// object ID, so they must not vary between a try and its retry.
	Message  string
	When     time.Time // whole seconds
	Identity Identity
}

// MoveKind is how a branch comes to contain a candidate.
type MoveKind string

// The kinds of move. To make a branch that does not exist is a fast-forward.
const (
	MoveFastForward MoveKind = "fast-forward"
	MoveMerge       MoveKind = "merge"
	MoveAlready     MoveKind = "already" // it did already; nothing moves
)

// Plan is one move of a branch, computed and not yet made. Callers journal it
// (it is plain JSON) before they apply it; anyone who has it can apply it, any
// number of times.
type Plan struct {
	Branch    string           `json:"branch"`
	Kind      MoveKind         `json:"kind"`
	Old       towpath.CommitID `json:"old"` // empty: the branch is made
	New       towpath.CommitID `json:"new"`
	Candidate towpath.CommitID `json:"candidate"`

	// Of the merge commit New, so that it can be made again if it was lost.
	Tree     string    `json:"tree,omitempty"`
	Message  string    `json:"message,omitempty"`
	When     time.Time `json:"when,omitzero"`
	Identity Identity  `json:"identity,omitzero"`
}

// Plan computes how a branch would come to contain a candidate. It moves no
// ref; a merge commit that is needed is made and lies unreachable.
//
//   - The branch contains the candidate and all it has beyond is recorded:
//     MoveAlready, whatever req.Expect says, so that a retry after a crash is.
//   - The branch is not at req.Expect: a conflict with a [MovedError].
//   - The branch has unrecorded commits that the candidate lacks: a conflict
//     with a [ForeignError].
//   - A work tree has the branch checked out: locked, with a [CheckedOutError].
//   - Otherwise a fast-forward; or, when recorded commits stand in its way, a
//     merge that has the candidate's tree and parents (branch, candidate).
func (r *Repository) Plan(ctx context.Context, req AdvanceRequest) (Plan, error) {
	const op = "git.plan"
	ref, err := req.check(op)
	if err != nil {
		return Plan{}, err
	}
	if err := r.wholeHistory(op); err != nil {
		return Plan{}, err
	}
	if err := r.notSymbolic(ctx, op, ref); err != nil {
		return Plan{}, err
	}
	candidate, err := r.Commit(ctx, req.Candidate)
	if err != nil {
		return Plan{}, err
	}
	tip, err := r.read(ctx, op, ref)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Branch: req.Branch, Kind: MoveFastForward, Old: tip, New: req.Candidate, Candidate: req.Candidate}

	var foreign []Commit
	behind := true // whether the candidate has all that the branch has
	if tip != "" {
		if foreign, behind, err = r.foreign(ctx, tip, req.Candidate, req.Recorded); err != nil {
			return Plan{}, err
		}
		ahead, err := r.IsAncestor(ctx, req.Candidate, tip)
		if err != nil {
			return Plan{}, err
		}
		if ahead && len(foreign) == 0 {
			plan.Kind, plan.New = MoveAlready, tip
			return plan, nil
		}
	}
	switch {
	case tip != req.Expect:
		return Plan{}, moved(op, &MovedError{Ref: ref, Expected: req.Expect, Found: tip})
	case len(foreign) > 0:
		return Plan{}, foreignConflict(op, &ForeignError{Branch: req.Branch, Candidate: req.Candidate, Commits: foreign})
	}
	if err := r.free(ctx, op, req.Branch); err != nil {
		return Plan{}, err
	}
	if behind {
		return plan, nil
	}
	plan.Kind, plan.Tree = MoveMerge, candidate.Tree
	plan.Message, plan.When, plan.Identity = req.Message, req.When.UTC(), req.Identity
	plan.New, err = r.makeMerge(ctx, op, plan)
	return plan, err
}

func (req AdvanceRequest) check(op string) (ref string, err error) {
	if ref, err = branchRef(op, req.Branch); err != nil {
		return "", err
	}
	if err := checkCommit(op, ends(req.Expect, req.Candidate)...); err != nil {
		return "", err
	}
	for _, field := range []struct{ what, text string }{
		{"message", req.Message}, {"identity's name", req.Identity.Name}, {"identity's email", req.Identity.Email},
	} {
		if strings.TrimSpace(field.text) == "" || !utf8.ValidString(field.text) || strings.ContainsRune(field.text, 0) {
			return "", towpath.E(towpath.KindInvalid, op, "the %s of the merge commit is empty or not text", field.what).
				WithHint("fill it in: it becomes part of the repository's history")
		}
	}
	if strings.ContainsAny(req.Identity.Name+req.Identity.Email, "<>\n") {
		return "", towpath.E(towpath.KindInvalid, op, "the identity of the merge commit has a character that git does not allow").
			WithHint("leave out <, > and line breaks")
	}
	if req.When.Unix() <= 0 || req.When.Nanosecond() != 0 {
		return "", towpath.E(towpath.KindInvalid, op, "the time of the merge commit is not in whole seconds after 1970").
			WithHint("truncate the time to seconds before it is journalled, so that a retry has the same")
	}
	return ref, nil
}

// makeMerge writes the merge commit of a plan and returns its ID. The object
// is a function of the plan alone.
func (r *Repository) makeMerge(ctx context.Context, op string, p Plan) (towpath.CommitID, error) {
	date := "@" + strconv.FormatInt(p.When.Unix(), 10) + " +0000"
	in := input{
		stdin: strings.NewReader(p.Message),
		env: []string{
			"GIT_AUTHOR_NAME=" + p.Identity.Name, "GIT_AUTHOR_EMAIL=" + p.Identity.Email, "GIT_AUTHOR_DATE=" + date,
			"GIT_COMMITTER_NAME=" + p.Identity.Name, "GIT_COMMITTER_EMAIL=" + p.Identity.Email, "GIT_COMMITTER_DATE=" + date,
		},
	}
	out, err := r.git(ctx, op, in, "commit-tree", "--no-gpg-sign", "-p", string(p.Old), "-p", string(p.Candidate), p.Tree)
	return towpath.CommitID(strings.TrimSpace(string(out))), err
}

// free refuses a branch that any work tree has checked out.
func (r *Repository) free(ctx context.Context, op, branch string) error {
	at, err := r.CheckedOut(ctx)
	if err != nil {
		return err
	}
	if path, out := at[branch]; out {
		return checkedOut(op, &CheckedOutError{Branch: branch, WorkTree: path})
	}
	return nil
}

// notSymbolic refuses a branch that stands for another one: a move would
// replace the link, or move a branch that was not asked for.
func (r *Repository) notSymbolic(ctx context.Context, op, ref string) error {
	out, err := r.git(ctx, op, input{}, "symbolic-ref", "--quiet", ref)
	switch {
	case err == nil:
		return towpath.E(towpath.KindInvalid, op, "%s is a symbolic ref to %s", ref, strings.TrimSpace(string(out))).
			WithHint("name the branch that it stands for")
	case exitCode(err) == 1:
		return nil
	}
	return err
}
