package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertTrafficCount keeps a count of a deployment's component; one that was
// received at the same moment stays. Its own clock orders nothing.
func (tx *Tx) InsertTrafficCount(ctx context.Context, id towpath.DeploymentID, c towpath.TrafficCount) error {
	text, err := doc(c)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "count.insert", `INSERT INTO traffic_count (deployment, component, at, doc)
		VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, id, c.Target.Component, sqldb.Micros(c.Received), text)
	return err
}

// TrafficCountSpan is when the first count of a deployment's component was
// received, and the last one; both zero when there is none.
func (tx *Tx) TrafficCountSpan(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (first time.Time, last towpath.TrafficCount, err error) {
	var from int64
	err = tx.QueryRow(ctx, `SELECT COALESCE(MIN(at), 0) FROM traffic_count WHERE deployment = $1 AND component = $2`, id, c).Scan(&from)
	if err != nil || from == 0 {
		return first, last, sqldb.MapError("count.span", err)
	}
	newest, err := list[towpath.TrafficCount](ctx, tx, "count.span", `SELECT doc FROM traffic_count WHERE deployment = $1 AND component = $2 ORDER BY at DESC LIMIT 1`, id, c)
	if err != nil || len(newest) == 0 {
		return first, last, err
	}
	return sqldb.Time(from), newest[0], nil
}

// EvidenceSize is how much was counted and measured of a deployment's component.
func (tx *Tx) EvidenceSize(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) (out deploy.EvidenceSize, err error) {
	err = tx.QueryRow(ctx, `SELECT
		(SELECT COUNT(*) FROM traffic_count WHERE deployment = $1 AND component = $2),
		(SELECT COALESCE(MAX(at), 0) FROM traffic_count WHERE deployment = $1 AND component = $2),
		(SELECT COUNT(*) FROM measurement WHERE deployment = $1 AND component = $2),
		(SELECT COALESCE(MAX(at), 0) FROM measurement WHERE deployment = $1 AND component = $2)`, id, c).
		Scan(&out.Counts, &out.Counted, &out.Measurements, &out.Measured)
	return out, sqldb.MapError("evidence.size", err)
}

// TrafficCounts lists the counts of a deployment's component as they
// were received.
func (tx *Tx) TrafficCounts(ctx context.Context, id towpath.DeploymentID, c towpath.ComponentName) ([]towpath.TrafficCount, error) {
	return list[towpath.TrafficCount](ctx, tx, "count", `SELECT doc FROM traffic_count WHERE deployment = $1 AND component = $2 ORDER BY at`, id, c)
}

const forgetTrafficCounts = `DELETE FROM traffic_count WHERE at < $1`

// ForgetTrafficCounts gives up counts that were received before a time.
func (tx *Tx) ForgetTrafficCounts(ctx context.Context, before time.Time) error {
	_, err := tx.exec(ctx, "count.forget", forgetTrafficCounts, sqldb.Micros(before))
	return err
}
