package git

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Files are the work tree's files, sorted, relative to its top: those that are
// tracked or would be with `git add`. What was removed may still be among them.
func (r *Repository) Files(ctx context.Context) ([]string, error) {
	const op = "git.files"
	if r.workTree == "" {
		return nil, nil
	}
	cmd := command(ctx, r.program, r.workTree, input{}, "--git-dir="+r.gitDir, "--work-tree="+r.workTree,
		"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name")
	out, err := run(ctx, op, cmd, "ls-files")
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range names(out) {
		files = append(files, name)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// Tracked are the paths that a commit, or the index of the work tree, has at a
// name of the top or below it, sorted. They may be written in another case:
// there are file systems that don't tell one from the other.
func (r *Repository) Tracked(ctx context.Context, commit towpath.CommitID, name string) ([]string, error) {
	const op = "git.tracked"
	if err := checkCommit(op, commit); err != nil {
		return nil, err
	}
	tree := func(args ...string) ([]byte, error) {
		out, err := r.git(ctx, op, input{}, "ls-tree", append([]string{"-z", "--name-only", "--full-tree"}, args...)...)
		if err != nil {
			return nil, partial(op, r.explain(ctx, op, err, commit))
		}
		return out, nil
	}
	top, err := tree(string(commit))
	if err != nil {
		return nil, err
	}
	var found []string
	for at := range names(top) {
		if !strings.EqualFold(at, name) {
			continue
		}
		below, err := tree("-r", string(commit), "--", at)
		if err != nil {
			return nil, err
		}
		found = slices.AppendSeq(found, names(below))
	}
	if r.workTree != "" {
		cmd := command(ctx, r.program, r.workTree, input{}, "--git-dir="+r.gitDir, "--work-tree="+r.workTree, "ls-files", "-z", "--cached", "--full-name")
		index, err := run(ctx, op, cmd, "ls-files")
		if err != nil {
			return nil, err
		}
		for at := range names(index) {
			if first, _, _ := strings.Cut(at, "/"); strings.EqualFold(first, name) {
				found = append(found, at)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// names are what git printed with -z.
func names(out []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range bytes.SplitSeq(out, []byte{0}) {
			if len(name) > 0 && !yield(string(name)) {
				return
			}
		}
	}
}
