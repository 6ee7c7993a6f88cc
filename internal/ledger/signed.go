package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// opKept is the operation of errors about the file of the last checkpoint.
const opKept = "ledger.kept"

// signed is a checkpoint as signed and as what it says; none while note is
// empty.
type signed struct {
	note string
	cp   merkle.Checkpoint
}

// newer reports whether s was signed after t.
func (s signed) newer(t signed) bool {
	switch {
	case s.note == "" || t.note == "":
		return s.note != ""
	case s.cp.Epoch != t.cp.Epoch:
		return s.cp.Epoch > t.cp.Epoch
	}
	return s.cp.Size > t.cp.Size
}

// lastSigned is the newest checkpoint that this process knows of, outside of
// the database: in memory, and in a file where whoever writes to the database
// does not write. Servers that share the file may leave an older one in it,
// never another one.
type lastSigned struct {
	signed
	verifier *merkle.Verifier
	path     string // empty: memory only
	saved    bool   // the file has it
}

// openLastSigned reads what a server before left in the file at path.
func openLastSigned(path string, v *merkle.Verifier) (l lastSigned, err error) {
	l = lastSigned{verifier: v, path: path}
	if path != "" {
		l.signed, err = l.read()
	}
	l.saved = err == nil
	return l, err
}

func (l *lastSigned) read() (signed, error) {
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return signed{}, nil
	}
	if err != nil {
		return signed{}, towpath.E(towpath.KindUnavailable, opKept, "the checkpoint that was signed last can't be read").On(l.path).WithCause(err)
	}
	cp, err := l.verifier.Open(string(b))
	if err != nil {
		return signed{}, towpath.E(towpath.KindConflict, opKept, "the file has no checkpoint that the ledger's key signed").On(l.path).
			WithHint("bring back the ledger.key that belongs to it; if the file is damaged, run towpath audit verify where a checkpoint was kept, and delete it when that is in order").
			WithCause(err)
	}
	return signed{string(b), cp}, nil
}

// keep remembers c if it is newer, and writes it down.
func (l *lastSigned) keep(c signed) error {
	if c.newer(l.signed) {
		l.signed, l.saved = c, false
	}
	return l.save()
}

// save writes down what was remembered, whole and durable, unless it is there.
func (l *lastSigned) save() error {
	if l.saved || l.path == "" {
		return nil
	}
	if there, err := l.read(); err == nil && !l.signed.newer(there) {
		l.saved = true // by another server
		return nil
	}
	if err := replaceFile(l.path, l.note); err != nil {
		return towpath.E(towpath.KindUnavailable, opKept, "the checkpoint that was signed last can't be written down; nothing more is signed until it is").
			On(l.path).WithHint("look whether the disk is full or the folder can't be written").WithCause(err)
	}
	l.saved = true
	return nil
}

// replaceFile makes the file whole and durable, or leaves the one before.
func replaceFile(path, text string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".checkpoint-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone once it was renamed
	_, err = tmp.WriteString(text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
