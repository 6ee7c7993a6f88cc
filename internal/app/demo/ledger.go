package demo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// ledger verifies the ledger, then tampers with a copy and verifies that.
func (d *demo) ledger(ctx context.Context) error {
	var seq int64
	err := d.tree.step("Every step of this is in the ledger, and it verifies", func() (string, error) {
		var entries int64
		err := d.until(ctx, "the ledger verifies", func() (bool, error) {
			r, err := d.ana.Verify(ctx, "")
			entries = r.Entries
			return r.OK && r.Unsequenced == 0, err
		})
		seq = entries / 2
		return fmt.Sprintf("%d entries, signed", entries), err
	})
	if err != nil {
		return err
	}
	return d.tree.step("One row of a copy is edited: verification names it", func() (string, error) {
		cp, err := d.ana.Checkpoint(ctx)
		if err != nil {
			return "", err
		}
		key, err := merkle.NewVerifier(cp.PublicKey)
		if err != nil {
			return "", err
		}
		return d.tamper(ctx, key, seq)
	})
}

// tamper edits one entry of a copy of the database and says what verification
// finds.
func (d *demo) tamper(ctx context.Context, key *merkle.Verifier, seq int64) (string, error) {
	path := filepath.Join(d.data, "copy.db")
	db, err := sqldb.Open(ctx, filepath.Join(d.data, "server", "towpath.db"))
	if err != nil {
		return "", err
	}
	_, err = db.Exec(ctx, "VACUUM INTO $1", path)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", err
	}
	if db, err = sqldb.Open(ctx, path); err != nil {
		return "", err
	}
	defer db.Close() //nolint:errcheck // a copy
	if _, err := db.Exec(ctx, `UPDATE event SET actor = 'mallory' WHERE seq = $1`, seq); err != nil {
		return "", err
	}
	r, err := ledger.Verify(ctx, db, key, ledger.VerifyOptions{})
	if err != nil {
		return "", err
	}
	if r.OK || r.Bad == nil || r.Bad.Seq != seq {
		return "", towpath.E(towpath.KindInternal, "demo", "verification did not name entry %d", seq)
	}
	return r.Bad.String(), nil
}
