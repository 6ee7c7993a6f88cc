package git

import (
	"context"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// DefaultRange is the limit of [Repository.Range] when the caller has none.
const DefaultRange = 10_000

// Range lists the commits that are reachable from to and not from from, no
// child after its parent, newest first. An empty from stands for the beginning.
//
// When there are more than limit, the newest limit commits come with an error
// of KindExhausted: who decides on *all* commits (their authors, say) must not
// take a part for the whole.
func (r *Repository) Range(ctx context.Context, from, to towpath.CommitID, limit int) ([]Commit, error) {
	const op = "git.range"
	if limit <= 0 {
		limit = DefaultRange
	}
	spec, err := r.span(op, from, to)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--topo-order", "--max-count=" + strconv.Itoa(limit+1)}, spec...)
	commits, err := r.commits(ctx, op, args...)
	if err != nil {
		return nil, r.explain(ctx, op, err, ends(from, to)...)
	}
	if len(commits) > limit {
		return commits[:limit], towpath.E(towpath.KindExhausted, op,
			"there are more than %d commits between %s and %s", limit, orNothing(from), towpath.Short(to)).
			WithHint("promote a commit nearer to what runs, or raise the limit of commits")
	}
	return commits, nil
}

// Count is how many commits [Repository.Range] would list without a limit.
func (r *Repository) Count(ctx context.Context, from, to towpath.CommitID) (int, error) {
	const op = "git.count"
	spec, err := r.span(op, from, to)
	if err != nil {
		return 0, err
	}
	out, err := r.git(ctx, op, input{}, "rev-list", append([]string{"--count"}, spec...)...)
	if err != nil {
		return 0, r.explain(ctx, op, err, ends(from, to)...)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// IsAncestor reports whether b contains a; a commit contains itself.
func (r *Repository) IsAncestor(ctx context.Context, a, b towpath.CommitID) (bool, error) {
	const op = "git.is-ancestor"
	if _, err := r.span(op, a, b); err != nil {
		return false, err
	}
	_, err := r.git(ctx, op, input{}, "merge-base", "--is-ancestor", string(a), string(b))
	switch {
	case err == nil:
		return true, nil
	case exitCode(err) == 1:
		return false, nil
	}
	return false, r.explain(ctx, op, err, a, b)
}

// span checks the ends of a range and gives it as arguments of git rev-list.
func (r *Repository) span(op string, from, to towpath.CommitID) ([]string, error) {
	if err := r.wholeHistory(op); err != nil {
		return nil, err
	}
	if err := checkCommit(op, ends(from, to)...); err != nil {
		return nil, err
	}
	if from == "" {
		return []string{string(to), "--"}, nil
	}
	return []string{string(to), "^" + string(from), "--"}, nil
}

func ends(from, to towpath.CommitID) []towpath.CommitID {
	if from == "" {
		return []towpath.CommitID{to}
	}
	return []towpath.CommitID{from, to}
}
