package git

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// ref is a ref and the commit that it stands for, empty for any other object.
type ref struct {
	name   string
	commit towpath.CommitID
}

// refs lists the refs below prefixes by name. Tags are peeled.
func (r *Repository) refs(ctx context.Context, op string, prefixes ...string) ([]ref, error) {
	const format = "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
	out, err := r.git(ctx, op, input{}, "for-each-ref", append([]string{format}, prefixes...)...)
	if err != nil {
		return nil, err
	}
	var refs []ref
	for line := range bytes.Lines(out) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), "\x00")
		if len(f) != 5 {
			return nil, towpath.E(towpath.KindInternal, op, "git for-each-ref printed a ref that can't be read")
		}
		found := ref{name: f[0]}
		switch "commit" {
		case f[1]:
			found.commit = towpath.CommitID(f[2])
		case f[3]:
			found.commit = towpath.CommitID(f[4])
		}
		refs = append(refs, found)
	}
	return refs, nil
}

// read is the commit that a full ref name holds, empty when it does not exist.
func (r *Repository) read(ctx context.Context, op, name string) (towpath.CommitID, error) {
	objects, err := r.look(ctx, op, name)
	if err != nil {
		return "", err
	}
	switch objects[0].kind {
	case "commit":
		return towpath.CommitID(objects[0].id), nil
	case "missing":
		return "", nil
	}
	return "", towpath.E(towpath.KindInvalid, op, "%s holds a %s, not a commit", name, objects[0].kind).
		WithHint("set it to a commit with `git update-ref`, or remove it")
}

// Ref is the commit that one of Towpath's own refs holds, empty when it does
// not exist. See [EnvironmentRef].
func (r *Repository) Ref(ctx context.Context, name string) (towpath.CommitID, error) {
	const op = "git.ref"
	if err := ownRef(op, name); err != nil {
		return "", err
	}
	return r.read(ctx, op, name)
}

// SetRef moves one of Towpath's own refs from expect (empty: it must not
// exist) to commit, which may be older: such a ref says what *is*. A ref that
// already holds commit is a success, so that a retry after a crash is. Any
// other value than expect is a conflict with a [MovedError].
func (r *Repository) SetRef(ctx context.Context, name string, commit, expect towpath.CommitID) error {
	const op = "git.set-ref"
	if err := ownRef(op, name); err != nil {
		return err
	}
	if err := checkCommit(op, ends(expect, commit)...); err != nil {
		return err
	}
	objects, err := r.look(ctx, op, string(commit))
	if err != nil {
		return err
	}
	if objects[0].kind != "commit" {
		return noCommit(op, commit)
	}
	_, err = r.swap(ctx, op, name, commit, expect)
	return err
}

// swap is the compare-and-swap of a ref. It returns what the ref holds
// afterwards, which is commit when the error is nil. What happened is judged by
// reading the ref again, not by git's message: also after an interrupted try.
func (r *Repository) swap(ctx context.Context, op, name string, commit, expect towpath.CommitID) (towpath.CommitID, error) {
	now, err := r.read(ctx, op, name)
	if err != nil || now == commit {
		return now, err
	}
	update := "update " + name + "\x00" + string(commit) + "\x00" + string(expect) + "\x00"
	if expect == "" {
		update = "create " + name + "\x00" + string(commit) + "\x00"
	}
	// A symbolic ref must not lead the update to another branch.
	in := input{stdin: strings.NewReader("start\x00option no-deref\x00" + update + "prepare\x00commit\x00")}
	_, failed := r.git(ctx, op, in, "update-ref", "--stdin", "-z")
	if failed == nil {
		return commit, nil
	}
	now, err = r.read(context.WithoutCancel(ctx), op, name)
	switch {
	case err != nil:
		return "", errors.Join(failed, err)
	case now == commit:
		return now, nil
	case now != expect:
		return now, moved(op, &MovedError{Ref: name, Expected: expect, Found: now})
	}
	return now, stuck(op, name, failed)
}

// stuck explains why a ref that has the expected value could not be moved.
func stuck(op, name string, failed error) error {
	var c *CommandError
	if !errors.As(failed, &c) {
		return failed
	}
	switch {
	case strings.Contains(c.Stderr, ".lock': File exists"):
		return towpath.E(towpath.KindUnavailable, op, "%s is locked by another git process", name).
			WithHint("try again; if no git process runs, remove the stale file %s.lock in the repository", name).WithCause(failed)
	case strings.Contains(c.Stderr, "exists; cannot create"):
		return towpath.E(towpath.KindConflict, op, "%s can't be made: a ref whose name is a part of it stands in the way", name).
			WithHint("git can't have both a and a/b: rename one of the two").WithCause(failed)
	case strings.Contains(c.Stderr, "Permission denied"), strings.Contains(c.Stderr, "Read-only file system"):
		return towpath.E(towpath.KindForbidden, op, "this user may not write %s in the repository", name).
			WithHint("let the user that runs towpath write to the repository's directory").WithCause(failed)
	case strings.Contains(c.Stderr, "No space left on device"):
		return towpath.E(towpath.KindExhausted, op, "%s can't be written: the disk is full", name).
			WithHint("make room, then try again").WithCause(failed)
	}
	return failed
}
