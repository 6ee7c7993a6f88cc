package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertAccount adds an account without emails and grants.
func (tx *Tx) InsertAccount(ctx context.Context, a towpath.Account) error {
	_, err := tx.exec(ctx, "account.insert", `INSERT INTO account (name, created_at) VALUES ($1, $2)`, a.Name, sqldb.Micros(a.CreatedAt))
	if sqldb.IsUnique(err) {
		return towpath.E(towpath.KindConflict, "account.insert", "the account exists already").On(string(a.Name))
	}
	return err
}

// Account reads an account with its emails and grants.
func (tx *Tx) Account(ctx context.Context, name towpath.AccountName) (towpath.Account, error) {
	a := towpath.Account{Name: name}
	var created, disabled int64
	err := one(tx.QueryRow(ctx, `SELECT created_at, disabled FROM account WHERE name = $1`, name),
		"account", string(name), &created, &disabled)
	if err != nil {
		return a, err
	}
	a.CreatedAt, a.Disabled = sqldb.Time(created), disabled != 0
	if a.Emails, err = tx.emails(ctx, name); err != nil {
		return a, err
	}
	a.Grants, err = tx.Grants(ctx, name)
	return a, err
}

// Accounts lists all accounts by name.
func (tx *Tx) Accounts(ctx context.Context) ([]towpath.Account, error) {
	names, err := tx.strings(ctx, "account.list", `SELECT name FROM account ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var out []towpath.Account
	for _, n := range names {
		a, err := tx.Account(ctx, towpath.AccountName(n))
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// InsertEmail gives a verified commit identity, lower case, to an account.
func (tx *Tx) InsertEmail(ctx context.Context, name towpath.AccountName, email string) error {
	_, err := tx.exec(ctx, "account.identity", `INSERT INTO account_email (email, account) VALUES ($1, $2)`, email, name)
	if sqldb.IsUnique(err) {
		return towpath.E(towpath.KindConflict, "account.identity", "that commit identity belongs to an account already").On(email)
	}
	return err
}

// AccountsByEmail maps commit identities, lower case, to accounts.
func (tx *Tx) AccountsByEmail(ctx context.Context) (map[string]towpath.AccountName, error) {
	rows, err := tx.Query(ctx, `SELECT email, account FROM account_email`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]towpath.AccountName{}
	for rows.Next() {
		var email string
		var name towpath.AccountName
		if err := rows.Scan(&email, &name); err != nil {
			return nil, err
		}
		out[email] = name
	}
	return out, sqldb.MapError("account.emails", rows.Err())
}

// InsertGrant gives a role; giving it twice changes nothing.
func (tx *Tx) InsertGrant(ctx context.Context, name towpath.AccountName, g towpath.Grant) error {
	_, err := tx.exec(ctx, "account.grant", `INSERT INTO account_grant (account, role, project, environment, place)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, name, g.Role, g.Project, g.Environment, g.Place)
	return err
}

// DeleteGrant takes a role away and reports whether it was there.
func (tx *Tx) DeleteGrant(ctx context.Context, name towpath.AccountName, g towpath.Grant) (bool, error) {
	n, err := tx.exec(ctx, "account.revoke", `DELETE FROM account_grant
		WHERE account = $1 AND role = $2 AND project = $3 AND environment = $4 AND place = $5`,
		name, g.Role, g.Project, g.Environment, g.Place)
	return n > 0, err
}

// Grants lists what an account may do.
func (tx *Tx) Grants(ctx context.Context, name towpath.AccountName) ([]towpath.Grant, error) {
	return tx.grants(ctx, `account = $1`, name)
}

// AgentGrants lists what all accounts may do as agents of a place.
func (tx *Tx) AgentGrants(ctx context.Context, place towpath.PlaceName) ([]towpath.Grant, error) {
	return tx.grants(ctx, `role = $1 AND place IN ('', $2)`, towpath.RoleAgent, place)
}

func (tx *Tx) grants(ctx context.Context, where string, args ...any) ([]towpath.Grant, error) {
	rows, err := tx.Query(ctx, `SELECT role, project, environment, place FROM account_grant WHERE `+where+`
		ORDER BY role, project, environment, place`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.Grant
	for rows.Next() {
		var g towpath.Grant
		if err := rows.Scan(&g.Role, &g.Project, &g.Environment, &g.Place); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, sqldb.MapError("account.grants", rows.Err())
}

func (tx *Tx) emails(ctx context.Context, name towpath.AccountName) ([]string, error) {
	return tx.strings(ctx, "account.emails", `SELECT email FROM account_email WHERE account = $1 ORDER BY email`, name)
}

// strings scans rows of one text column.
func (tx *Tx) strings(ctx context.Context, op, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, sqldb.MapError(op, rows.Err())
}
