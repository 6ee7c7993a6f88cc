package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// InsertTrustedKey adds a trusted key; a name that is taken is a conflict.
func (tx *Tx) InsertTrustedKey(ctx context.Context, k towpath.TrustedKey) error {
	text, err := doc(k)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "key.insert", `INSERT INTO trusted_key (name, rev, doc) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING`, k.Name, text)
	if err == nil && n == 0 {
		return towpath.E(towpath.KindConflict, "key.insert", "there is a key %s already", k.Name).On(string(k.Name)).
			WithHint("choose another name: one that was used is never used again")
	}
	return err
}

// LockTrustedKey reads a trusted key that nobody else changes before the
// transaction ends.
func (tx *Tx) LockTrustedKey(ctx context.Context, name towpath.KeyName) (towpath.TrustedKey, error) {
	var k towpath.TrustedKey
	var text string
	var rev int64
	err := one(tx.QueryRow(ctx, `SELECT doc, rev FROM trusted_key WHERE name = $1`+tx.lock(), name), "key", string(name), &text, &rev)
	if err != nil {
		return k, err
	}
	err = undoc("key", text, &k)
	k.Rev = rev
	return k, err
}

// SaveTrustedKey writes a trusted key that was read in this transaction.
func (tx *Tx) SaveTrustedKey(ctx context.Context, k towpath.TrustedKey) error {
	text, err := doc(k)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "key.save", `UPDATE trusted_key SET rev = rev + 1, doc = $1 WHERE name = $2 AND rev = $3`, text, k.Name, k.Rev)
	if err == nil && n == 0 {
		return moved("key", string(k.Name))
	}
	return err
}

// TrustedKeys lists every trusted key by name, the revoked ones too.
func (tx *Tx) TrustedKeys(ctx context.Context) ([]towpath.TrustedKey, error) {
	return list[towpath.TrustedKey](ctx, tx, "key", `SELECT doc FROM trusted_key ORDER BY name`)
}

// FlaggedFindings reads the findings about a release of which an event told an
// environment.
func (tx *Tx) FlaggedFindings(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, d towpath.Digest) (trust.Flagged, error) {
	var text string
	var f trust.Flagged
	err := tx.QueryRow(ctx, `SELECT doc FROM flagged_findings WHERE project = $1 AND environment = $2 AND digest = $3`, p, e, d).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return f, nil
	}
	if err != nil {
		return f, sqldb.MapError("findings.get", err)
	}
	return f, undoc("findings", text, &f)
}

// SaveFlaggedFindings writes the findings of which events have told.
func (tx *Tx) SaveFlaggedFindings(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, d towpath.Digest, f trust.Flagged) error {
	text, err := doc(f)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "findings.save", `INSERT INTO flagged_findings (project, environment, digest, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (project, environment, digest) DO UPDATE SET doc = excluded.doc`, p, e, d, text)
	return err
}
