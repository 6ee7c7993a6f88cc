package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertMeasurement keeps what was measured of a deployment's component; what
// was measured at the same moment stays.
func (tx *Tx) InsertMeasurement(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName, m towpath.Measurement) error {
	text, err := doc(m)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "measurement.insert", `INSERT INTO measurement (deployment, component, at, doc)
		VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, id, c, sqldb.Micros(m.At), text)
	return err
}

// MeasurementSpan is when a deployment's component was measured first and last;
// zero when it was not.
func (tx *Tx) MeasurementSpan(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (first, last time.Time, err error) {
	var from, to int64
	err = tx.QueryRow(ctx, `SELECT COALESCE(MIN(at), 0), COALESCE(MAX(at), 0) FROM measurement WHERE deployment = $1 AND component = $2`, id, c).Scan(&from, &to)
	return sqldb.Time(from), sqldb.Time(to), sqldb.MapError("measurement.span", err)
}

// Measurements lists what was measured of a deployment's component, oldest first.
func (tx *Tx) Measurements(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) ([]towpath.Measurement, error) {
	return list[towpath.Measurement](ctx, tx, "measurement", `SELECT doc FROM measurement WHERE deployment = $1 AND component = $2 ORDER BY at`, id, c)
}

const forgetMeasurements = `DELETE FROM measurement WHERE at < $1`

// ForgetMeasurements gives up what was measured before a time.
func (tx *Tx) ForgetMeasurements(ctx context.Context, before time.Time) error {
	_, err := tx.exec(ctx, "measurement.forget", forgetMeasurements, sqldb.Micros(before))
	return err
}
