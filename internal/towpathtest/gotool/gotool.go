// Package gotool gives tests real programs that are written in Go: built once
// from their module at a pinned version, outside of the checkout and of our
// go.mod, and kept in the user's cache folder.
package gotool

import (
	"errors"
	"io/fs"
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
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "towpath", "bin", name+"-"+version)
	if _, err := os.Stat(bin); errors.Is(err, fs.ErrNotExist) {
		build(t, bin, name, pkg+"@"+version)
	}
	return bin
}

// build makes the binary once, whichever process of the tests is first.
func build(t testing.TB, bin, name, pkg string) {
	t.Helper()
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
		return
	}
	tmp := bin + ".new" // beside it, so that it can be renamed
	t.Logf("building %s", pkg)
	// At low priority: tests of other packages have deadlines.
	cmd := exec.CommandContext(t.Context(), "nice", "-n", "10", "go", "install", pkg)
	cmd.Dir = os.TempDir() // our go.mod has no say in it
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOBIN="+tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s can't be built: %v\n%s", name, err, out)
	}
	if err := os.Rename(filepath.Join(tmp, name), bin); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
}
