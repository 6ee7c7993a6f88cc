package server

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/towpath"
)

// lockFile makes sure that one server at a time works on an SQLite database, or
// on a folder of samples. The lock ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	const op = "server.start"
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the folder can't be written").On(path).WithCause(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		taken := towpath.E(towpath.KindLocked, op, "another server works on this database").On(path).
			WithHint("stop it, or use PostgreSQL, which several servers can share").WithCause(err)
		return nil, errors.Join(taken, f.Close())
	}
	return f, nil
}
