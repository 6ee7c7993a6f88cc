package peertest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/gotool"
)

// find is the binary of a peer, which is built when it is not in the cache.
func find(t testing.TB, p Peer) string {
	t.Helper()
	return gotool.Cached(t, p.Name, p.Version, func(bin string) {
		// At low priority: tests of other packages have deadlines.
		cmd := exec.CommandContext(t.Context(), "nice", "-n", "10", "go", "build", "-trimpath", "-o", bin, p.main)
		cmd.Dir = download(t, p)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s can't be built: %v\n%s", p.Name, err, out)
		}
	})
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
