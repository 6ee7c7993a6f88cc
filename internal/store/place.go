package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// SaveReplicationRule replaces a rule.
func (tx *Tx) SaveReplicationRule(ctx context.Context, r towpath.ReplicationRule) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "replication.save", `UPDATE replication_rule SET doc = $1 WHERE project = $2 AND name = $3`, text, r.Project, r.Name)
	return err
}

// PlaceLayer says that a layer was compared at a place.
func (tx *Tx) PlaceLayer(ctx context.Context, l towpath.Placed) error {
	_, err := tx.exec(ctx, "place.save", `INSERT INTO placed_layer (project, rule, digest, size) VALUES ($1, $2, $3, $4)
		ON CONFLICT (project, rule, digest) DO NOTHING`, l.Project, l.Rule, l.Digest, l.Size)
	return err
}

// UnplaceLayer forgets that a layer is at a place.
func (tx *Tx) UnplaceLayer(ctx context.Context, l towpath.Placed) error {
	_, err := tx.exec(ctx, "place.delete", `DELETE FROM placed_layer WHERE project = $1 AND rule = $2 AND digest = $3`, l.Project, l.Rule, l.Digest)
	return err
}

// PlacesOf are the places where a layer was compared.
func (tx *Tx) PlacesOf(ctx context.Context, d towpath.Digest) ([]towpath.Placed, error) {
	return tx.placed(ctx, `SELECT project, rule, digest, size FROM placed_layer WHERE digest = $1 ORDER BY project, rule`, d)
}

// PlacedUnder lists the layers of a place by digest, at most limit after one.
func (tx *Tx) PlacedUnder(ctx context.Context, p towpath.ProjectName, rule towpath.ReplicationName, after towpath.Digest, limit int) ([]towpath.Placed, error) {
	return tx.placed(ctx, `SELECT project, rule, digest, size FROM placed_layer WHERE project = $1 AND rule = $2 AND digest > $3
		ORDER BY digest LIMIT $4`, p, rule, after, limit)
}

// Covers are the places of projects in whose own repositories some layers are:
// those for which a place stands.
func (tx *Tx) Covers(ctx context.Context, digests []towpath.Digest) ([]towpath.Placed, error) {
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	// The repository of a project's releases has the project's name.
	return tx.placed(ctx, `SELECT l.project, l.rule, l.digest, l.size FROM placed_layer l
		JOIN registry_blob b ON b.repository = l.project AND b.digest = l.digest
		WHERE l.digest IN (`+sqldb.Params(1, len(digests))+`)`, args...)
}

func (tx *Tx) placed(ctx context.Context, query string, args ...any) ([]towpath.Placed, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, sqldb.MapError("place.list", err)
	}
	defer rows.Close()
	var out []towpath.Placed
	for rows.Next() {
		var l towpath.Placed
		if err := rows.Scan(&l.Project, &l.Rule, &l.Digest, &l.Size); err != nil {
			return nil, sqldb.MapError("place.list", err)
		}
		out = append(out, l)
	}
	return out, sqldb.MapError("place.list", rows.Err())
}
