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

const tokenColumns = `t.id, t.account, t.name, t.created_at, t.expires_at, t.used_at, t.revoked`

// TokenByHash finds a token by the hash of its secret, with its account, whose
// emails are left out: every request asks for it, in one statement.
func (tx *Tx) TokenByHash(ctx context.Context, hash string) (towpath.Token, towpath.Account, error) {
	var t towpath.Token
	var a towpath.Account
	rows, err := tx.Query(ctx, `SELECT `+tokenColumns+`, a.created_at, a.disabled,
			COALESCE(g.role, ''), COALESCE(g.project, ''), COALESCE(g.environment, ''), COALESCE(g.place, '')
		FROM token t JOIN account a ON a.name = t.account LEFT JOIN account_grant g ON g.account = a.name
		WHERE t.hash = $1 ORDER BY g.role, g.project, g.environment, g.place`, hash)
	if err != nil {
		return t, a, err
	}
	defer rows.Close()
	found := false
	for rows.Next() {
		found = true
		var of towpath.Grant
		var created, disabled int64
		if t, err = scanToken("", rows, &created, &disabled, &of.Role, &of.Project, &of.Environment, &of.Place); err != nil {
			return t, a, err
		}
		a.Name, a.CreatedAt, a.Disabled = t.Account, sqldb.Time(created), disabled != 0
		if of.Role != "" {
			a.Grants = append(a.Grants, of)
		}
	}
	if err := rows.Err(); err != nil {
		return t, a, sqldb.MapError("token.get", err)
	}
	if !found {
		return t, a, notFound("token", "")
	}
	return t, a, nil
}

// Token finds a token by its ID.
func (tx *Tx) Token(ctx context.Context, id towpath.TokenID) (towpath.Token, error) {
	return scanToken(string(id), tx.QueryRow(ctx, `SELECT `+tokenColumns+` FROM token t WHERE t.id = $1`, id))
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

// scanToken reads the columns of a token, and those that come after them.
func scanToken(subject string, r interface{ Scan(dest ...any) error }, more ...any) (towpath.Token, error) {
	var t towpath.Token
	var created, expires, used, revoked int64
	columns := []any{&t.ID, &t.Account, &t.Name, &created, &expires, &used, &revoked}
	if err := one(r, "token", subject, append(columns, more...)...); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt, t.UsedAt = sqldb.Time(created), sqldb.Time(expires), sqldb.Time(used)
	t.Revoked = revoked != 0
	return t, nil
}
