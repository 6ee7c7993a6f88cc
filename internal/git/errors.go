package git

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// ForeignError is in the chain of the conflict that refuses to advance a
// branch which has commits that the candidate lacks.
type ForeignError struct {
	Branch    string
	Candidate towpath.CommitID
	Commits   []Commit // newest first
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("branch %s has %d commits that %s lacks", e.Branch, len(e.Commits), e.Candidate)
}

// CheckedOutError is in the chain of the error that refuses to move a branch
// under somebody's work tree.
type CheckedOutError struct {
	Branch   string
	WorkTree string // absolute path
}

func (e *CheckedOutError) Error() string {
	return fmt.Sprintf("branch %s is checked out at %s", e.Branch, e.WorkTree)
}

// MovedError is in the chain of the conflict that says that a ref no longer
// has the value on which the caller decided. Trying again means to read, plan
// and journal again.
type MovedError struct {
	Ref      string
	Expected towpath.CommitID // empty: the ref was not to exist
	Found    towpath.CommitID // empty: the ref does not exist
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%s is at %s, not at %s", e.Ref, orNothing(e.Found), orNothing(e.Expected))
}

// listed is how many foreign commits a message names; the error has them all.
const listed = 5

func foreignConflict(op string, e *ForeignError) error {
	var names []string
	for i, c := range e.Commits {
		if i == listed {
			names = append(names, fmt.Sprintf("and %d more", len(e.Commits)-listed))
			break
		}
		names = append(names, fmt.Sprintf("%s %q by %s", towpath.Short(c.ID), c.Message, printable(c.AuthorName)))
	}
	err := towpath.E(towpath.KindConflict, op, "branch %s has commits that %s lacks: %s",
		e.Branch, towpath.Short(e.Candidate), strings.Join(names, "; ")).
		On(e.Branch).
		WithHint("merge %s into the branch upstream of it, then promote the result; a cherry-pick is not enough", e.Branch).
		WithCause(e)
	err.Fields = map[string]string{"branch": e.Branch, "foreign": strconv.Itoa(len(e.Commits))}
	return err
}

func checkedOut(op string, e *CheckedOutError) error {
	err := towpath.E(towpath.KindLocked, op, "branch %s is checked out at %s and is not moved under it", e.Branch, e.WorkTree).
		On(e.Branch).
		WithHint("switch that work tree to another branch (`git switch --detach`); if it is gone, run `git worktree prune`").
		WithCause(e)
	err.Fields = map[string]string{"branch": e.Branch, "worktree": e.WorkTree}
	return err
}

func moved(op string, e *MovedError) error {
	err := towpath.E(towpath.KindConflict, op, "%s moved meanwhile: it is at %s, not at %s",
		e.Ref, orNothing(e.Found), orNothing(e.Expected)).
		On(e.Ref).
		WithHint("somebody pushed; look at the branch again and retry").
		WithCause(e)
	err.Fields = map[string]string{"ref": e.Ref, "expected": string(e.Expected), "found": string(e.Found)}
	return err
}

func orNothing(id towpath.CommitID) string {
	if id == "" {
		return "nothing"
	}
	return towpath.Short(id)
}

// printable escapes what could drive a terminal: anyone can choose a name.
func printable(s string) string { return strings.Trim(strconv.Quote(s), `"`) }
