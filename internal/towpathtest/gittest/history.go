package gittest

import (
	"path/filepath"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Commit commits everything in the work tree as Ana. A commit without a change
// is made too.
func (r *Repo) Commit(message string) towpath.CommitID {
	r.t.Helper()
	return r.CommitAs(Ana, message)
}

// CommitAs commits everything in the work tree as a person.
func (r *Repo) CommitAs(by Person, message string) towpath.CommitID {
	r.t.Helper()
	r.Git("add", "--all")
	r.clock = r.clock.Add(time.Minute)
	r.GitAs(by, "", "commit", "--quiet", "--allow-empty", "--no-verify", "--message="+message)
	return r.Tip("HEAD")
}

// CommitFile writes one file and commits it.
func (r *Repo) CommitFile(name, content string) towpath.CommitID {
	r.t.Helper()
	r.WriteFile(name, content)
	return r.Commit("change " + name)
}

// CommitTree commits a tree object without touching the work tree or a ref.
func (r *Repo) CommitTree(by Person, tree, message string, parents ...towpath.CommitID) towpath.CommitID {
	r.t.Helper()
	r.clock = r.clock.Add(time.Minute)
	args := []string{"commit-tree", tree, "-m", message}
	for _, p := range parents {
		args = append(args, "-p", string(p))
	}
	return towpath.CommitID(r.GitAs(by, "", args...))
}

// Branch makes branches at a commit or another ref.
func (r *Repo) Branch(at string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.Git("branch", "--no-track", name, at)
	}
}

// Checkout switches the work tree to a branch, or detaches it at a commit.
func (r *Repo) Checkout(ref string) {
	r.t.Helper()
	r.Git("checkout", "--quiet", ref)
}

// Detach leaves every branch free to be moved.
func (r *Repo) Detach() {
	r.t.Helper()
	r.Git("checkout", "--quiet", "--detach")
}

// Merge merges a ref into the branch that is checked out, as Ana, always with a
// merge commit. Options are those of git merge: "--strategy=ours",
// "--no-commit".
func (r *Repo) Merge(ref string, options ...string) towpath.CommitID {
	r.t.Helper()
	r.clock = r.clock.Add(time.Minute)
	args := append([]string{"merge", "--quiet", "--no-ff", "--no-edit"}, options...)
	r.Git(append(args, ref)...)
	return r.Tip("HEAD")
}

// Tag makes an annotated tag of a ref.
func (r *Repo) Tag(name, ref string) {
	r.t.Helper()
	r.Git("tag", "--annotate", "--message="+name, name, ref)
}

// Worktree checks a branch out in a second work tree and returns its path.
func (r *Repo) Worktree(dir, branch string) string {
	r.t.Helper()
	r.Git("worktree", "add", "--quiet", dir, branch)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		r.t.Fatalf("find the work tree: %v", err)
	}
	return real
}

// Clone clones the repository into dir. Its origin is this repository.
func (r *Repo) Clone(dir string, options ...string) *Repo {
	r.t.Helper()
	args := append([]string{"clone", "--quiet"}, options...)
	r.Git(append(args, "file://"+r.Dir, dir)...)
	return &Repo{Dir: dir, t: r.t, clock: r.clock}
}

// CloneBare makes a bare repository in dir with every ref of this one.
func (r *Repo) CloneBare(dir string) *Repo {
	r.t.Helper()
	return r.Clone(dir, "--mirror")
}

// Push pushes a refspec to origin and reports a refusal as an error.
func (r *Repo) Push(refspec string) error {
	_, err := r.Try(Ana, "", "push", "--quiet", "origin", refspec)
	return err
}
