package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// join makes sure that this server signs with the key and reads the files of
// the installation that its database belongs to; the first server founds it.
// One with another key would sign checkpoints that nobody trusts, one with
// other files would not find what the others took in.
func (s *Server) join(ctx context.Context, key string, at place) error {
	const op = "server.start"
	var haveKey, havePlace string
	err := s.db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO installation (one, ledger_key, blobs) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`, key, at.id); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT ledger_key, blobs FROM installation WHERE one = 1`).Scan(&haveKey, &havePlace)
	})
	switch {
	case err != nil:
		return sqldb.MapError(op, err)
	case haveKey != key:
		return towpath.E(towpath.KindConflict, op, "the ledger in the database is signed with another key than this data folder's").On(s.cfg.Data).
			WithHint("%s", at.others)
	case havePlace != at.id:
		return towpath.E(towpath.KindConflict, op, "the files of the releases in the database are in another place").On(s.cfg.Data).
			WithHint("%s", at.others)
	}
	return nil
}

// installation names what this server belongs to, for registries that are asked
// which one they are: servers with one ledger are one.
func (s *Server) installation() string {
	return towpath.DigestOf([]byte(s.ledger.PublicKey())).Hex()[:32]
}

// placeID names the folder that a file is in, wherever that is mounted: the
// first one who asks gives the name.
func placeID(path string) (string, error) {
	broken := func(err error) (string, error) {
		return "", towpath.E(towpath.KindUnavailable, "server.start", "the name of the data folder can't be read or written").On(path).WithCause(err)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var f *os.File
		if f, err = os.CreateTemp(filepath.Dir(path), ".blobs.id-*"); err != nil {
			return broken(err)
		}
		_, err = f.WriteString(rand.Text() + "\n")
		err = errors.Join(err, f.Sync(), f.Close())
		if err == nil {
			err = os.Link(f.Name(), path) // fails when somebody else was first
		}
		_ = os.Remove(f.Name())
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return broken(err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return broken(err)
	}
	return placeText(b), nil
}

func placeText(b []byte) string { return strings.TrimSpace(string(b)) }
