package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
)

// ownFolder is a project's folder for what is Towpath's own, below its root.
const ownFolder = ".towpath"

// store is where a build puts its layers.
type store struct {
	blobs string
	cache string       // empty: nothing is remembered
	close func() error // removes it; nil when it stays
}

// storeOf is the project's own store, or for a build that is to be fresh a new
// one that goes away.
func storeOf(ctx context.Context, repo *git.Repository, root, ref string, fresh bool) (store, error) {
	if fresh {
		dir, err := os.MkdirTemp("", "towpath-fresh-")
		if err != nil {
			return store{}, towpath.E(towpath.KindUnavailable, "build.work", "no folder can be made for the layers of the build").
				WithHint("check the space and the permissions of %s", os.TempDir()).WithCause(err)
		}
		return store{blobs: dir, close: func() error { return os.RemoveAll(dir) }}, nil
	}
	commit, err := repo.Resolve(ctx, ref)
	if err != nil {
		return store{}, err
	}
	if err := untracked(ctx, repo, commit); err != nil {
		return store{}, err
	}
	if err := genuine(root); err != nil {
		return store{}, err
	}
	own := filepath.Join(root, ownFolder)
	if err := Ignore("build.cache", own); err != nil {
		return store{}, err
	}
	return store{blobs: filepath.Join(own, "build", "blobs"), cache: filepath.Join(own, "build", "cache")}, nil
}

// shownTracked is how many tracked files an error names.
const shownTracked = 3

// untracked refuses a commit, or an index, that has something in our folder:
// what is remembered there is believed, so none of it may come with a commit.
func untracked(ctx context.Context, repo *git.Repository, commit towpath.CommitID) error {
	tracked, err := repo.Tracked(ctx, commit, ownFolder)
	if err != nil || len(tracked) == 0 {
		return err
	}
	top, _, _ := strings.Cut(tracked[0], "/")
	shown := fmt.Sprintf("%q", tracked[:min(len(tracked), shownTracked)])
	if n := len(tracked) - shownTracked; n > 0 {
		shown += fmt.Sprintf(" and %d more", n)
	}
	return towpath.E(towpath.KindInvalid, "build.cache", "git tracks %s: what builds remember in %s must not come with a commit", shown, ownFolder).
		On(towpath.Short(commit)).
		WithHint("run `git rm -r --cached %s`, remove the folder %s, which may hold layers that nobody built here, and commit", top, top+"/build")
}

// genuine refuses links in the place of our folders and of the ignore file.
func genuine(root string) error {
	for _, x := range []struct {
		path, what string
		is         func(fs.FileMode) bool
	}{
		{ownFolder, "folder", fs.FileMode.IsDir}, {ownFolder + "/build", "folder", fs.FileMode.IsDir},
		{ownFolder + "/.gitignore", "file", fs.FileMode.IsRegular},
	} {
		at := filepath.Join(root, filepath.FromSlash(x.path))
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return unwritable("build.cache", at, err)
		case !x.is(info.Mode()):
			return towpath.E(towpath.KindInvalid, "build.cache", "%s is no %s", x.path, x.what).On(at).
				WithHint("remove it; the build makes it")
		}
	}
	return nil
}

// Ignore makes a folder of ours, and makes git ignore it without touching any
// file of the user's. A link in the place of the ignore file is replaced.
func Ignore(op, dir string) error {
	const all = "*\n"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unwritable(op, dir, err)
	}
	file := filepath.Join(dir, ".gitignore")
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(all)) {
		if old, err := os.ReadFile(file); err == nil && string(old) == all {
			return nil
		}
	}
	tmp, err := os.CreateTemp(dir, ".gitignore-*") // mode 0600
	if err != nil {
		return unwritable(op, dir, err)
	}
	_, err = tmp.WriteString(all)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return unwritable(op, dir, err)
	}
	return nil
}

func unwritable(op, dir string, err error) error {
	return towpath.E(towpath.KindUnavailable, op, "the folder for what Towpath keeps can't be written").On(dir).
		WithHint("check the space and the permissions of the folder").WithCause(err)
}
