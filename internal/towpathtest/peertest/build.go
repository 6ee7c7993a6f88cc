package peertest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// find is the binary of a peer, which is built when it is not in the cache.
func find(t testing.TB, p Peer) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "towpath", "bin", p.Name+"-"+p.Version)
	if _, err := os.Stat(bin); errors.Is(err, fs.ErrNotExist) {
		build(t, p, bin)
	}
	return bin
}

// build makes the binary once, whichever process of the tests is first.
func build(t testing.TB, p Peer, bin string) {
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
	t.Logf("building %s of %s@%s into %s", p.main, p.module, p.Version, bin)
	dir := download(t, p)
	// At low priority: tests of other packages have deadlines.
	cmd := exec.CommandContext(t.Context(), "nice", "-n", "10", "go", "build", "-trimpath", "-o", bin+".new", p.main) // beside it, to be renamed
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s can't be built: %v\n%s", p.Name, err, out)
	}
	if err := os.Rename(bin+".new", bin); err != nil {
		t.Fatal(err)
	}
}

// download is the folder of a peer's module, whose checksum was verified. It is
// built there, with the versions of its own go.mod; `go install` would also ask
// for the list of its versions, which not every proxy has.
func download(t testing.TB, p Peer) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", p.module+"@"+p.Version)
	cmd.Dir = t.TempDir() // in no module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if err = errors.Join(err, json.Unmarshal(out, &got)); err != nil || got.Error != "" {
		t.Fatalf("%s@%s can't be downloaded: %v %s", p.module, p.Version, err, got.Error)
	}
	return got.Dir
}
