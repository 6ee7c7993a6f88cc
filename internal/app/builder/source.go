// Package builder wires the builder: it gives internal/build a real git
// repository to read. It owns no decision; start reading at source.go.
package builder

import (
	"context"
	"io"
	"os"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/towpath"
)

// Source is a git repository as internal/build reads it.
type Source struct {
	Repository *git.Repository
	Limits     git.Limits
}

var _ build.Source = Source{}

// FullName is the ref that a name stands for.
func (s Source) FullName(ctx context.Context, ref string) (string, error) {
	return s.Repository.FullName(ctx, ref)
}

// Resolve is the commit that a ref names.
func (s Source) Resolve(ctx context.Context, ref string) (towpath.CommitID, error) {
	return s.Repository.Resolve(ctx, ref)
}

// Commit describes a commit.
func (s Source) Commit(ctx context.Context, id towpath.CommitID) (build.Commit, error) {
	c, err := s.Repository.Commit(ctx, id)
	return build.Commit{ID: c.ID, Tree: c.Tree, Subject: c.Message, Time: c.CommitTime}, err
}

// TreeID names the content at a path and its mode.
func (s Source) TreeID(ctx context.Context, id towpath.CommitID, path string) (string, error) {
	return s.Repository.TreeID(ctx, id, path)
}

// ReadFile reads one file of a commit.
func (s Source) ReadFile(ctx context.Context, id towpath.CommitID, path string, limit int64) (content []byte, err error) {
	sel := git.Selection{Paths: []string{path}, Limits: git.Limits{FileBytes: limit}}
	err = s.Repository.Walk(ctx, id, sel, func(e git.Entry) error {
		if e.Path != path || e.IsLink() {
			return towpath.E(towpath.KindInvalid, "build.read", "%q is not a file", path).On(path).
				WithHint("commit it as a regular file")
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		content, err = io.ReadAll(r)
		return err
	})
	return content, err
}

// Files reads the wanted files of a commit.
func (s Source) Files(ctx context.Context, id towpath.CommitID, paths []string, wanted func(path string) bool, limit func(path string) int64, fn func(path string, content []byte) error) error {
	return s.Repository.Walk(ctx, id, git.Selection{Paths: paths, Limits: s.Limits}, func(e git.Entry) error {
		if e.IsLink() || !wanted(e.Path) {
			return nil
		}
		if e.Size > limit(e.Path) {
			return fn(e.Path, nil)
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return fn(e.Path, content)
	})
}

// Export writes what a commit has at paths.
func (s Source) Export(ctx context.Context, id towpath.CommitID, root *os.Root, paths []string) error {
	_, err := s.Repository.Export(ctx, id, root, git.Selection{Paths: paths, Limits: s.Limits})
	return err
}

// Describe is the version tag before a commit and the way from it.
func (s Source) Describe(ctx context.Context, id towpath.CommitID) (tag string, distance int, err error) {
	d, err := s.Repository.Describe(ctx, id)
	return d.Tag, d.Distance, err
}

// Dirty lists what is not committed.
func (s Source) Dirty(ctx context.Context) ([]string, error) {
	st, err := s.Repository.Status(ctx)
	return append(st.Changed, st.Untracked...), err
}
