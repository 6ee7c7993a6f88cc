package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/towpath/towpath/internal/towpath"
)

// secretFile is a new file for a secret, which only its owner can read; nil: the
// secret is printed.
type secretFile struct{ *os.File }

// newSecretFile makes the file before there is a secret: one that could not be
// kept would be lost. It replaces none. Without a name there is no file.
func (s *session) newSecretFile(name string) (*secretFile, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, towpath.E(towpath.KindConflict, "", "there is a file %s already, and none is replaced", name).WithHint("remove it, or name another one")
	}
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "", "the file %s can't be made: %v", name, err)
	}
	return &secretFile{f}, nil
}

// drop removes the file again: there is no secret.
func (f *secretFile) drop() {
	if f != nil {
		_ = errors.Join(f.Close(), os.Remove(f.Name())) // it is empty, and the user is told of what failed before
	}
}

// write keeps a secret, with a line's end.
func (f *secretFile) write(secret string) error {
	if f == nil {
		return nil
	}
	_, err := f.WriteString(secret + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
