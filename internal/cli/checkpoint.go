package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// kept is the newest checkpoint of a ledger that this client has seen, and the
// key that it was signed with: what a server can't take back.
type kept struct {
	PublicKey  string `json:"publicKey"`
	Checkpoint string `json:"checkpoint"`
}

// checkpointFile is beside the client's file of the project, or else in the
// user's state folder, one for each server.
func (s *session) checkpointFile(server string) (string, error) {
	if path := s.upward(clientFile); path != "" {
		return filepath.Join(filepath.Dir(path), "checkpoint"), nil
	}
	state := s.env("XDG_STATE_HOME")
	if state == "" {
		home := s.env("HOME")
		if home == "" {
			return "", towpath.E(towpath.KindInvalid, "", "there is no folder to keep checkpoints in").WithHint("set XDG_STATE_HOME or HOME")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "towpath", "checkpoint-"+towpath.Short(towpath.HashOf(server))), nil
}

func loadKept(path string) (k kept, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return kept{}, towpath.E(towpath.KindInvalid, "", "the checkpoint in %s can't be read", path).
			WithHint("restore it from where you keep copies; without it a ledger that was cut off can't be told").WithCause(err)
	}
	return k, nil
}

func (k kept) save(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(append(b, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// open is the verifier and the checkpoint that were kept, nil when none was.
func (k kept) open() (*merkle.Verifier, *merkle.Checkpoint, error) {
	if k.PublicKey == "" {
		return nil, nil, nil
	}
	v, err := merkle.NewVerifier(k.PublicKey)
	if err != nil || k.Checkpoint == "" {
		return v, nil, err
	}
	cp, err := v.Open(k.Checkpoint)
	if err != nil {
		return nil, nil, err
	}
	return v, &cp, nil
}

// accept checks that a note continues what was kept and returns what to keep
// now. It does not believe the server: the signature must be of the key that
// is known here, and the ledger must not have shrunk or changed at its size.
func (k kept) accept(note, publicKey string) (kept, error) {
	if k.PublicKey == "" {
		k.PublicKey = publicKey // the first that is seen
	}
	if k.PublicKey != publicKey {
		return k, towpath.E(towpath.KindConflict, "", "the server's ledger has another key than the one kept here").
			WithHint("ask who runs the server; if the ledger was begun anew, remove the kept checkpoint")
	}
	v, older, err := k.open()
	if err != nil {
		return k, err
	}
	if note == "" {
		if older != nil && older.Size > 0 {
			return k, towpath.E(towpath.KindConflict, "", "the ledger had %d entries and now shows no checkpoint", older.Size)
		}
		return k, nil
	}
	newer, err := v.Open(note)
	if err != nil {
		return k, err
	}
	if older != nil && (newer.Size < older.Size || newer.Size == older.Size && newer.Root != older.Root) {
		e := towpath.E(towpath.KindConflict, "", "the ledger does not continue the checkpoint kept here: it had %d entries and now has %d", older.Size, newer.Size)
		if newer.Epoch > older.Epoch {
			return k, e.WithHint("it was restored from a backup: epoch %d, the one kept is of epoch %d; ask who runs the server, then remove the kept checkpoint", newer.Epoch, older.Epoch)
		}
		return k, e.WithHint("entries were altered or dropped")
	}
	k.Checkpoint = note
	return k, nil
}
