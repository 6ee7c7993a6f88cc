package store

import (
	"context"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestStore_Indexes: what is asked again and again of tables that grow does not read
// all of them.
func TestStore_Indexes(t *testing.T) {
	for name, x := range map[string]struct {
		query string
		args  []any
		index string
	}{
		"old counts":                {forgetTrafficCounts, []any{int64(1)}, "traffic_count_at"},
		"old measurements":          {forgetMeasurements, []any{int64(1)}, "measurement_at"},
		"what runs on its target":   {claimable("1 = 1"), []any{"local", int64(1), int64(1), "s1", int64(8)}, "operation_running"},
		"what a place has to claim": {claimable("1 = 1"), []any{"local", int64(1), int64(1), "s1", int64(8)}, "operation_claimable"},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				explain := "EXPLAIN QUERY PLAN "
				if db.Dialect() == sqldb.Postgres {
					explain = "EXPLAIN "
				}
				var plan []string
				err := db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
					plan = nil
					if db.Dialect() == sqldb.Postgres { // which reads small tables as a whole
						if _, err := tx.Exec(ctx, `SET LOCAL enable_seqscan = off`); err != nil {
							return err
						}
					}
					rows, err := tx.Query(ctx, explain+x.query, x.args...)
					if err != nil {
						return err
					}
					defer rows.Close()
					for rows.Next() {
						var line string
						into := []any{&line}
						if db.Dialect() != sqldb.Postgres {
							var n [3]int
							into = []any{&n[0], &n[1], &n[2], &line}
						}
						if err := rows.Scan(into...); err != nil {
							return err
						}
						plan = append(plan, line)
					}
					return rows.Err()
				})
				if all := strings.Join(plan, "\n"); err != nil || !strings.Contains(all, x.index) {
					t.Errorf("%v\n%s", err, all)
				}
			})
		})
	}
}
