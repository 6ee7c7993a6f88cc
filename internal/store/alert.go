package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Alert reads what is known of an alert in an environment.
func (tx *Tx) Alert(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, fingerprint string, starts time.Time) (a towpath.AlertRecord, known bool, err error) {
	var text string
	err = tx.QueryRow(ctx, `SELECT doc FROM alert WHERE project = $1 AND environment = $2 AND fingerprint = $3 AND starts = $4`,
		p, e, fingerprint, sqldb.Micros(starts)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	if err != nil {
		return a, false, sqldb.MapError("alert.get", err)
	}
	return a, true, undoc("alert", text, &a)
}

// SaveAlert writes what is known of an alert.
func (tx *Tx) SaveAlert(ctx context.Context, a towpath.AlertRecord) error {
	text, err := doc(a)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "alert.save", `INSERT INTO alert (project, environment, fingerprint, starts, at, doc) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (project, environment, fingerprint, starts) DO UPDATE SET at = excluded.at, doc = excluded.doc`,
		a.Project, a.Environment, a.Fingerprint, sqldb.Micros(a.StartsAt), sqldb.Micros(a.At), text)
	return err
}

// CountAlerts counts the alerts of an environment that were written since a time.
func (tx *Tx) CountAlerts(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, since time.Time) (n int, err error) {
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM alert WHERE project = $1 AND environment = $2 AND at >= $3`, p, e, sqldb.Micros(since)).Scan(&n)
	return n, sqldb.MapError("alert.count", err)
}

// ForgetAlerts gives up alerts that were written before a time.
func (tx *Tx) ForgetAlerts(ctx context.Context, before time.Time) error {
	_, err := tx.exec(ctx, "alert.forget", `DELETE FROM alert WHERE at < $1`, sqldb.Micros(before))
	return err
}
