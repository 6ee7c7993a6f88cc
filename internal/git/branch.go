package git

import (
	"bytes"
	"context"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Branch is a local branch and the commit that it is at.
type Branch struct {
	Name string           `json:"name"`
	Tip  towpath.CommitID `json:"tip"`
}

// Branches lists the local branches by name.
func (r *Repository) Branches(ctx context.Context) ([]Branch, error) {
	refs, err := r.refs(ctx, "git.branches", branchPrefix)
	if err != nil {
		return nil, err
	}
	branches := make([]Branch, 0, len(refs))
	for _, ref := range refs {
		branches = append(branches, Branch{Name: strings.TrimPrefix(ref.name, branchPrefix), Tip: ref.commit})
	}
	return branches, nil
}

// Head is the branch that HEAD stands for, empty when it is detached, and the
// commit that it is at, empty before the first one.
func (r *Repository) Head(ctx context.Context) (Branch, error) {
	const op = "git.head"
	var head Branch
	out, err := r.git(ctx, op, input{}, "symbolic-ref", "--quiet", "HEAD")
	switch {
	case err == nil:
		head.Name = strings.TrimPrefix(strings.TrimSuffix(string(out), "\n"), branchPrefix)
	case exitCode(err) != 1:
		return Branch{}, err
	}
	objects, err := r.look(ctx, op, "HEAD^{commit}")
	if err != nil {
		return Branch{}, err
	}
	head.Tip = towpath.CommitID(objects[0].id)
	return head, nil
}

// Origin is the URL of the remote repository that this one was cloned from, as
// git was told it, with credentials if they are in it; empty for none.
func (r *Repository) Origin(ctx context.Context) (string, error) {
	out, err := r.git(ctx, "git.origin", input{}, "config", "--get", "remote.origin.url")
	if exitCode(err) == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}

// Tip is the commit that a branch is at, empty when there is no such branch.
func (r *Repository) Tip(ctx context.Context, branch string) (towpath.CommitID, error) {
	const op = "git.tip"
	ref, err := branchRef(op, branch)
	if err != nil {
		return "", err
	}
	return r.read(ctx, op, ref)
}

// CheckedOut is the absolute path of the work tree in which each branch is
// checked out. The HEAD of a bare repository checks nothing out.
func (r *Repository) CheckedOut(ctx context.Context) (map[string]string, error) {
	out, err := r.git(ctx, "git.checked-out", input{}, "worktree", "list", "--porcelain", "-z")
	if err != nil {
		return nil, err
	}
	at := map[string]string{}
	var path string
	for field := range bytes.SplitSeq(out, []byte{0}) {
		key, value, _ := strings.Cut(string(field), " ")
		switch key {
		case "worktree":
			path = value
		case "branch":
			at[strings.TrimPrefix(value, branchPrefix)] = path
		}
	}
	return at, nil
}
