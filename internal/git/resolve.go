package git

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// object is an answer of git cat-file --batch-check.
type object struct {
	id   string
	kind string // commit, tree, blob, tag; "missing" and "ambiguous" have no id
}

// look asks git for the objects that names stand for. Names go through
// standard input, ended by NUL, so none can be an option or two names.
func (r *Repository) look(ctx context.Context, op string, names ...string) ([]object, error) {
	in := input{stdin: strings.NewReader(strings.Join(names, "\x00") + "\x00")}
	out, err := r.git(ctx, op, in, "cat-file", "-z", "--batch-check=%(objectname) %(objecttype)")
	if err != nil {
		return nil, err
	}
	objects := make([]object, 0, len(names))
	for _, name := range names {
		// A name that has no object is echoed, with any newline in it.
		if rest, ok := bytes.CutPrefix(out, []byte(name+" missing\n")); ok {
			out, objects = rest, append(objects, object{kind: "missing"})
			continue
		}
		if rest, ok := bytes.CutPrefix(out, []byte(name+" ambiguous\n")); ok {
			out, objects = rest, append(objects, object{kind: "ambiguous"})
			continue
		}
		line, rest, _ := bytes.Cut(out, []byte{'\n'})
		id, kind, ok := strings.Cut(string(line), " ")
		if !ok || !commitPattern.MatchString(id) {
			return nil, towpath.E(towpath.KindInternal, op, "git cat-file printed an answer that can't be read")
		}
		out, objects = rest, append(objects, object{id: id, kind: kind})
	}
	return objects, nil
}

// Resolve is the commit that a branch, tag or (abbreviated) commit ID names.
// A name that is both a branch and a tag, of different commits, is refused:
// git would take the tag, people mean the branch.
func (r *Repository) Resolve(ctx context.Context, ref string) (towpath.CommitID, error) {
	const op = "git.resolve"
	if err := checkRevision(op, ref); err != nil {
		return "", err
	}
	objects, err := r.look(ctx, op, ref+"^{commit}", branchPrefix+ref+"^{commit}", tagPrefix+ref+"^{commit}")
	if err != nil {
		return "", err
	}
	found, branch, tag := objects[0], objects[1], objects[2]
	switch {
	case branch.id != "" && tag.id != "" && branch.id != tag.id:
		return "", towpath.E(towpath.KindConflict, op, "%q is both a branch and a tag, of different commits", ref).
			WithHint("say %s%s or %s%s", branchPrefix, ref, tagPrefix, ref)
	case found.kind == "ambiguous":
		return "", towpath.E(towpath.KindInvalid, op, "%q is the beginning of several object IDs", ref).
			WithHint("give more digits")
	case found.id == "":
		return "", r.unknown(ctx, op, ref)
	}
	return towpath.CommitID(found.id), nil
}

// unknown says that ref names nothing, and what it may have meant.
func (r *Repository) unknown(ctx context.Context, op, ref string) error {
	err := towpath.E(towpath.KindNotFound, op, "%q names no commit of this repository", ref)
	refs, listErr := r.refs(ctx, op, branchPrefix, tagPrefix, "refs/remotes/")
	if listErr != nil {
		return err.WithCause(listErr)
	}
	var names []string
	for _, known := range refs {
		if remote, ok := strings.CutPrefix(known.name, "refs/remotes/"); ok {
			if _, branch, _ := strings.Cut(remote, "/"); branch == ref {
				return err.WithHint("it exists as %s only: say %s, or run `git branch %s %s`", remote, remote, ref, remote)
			}
			continue
		}
		name, _ := strings.CutPrefix(known.name, branchPrefix)
		name, _ = strings.CutPrefix(name, tagPrefix)
		names = append(names, name)
	}
	if near := nearest(ref, names); len(near) > 0 {
		return err.WithHint("did you mean %s?", strings.Join(near, " or "))
	}
	if len(names) == 0 {
		return err.WithHint("the repository has no branches yet: make a first commit")
	}
	return err.WithHint("`git branch -a` and `git tag` list the names; fetch if it is a new one")
}

// explain turns the failure of a command into a not-found error when one of
// the commits that it was given is not there.
func (r *Repository) explain(ctx context.Context, op string, failed error, ids ...towpath.CommitID) error {
	var c *CommandError
	if !errors.As(failed, &c) {
		return failed
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id) + "^{commit}"
	}
	objects, err := r.look(ctx, op, names...)
	if err != nil {
		return failed
	}
	for i, o := range objects {
		if o.id == "" {
			return noCommit(op, ids[i])
		}
	}
	return failed
}

func noCommit(op string, id towpath.CommitID) error {
	return towpath.E(towpath.KindNotFound, op, "there is no commit %s in this repository", id).
		WithHint("fetch it, or check that this is the right repository")
}

// FullName is the ref that a name stands for, as in refs/heads/main: of HEAD
// the branch that is checked out, and of a branch of a remote the branch there.
// It is empty for what is a commit and no ref.
func (r *Repository) FullName(ctx context.Context, ref string) (string, error) {
	const op = "git.full-name"
	if err := checkRevision(op, ref); err != nil {
		return "", err
	}
	if strings.ContainsAny(ref, "~^") {
		return "", nil // an ancestor of what it names
	}
	objects, err := r.look(ctx, op, branchPrefix+ref, tagPrefix+ref)
	if err != nil {
		return "", err
	}
	switch {
	case objects[0].id != "":
		return branchPrefix + ref, nil
	case objects[1].id != "":
		return tagPrefix + ref, nil
	}
	out, err := r.git(ctx, op, input{}, "rev-parse", "--symbolic-full-name", ref) // which is no option: it was checked
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(out))
	if remote, ok := strings.CutPrefix(name, "refs/remotes/"); ok {
		if _, branch, ok := strings.Cut(remote, "/"); ok {
			return branchPrefix + branch, nil
		}
	}
	if !strings.HasPrefix(name, "refs/") {
		return "", nil
	}
	return name, nil
}
