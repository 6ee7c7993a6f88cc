package build

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// format changes when the same sources would give another layer than an older
// version of this package gave.
const format = "2"

// cacheKey names everything that a unit's layer is made of.
func (r *run) cacheKey(ctx context.Context, u unit) (towpath.Digest, error) {
	parts := []string{format, u.path}
	for _, p := range u.exported() {
		id, err := r.source.TreeID(ctx, r.commit.ID, p)
		if err != nil {
			return "", err
		}
		parts = append(parts, p, id)
	}
	if u.build == nil {
		return towpath.HashOf(append(parts, "packed as it is")...), nil
	}
	env := r.passedEnv()
	groups := [][]string{u.build.Command, u.build.Outputs, flat(u.build.Env), flat(env), toolchain(env["PATH"], u.build.Command[0])}
	for _, g := range groups {
		parts = append(parts, string(towpath.HashOf(g...)))
	}
	return towpath.HashOf(parts...), nil
}

// cache remembers which layer a key gave. It is a hint: a lost or broken entry
// is a component built once more, so nothing is synced. A nil cache is empty.
type cache struct {
	dir   string
	blobs blob.Store
}

func (c *cache) path(key towpath.Digest) string {
	return filepath.Join(c.dir, "components", key.Hex()[:2], key.Hex())
}

// find is the layer of a key, if the blob store still has it.
func (c *cache) find(ctx context.Context, key towpath.Digest) (layer, bool) {
	if c == nil {
		return layer{}, false
	}
	b, err := os.ReadFile(c.path(key))
	if err != nil {
		return layer{}, false
	}
	var l layer
	if err := json.Unmarshal(b, &l); err != nil || !l.Digest.Valid() {
		return layer{}, false
	}
	info, err := c.blobs.Stat(ctx, l.Digest)
	return l, err == nil && info.Size == l.Size
}

// keep remembers a layer.
func (c *cache) keep(key towpath.Digest, l layer) error {
	if c == nil {
		return nil
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	path := c.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
