package git

import (
	"context"
	"errors"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// IsContentFreeMerge reports whether a merge made by hand adds nothing and
// drops nothing, so that the caller may record it: its tree is that of one of
// its parents, and git merging the parents by itself, without a conflict, gives
// that same tree.
//
// The second condition refuses `merge -s ours`: it has a parent's tree too, but
// claims to contain commits whose content it threw away.
func (r *Repository) IsContentFreeMerge(ctx context.Context, merge towpath.CommitID) (bool, error) {
	const op = "git.content-free"
	if err := r.wholeHistory(op); err != nil {
		return false, err
	}
	m, err := r.Commit(ctx, merge)
	if err != nil || !m.IsMerge() {
		return false, err
	}
	same := -1
	for i, id := range m.Parents {
		p, err := r.Commit(ctx, id)
		if err != nil {
			return false, err
		}
		contains, err := r.containsAll(ctx, id, m.Parents)
		if err != nil {
			return false, err
		}
		if p.Tree == m.Tree {
			if contains {
				return true, nil // nothing on the other sides to merge
			}
			same = i
		}
	}
	if same < 0 || len(m.Parents) != 2 {
		return false, nil
	}
	tree, clean, err := r.automerge(ctx, op, m.Parents[0], m.Parents[1])
	return clean && tree == m.Tree, err
}

// containsAll reports whether every one of commits is reachable from tip.
func (r *Repository) containsAll(ctx context.Context, tip towpath.CommitID, commits []towpath.CommitID) (bool, error) {
	for _, c := range commits {
		if ok, err := r.IsAncestor(ctx, c, tip); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// automerge is the tree that git makes of two commits; clean is false when
// they conflict.
func (r *Repository) automerge(ctx context.Context, op string, a, b towpath.CommitID) (tree string, clean bool, err error) {
	out, err := r.git(ctx, op, input{}, "merge-tree", "--write-tree", "--no-messages", string(a), string(b))
	switch {
	case err == nil:
		return strings.TrimSpace(string(out)), true, nil
	case exitCode(err) == 1:
		return "", false, nil
	}
	var c *CommandError
	if errors.As(err, &c) && strings.Contains(c.Stderr, "unrelated histories") {
		return "", false, nil
	}
	return "", false, err
}
