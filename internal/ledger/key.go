package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// LoadOrCreateKey reads the signing key in the file at path, or makes one
// there, readable by its owner only, when the file is absent. name is the
// origin of a new key.
func LoadOrCreateKey(path, name string) (*merkle.Key, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = merkle.GenerateKey(name); err != nil {
		return nil, err
	}
	err = writeKey(path, key.Secret()+"\n")
	if errors.Is(err, fs.ErrExist) {
		return loadKey(path) // another process was first
	}
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "ledger.key", "the ledger's key can't be written").
			On(path).WithHint("check that its directory exists and can be written").WithCause(err)
	}
	return key, nil
}

func loadKey(path string) (*merkle.Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, towpath.E(towpath.KindForbidden, "ledger.key", "others can read the ledger's key").
			On(path).WithHint("run: chmod 600 %s; and consider the key known to others", path)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "ledger.key", "the ledger's key can't be read").On(path).WithCause(err)
	}
	return merkle.ParseKey(string(secret))
}

// writeKey makes the file whole and durable, or not at all; it never replaces
// one.
func writeKey(path, secret string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(secret)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
