package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// SampleBatches are what agents pushed of metrics to any server of a database.
// Their times are by the database's clock, the one that servers share.
type SampleBatches struct{ db *sqldb.DB }

// NewSampleBatches makes the store of batches.
func NewSampleBatches(db *sqldb.DB) SampleBatches { return SampleBatches{db} }

// clock is the database's time in microseconds, of the moment and not of the
// transaction's begin.
func (s SampleBatches) clock() string {
	if s.db.Dialect() == sqldb.Postgres {
		return `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`
	}
	return `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`
}

// Now is the time by the database's clock.
func (s SampleBatches) Now(ctx context.Context) (time.Time, error) {
	var at int64
	err := s.db.QueryRow(ctx, `SELECT `+s.clock()).Scan(&at)
	return sqldb.Time(at), sqldb.MapError("samples.clock", err)
}

// Put keeps a batch, once. Once it returns every server can read it.
func (s SampleBatches) Put(ctx context.Context, id string, body []byte) error {
	_, err := s.db.Exec(ctx, `INSERT INTO sample_batch (id, at, size, body) VALUES ($1, `+s.clock()+`, $2, $3) ON CONFLICT DO NOTHING`, id, len(body), body)
	return sqldb.MapError("samples.put", err)
}

// After lists the oldest batches from after a moment, without their bodies.
func (s SampleBatches) After(ctx context.Context, at time.Time, limit int) ([]towpath.SampleBatch, error) {
	return s.read(ctx, `SELECT id, at, size, NULL FROM sample_batch WHERE at > $1 ORDER BY at, id LIMIT $2`, sqldb.Micros(at), limit)
}

// Bodies reads batches, oldest first. One that was given up meanwhile is not
// among them.
func (s SampleBatches) Bodies(ctx context.Context, ids []string) ([]towpath.SampleBatch, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	in, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		in[i], args[i] = fmt.Sprintf("$%d", i+1), id
	}
	return s.read(ctx, `SELECT id, at, size, body FROM sample_batch WHERE id IN (`+strings.Join(in, ", ")+`) ORDER BY at, id`, args...)
}

func (s SampleBatches) read(ctx context.Context, query string, args ...any) (out []towpath.SampleBatch, err error) {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return nil, sqldb.MapError("samples.read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b towpath.SampleBatch
		var at int64
		if err := rows.Scan(&b.ID, &at, &b.Size, &b.Body); err != nil {
			return nil, sqldb.MapError("samples.read", err)
		}
		b.At = sqldb.Time(at)
		out = append(out, b)
	}
	return out, sqldb.MapError("samples.read", rows.Err())
}

// Forget gives up batches from before a moment, and of the others the oldest
// beyond so many bytes.
func (s SampleBatches) Forget(ctx context.Context, before time.Time, most int64) error {
	if _, err := s.db.Exec(ctx, `DELETE FROM sample_batch WHERE at < $1`, sqldb.Micros(before)); err != nil {
		return sqldb.MapError("samples.forget", err)
	}
	_, err := s.db.Exec(ctx, `DELETE FROM sample_batch WHERE id IN (
		SELECT id FROM (SELECT id, SUM(size) OVER (ORDER BY at DESC, id DESC) AS upto FROM sample_batch) AS newest WHERE upto > $1)`, most)
	return sqldb.MapError("samples.forget", err)
}
