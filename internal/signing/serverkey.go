package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/towpath"
)

// LoadOrCreate reads the key of a server, or makes one when the file is absent.
// Nobody is there to type a password when a server starts: the file is readable
// by its owner only, as PKCS #8.
func LoadOrCreate(path string) (*Key, error) {
	key, err := loadPlain(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = Generate(); err != nil {
		return nil, err
	}
	if err := key.writePlain(path); errors.Is(err, fs.ErrExist) {
		return loadPlain(path) // another server was first
	} else if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "signing.server-key", "the server's key can't be written").On(path).
			WithHint("check that its folder exists and can be written").WithCause(err)
	}
	return key, nil
}

func loadPlain(path string) (*Key, error) {
	const op = "signing.server-key"
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, towpath.E(towpath.KindForbidden, op, "others can read the server's key").
			On(path).WithHint("run: chmod 600 %s; and consider the key known to others", path)
	}
	b, err := ReadKeyFile(path)
	if err != nil {
		return nil, err
	}
	block, err := onlyBlock(op, "private key", b)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve != elliptic.P256() {
		return nil, notP256(op)
	}
	return keyOf(private)
}

// writePlain makes the file whole and durable, or not at all; it replaces none.
func (k *Key) writePlain(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // for its owner only
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it has another name by then
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
