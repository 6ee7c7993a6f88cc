// Package gotool gives tests real programs that are written in Go: built once
// from their module at a pinned version, outside of the checkout and of our
// go.mod, and kept in the user's cache folder.
package gotool

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Find is the path of a program at a version of its module. It builds it when
// it is not there, which takes minutes and needs the module proxy.
func Find(t testing.TB, name, pkg, version string) string {
	t.Helper()
	return Cached(t, name, version, func(bin string) {
		folder := bin + ".bin" // beside it, so that it can be renamed
		// At low priority: tests of other packages have deadlines.
		cmd := exec.CommandContext(t.Context(), "nice", "-n", "10", "go", "install", pkg+"@"+version)
		cmd.Dir = os.TempDir() // our go.mod has no say in it
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+folder)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s can't be built: %v\n%s", name, err, out)
		}
		if err := errors.Join(os.Rename(filepath.Join(folder, name), bin), os.Remove(folder)); err != nil {
			t.Fatal(err)
		}
	})
}

// Cached is the path of a program at a version, which build makes when it is not
// there: once, whichever process of the tests is first.
func Cached(t testing.TB, name, version string, build func(bin string)) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "towpath", "bin", name+"-"+version)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(bin+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	t.Logf("building %s %s into %s", name, version, bin)
	build(bin + ".new") // whoever is killed leaves nothing under its name
	if err := os.Rename(bin+".new", bin); err != nil {
		t.Fatal(err)
	}
	return bin
}
