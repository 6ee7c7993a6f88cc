package project

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/towpath/towpath/examples"
)

// Programs is a directory with the shop's programs, api and web. They are built
// once for each version of their sources and of Go, in the user's cache: many
// test processes share them, and the first one takes as long as Go does.
func Programs(t T) string {
	t.Helper()
	dir, err := programs(t.TempDir())
	if err != nil {
		t.Fatalf("build the sample's programs: %v", err)
	}
	return dir
}

func programs(tmp string) (string, error) {
	src := filepath.Join(tmp, "shop-sources")
	if err := examples.Write(examples.Shop, src); err != nil {
		return "", err
	}
	sum, err := hashOf(src)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "towpath-test", "shop-"+sum)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", made, "./api", "./web")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("%w: %s", err, out), os.RemoveAll(made))
	}
	// Another process may have been faster: its programs are the same.
	if err := errors.Join(os.Chmod(made, 0o755), os.Rename(made, dir)); err != nil {
		_ = os.RemoveAll(made)
		_, err = os.Stat(dir)
		return dir, err
	}
	return dir, nil
}

// hashOf names the content of a directory and the version of Go.
func hashOf(dir string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOARCH)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path[len(dir):], len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}
