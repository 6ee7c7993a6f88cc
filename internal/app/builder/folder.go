package builder

import (
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/cli"
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
func storeOf(r cli.BuildRequest, root string) (store, error) {
	if r.Fresh {
		dir, err := os.MkdirTemp("", "towpath-fresh-")
		if err != nil {
			return store{}, towpath.E(towpath.KindUnavailable, "build.work", "no folder can be made for the layers of the build").
				WithHint("check the space and the permissions of %s", os.TempDir()).WithCause(err)
		}
		return store{blobs: dir, close: func() error { return os.RemoveAll(dir) }}, nil
	}
	own := filepath.Join(root, ownFolder)
	if err := ignore(own); err != nil {
		return store{}, err
	}
	return store{blobs: filepath.Join(own, "build", "blobs"), cache: filepath.Join(own, "build", "cache")}, nil
}

// ignore makes a folder of ours invisible to git without touching any file of
// the user's.
func ignore(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600)
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "build.cache", "the folder for builds can't be written").On(dir).WithCause(err)
	}
	return nil
}
