package gittest

import (
	"os"
	"path/filepath"
)

// WriteFile writes a file of the work tree and makes its directories.
func (r *Repo) WriteFile(name, content string) {
	r.t.Helper()
	r.write(name, content, 0o644)
}

// WriteExecutable writes a file that can be run.
func (r *Repo) WriteExecutable(name, content string) {
	r.t.Helper()
	r.write(name, content, 0o755)
}

func (r *Repo) write(name, content string, mode os.FileMode) {
	r.t.Helper()
	r.parent(name)
	if err := os.WriteFile(r.path(name), []byte(content), mode); err != nil {
		r.t.Fatalf("write %s: %v", name, err)
	}
	if err := os.Chmod(r.path(name), mode); err != nil {
		r.t.Fatalf("write %s: %v", name, err)
	}
}

// Symlink makes a symbolic link.
func (r *Repo) Symlink(target, name string) {
	r.t.Helper()
	r.parent(name)
	if err := os.Symlink(target, r.path(name)); err != nil {
		r.t.Fatalf("link %s: %v", name, err)
	}
}

// Remove removes a file or a directory with all that is in it.
func (r *Repo) Remove(name string) {
	r.t.Helper()
	if err := os.RemoveAll(r.path(name)); err != nil {
		r.t.Fatalf("remove %s: %v", name, err)
	}
}

func (r *Repo) parent(name string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatalf("make the directory of %s: %v", name, err)
	}
}
