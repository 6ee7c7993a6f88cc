package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertToken stores a token by the hash of its secret.
func (tx *Tx) InsertToken(ctx context.Context, t towpath.Token, hash string) error {
	_, err := tx.exec(ctx, "token.insert", `INSERT INTO token (id, account, name, hash, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, t.Account, t.Name, hash, sqldb.Micros(t.CreatedAt), sqldb.Micros(t.ExpiresAt))
	return err
}

const tokenColumns = `id, account, name, created_at, expires_at, used_at, revoked`

// TokenByHash finds a token by the hash of its secret.
func (tx *Tx) TokenByHash(ctx context.Context, hash string) (towpath.Token, error) {
	return scanToken("", tx.QueryRow(ctx, `SELECT `+tokenColumns+` FROM token WHERE hash = $1`, hash))
}

// Token finds a token by its ID.
func (tx *Tx) Token(ctx context.Context, id towpath.TokenID) (towpath.Token, error) {
	return scanToken(string(id), tx.QueryRow(ctx, `SELECT `+tokenColumns+` FROM token WHERE id = $1`, id))
}

// Tokens lists the tokens of an account, newest first.
func (tx *Tx) Tokens(ctx context.Context, name towpath.AccountName) ([]towpath.Token, error) {
	ids, err := tx.strings(ctx, "token.list", `SELECT id FROM token WHERE account = $1 ORDER BY id DESC`, name)
	if err != nil {
		return nil, err
	}
	var out []towpath.Token
	for _, id := range ids {
		t, err := tx.Token(ctx, towpath.TokenID(id))
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// RevokeToken ends a token at once.
func (tx *Tx) RevokeToken(ctx context.Context, id towpath.TokenID) error {
	_, err := tx.exec(ctx, "token.revoke", `UPDATE token SET revoked = 1 WHERE id = $1`, id)
	return err
}

// TouchToken records that a token was used.
func (tx *Tx) TouchToken(ctx context.Context, id towpath.TokenID, at time.Time) error {
	_, err := tx.exec(ctx, "token.touch", `UPDATE token SET used_at = $1 WHERE id = $2`, sqldb.Micros(at), id)
	return err
}

func scanToken(subject string, r interface{ Scan(dest ...any) error }) (towpath.Token, error) {
	var t towpath.Token
	var created, expires, used, revoked int64
	if err := one(r, "token", subject, &t.ID, &t.Account, &t.Name, &created, &expires, &used, &revoked); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt, t.UsedAt = sqldb.Time(created), sqldb.Time(expires), sqldb.Time(used)
	t.Revoked = revoked != 0
	return t, nil
}
