package git

import (
	"bytes"
	"context"
	"slices"
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
	for name := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		if len(name) > 0 {
			files = append(files, string(name))
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
