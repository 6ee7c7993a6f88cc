package git

import (
	"bytes"
	"context"
	"errors"
	"path"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Selection is the part of a commit's tree that is read, and its limits.
type Selection struct {
	Paths  []string // files or directories, slash-separated; none: everything
	Limits Limits
}

// TreeID names the content of the directory or file at a path of a commit: equal
// IDs mean that they are exported alike. It is a directory's object ID, which covers
// the modes of what is in it; that of a file or a link stands behind its own mode. An
// empty path is the whole tree.
func (r *Repository) TreeID(ctx context.Context, commit towpath.CommitID, at string) (string, error) {
	const op = "git.tree-id"
	if err := checkCommit(op, commit); err != nil {
		return "", err
	}
	clean, err := cleanPath(op, at)
	if err != nil {
		return "", err
	}
	name := string(commit) + "^{tree}"
	if clean != "." {
		name = string(commit) + ":" + clean
	}
	objects, err := r.look(ctx, op, name, string(commit)+"^{commit}")
	switch {
	case err != nil:
		return "", err
	case objects[1].id == "":
		return "", noCommit(op, commit)
	case objects[0].id == "":
		return "", noPath(op, commit, clean)
	case objects[0].kind == "tree":
		return objects[0].id, nil
	}
	out, err := r.git(ctx, op, input{}, "ls-tree", "-z", "--full-tree", string(commit), "--", clean)
	if err != nil {
		return "", r.explain(ctx, op, err, commit)
	}
	mode, _, ok := strings.Cut(string(out), " ")
	if !ok {
		return "", towpath.E(towpath.KindInternal, op, "git ls-tree printed an entry that can't be read")
	}
	return mode + " " + objects[0].id, nil
}

// list reads the entries of a commit's tree below the selected paths, in the
// byte order of their paths, and refuses those that can't be handed on safely.
func (r *Repository) list(ctx context.Context, op string, commit towpath.CommitID, sel Selection) ([]Entry, error) {
	if err := checkCommit(op, commit); err != nil {
		return nil, err
	}
	args := []string{"-r", "-z", "-l", "--full-tree", string(commit), "--"}
	var paths []string
	for _, p := range sel.Paths {
		clean, err := cleanPath(op, p)
		if err != nil {
			return nil, err
		}
		if clean == "." {
			paths = nil
			break
		}
		paths = append(paths, clean)
	}
	out, err := r.git(ctx, op, input{}, "ls-tree", append(args, paths...)...)
	if err != nil {
		return nil, partial(op, r.explain(ctx, op, err, commit))
	}
	c := checker{op: op, limits: sel.Limits.WithDefaults(), leaves: map[string]bool{}, dirs: map[string]bool{}}
	var entries []Entry
	for record := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		if len(record) == 0 {
			continue
		}
		e, err := c.entry(string(record))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	for _, p := range paths {
		if !c.leaves[p] && !c.dirs[p] {
			return nil, noPath(op, commit, p)
		}
	}
	return entries, nil
}

func cleanPath(op, p string) (string, error) {
	clean := path.Clean(p)
	if path.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(p, 0) {
		return "", towpath.E(towpath.KindInvalid, op, "%q is not a path inside the repository", p).
			WithHint("give a path relative to the top of the repository, with slashes")
	}
	return clean, nil
}

func noPath(op string, commit towpath.CommitID, p string) error {
	return towpath.E(towpath.KindNotFound, op, "commit %s has no file or directory %q", towpath.Short(commit), p).
		WithHint("check the component's path in towpath.yaml, and that the files are committed")
}

// partial explains a failure in a clone that has not fetched all its objects.
func partial(op string, err error) error {
	var c *CommandError
	if errors.As(err, &c) && (strings.Contains(c.Stderr, "promisor") || strings.Contains(c.Stderr, "not allowed")) {
		return towpath.E(towpath.KindUnavailable, op, "the repository is a partial clone and lacks the content of some files").
			WithHint("fetch them with `git fetch --refetch --no-filter`, or clone without --filter").WithCause(err)
	}
	return err
}
