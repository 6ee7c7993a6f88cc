package store

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertRelease records a release and the digest of its content blob. One that
// is there already is left as it is, and has all its layers again.
func (tx *Tx) InsertRelease(ctx context.Context, r towpath.Release, content towpath.Digest) error {
	_, err := tx.exec(ctx, "release.insert", `INSERT INTO release (project, digest, content, size, published)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, digest) DO UPDATE SET collected = 0`,
		r.Project, r.Digest, content, r.Size, sqldb.Micros(r.Published))
	return err
}

// Release reads a release, without content, and the digest of that.
func (tx *Tx) Release(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (towpath.Release, towpath.Digest, error) {
	r := towpath.Release{Project: p, Digest: d}
	var content towpath.Digest
	var published, collected int64
	err := one(tx.QueryRow(ctx, `SELECT content, size, published, collected FROM release WHERE project = $1 AND digest = $2`, p, d),
		"release", string(d), &content, &r.Size, &published, &collected)
	if err != nil {
		return r, "", err
	}
	r.Published, r.Collected = sqldb.Time(published), sqldb.Time(collected)
	q, err := tx.Quarantine(ctx, p, d)
	r.Quarantine = q
	return r, content, err
}

// ReleasesOf lists the releases of all projects whose content a blob is, by what
// their artifacts refer to.
func (tx *Tx) ReleasesOf(ctx context.Context, content towpath.Digest) ([]towpath.Release, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT r.project, r.digest FROM registry_reference n
		JOIN registry_repository p ON p.name = n.repository
		JOIN release r ON r.project = p.project AND r.digest = n.artifact
		WHERE n.digest = $1 AND r.content = $1 ORDER BY r.project, r.digest`, content)
	if err != nil {
		return nil, sqldb.MapError("release.list", err)
	}
	defer rows.Close()
	var out []towpath.Release
	for rows.Next() {
		var r towpath.Release
		if err := rows.Scan(&r.Project, &r.Digest); err != nil {
			return nil, sqldb.MapError("release.list", err)
		}
		out = append(out, r)
	}
	return out, sqldb.MapError("release.list", rows.Err())
}

// Whole lists the releases of a project that have all their layers, oldest
// first.
func (tx *Tx) Whole(ctx context.Context, p towpath.ProjectName) ([]towpath.Release, error) {
	rows, err := tx.Query(ctx, `SELECT digest, size, published FROM release WHERE project = $1 AND collected = 0 ORDER BY published, digest`, p)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.Release
	for rows.Next() {
		r := towpath.Release{Project: p}
		var published int64
		if err := rows.Scan(&r.Digest, &r.Size, &published); err != nil {
			return nil, err
		}
		r.Published = sqldb.Time(published)
		out = append(out, r)
	}
	return out, sqldb.MapError("release.list", rows.Err())
}

// LastPublished says when each release of a project was published last, under
// any version and by any build.
func (tx *Tx) LastPublished(ctx context.Context, p towpath.ProjectName) (map[towpath.Digest]time.Time, error) {
	rows, err := tx.Query(ctx, `SELECT digest, MAX(published) FROM (
		SELECT digest, published FROM version_label WHERE project = $1
		UNION ALL SELECT digest, published FROM candidate WHERE project = $1) AS publication GROUP BY digest`, p)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[towpath.Digest]time.Time{}
	for rows.Next() {
		var d towpath.Digest
		var published int64
		if err := rows.Scan(&d, &published); err != nil {
			return nil, err
		}
		out[d] = sqldb.Time(published)
	}
	return out, sqldb.MapError("release.list", rows.Err())
}

// Brought says when each release of a project that has all its layers was published
// last. Publishing the same once more makes no label and no candidate, and does
// make its artifact young.
func (tx *Tx) Brought(ctx context.Context, p towpath.ProjectName) (map[towpath.Digest]time.Time, error) {
	rows, err := tx.Query(ctx, `SELECT l.digest, l.published, COALESCE(a.pushed, 0) FROM release l
		LEFT JOIN registry_artifact a ON a.repository = $1 AND a.digest = l.digest
		WHERE l.project = $2 AND l.collected = 0`, towpath.ReleaseRepository(p), p)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[towpath.Digest]time.Time{}
	for rows.Next() {
		var d towpath.Digest
		var published, pushed int64
		if err := rows.Scan(&d, &published, &pushed); err != nil {
			return nil, err
		}
		out[d] = sqldb.Time(max(published, pushed))
	}
	return out, sqldb.MapError("release.list", rows.Err())
}

// MarkCollected records that the layers of a release are given up.
func (tx *Tx) MarkCollected(ctx context.Context, p towpath.ProjectName, d towpath.Digest, at time.Time) error {
	_, err := tx.exec(ctx, "release.collect", `UPDATE release SET collected = $1 WHERE project = $2 AND digest = $3`, sqldb.Micros(at), p, d)
	return err
}

// Collected reports whether the layers of a release are given up.
func (tx *Tx) Collected(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (bool, error) {
	r, _, err := tx.Release(ctx, p, d)
	return !r.Collected.IsZero(), err
}

// FirstPublished is when a release was published first, as whatever version and
// of whatever commit.
func (tx *Tx) FirstPublished(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (time.Time, error) {
	var published int64
	err := one(tx.QueryRow(ctx, `SELECT published FROM release WHERE project = $1 AND digest = $2`, p, d), "release", string(d), &published)
	return sqldb.Time(published), err
}

// InsertVersion gives a release a label. A label never moves: one that names
// another release is a conflict; the same again changes nothing.
func (tx *Tx) InsertVersion(ctx context.Context, v towpath.VersionLabel) error {
	_, err := tx.exec(ctx, "version.insert", `INSERT INTO version_label (project, version, digest, published)
		VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, v.Project, v.Version, v.Release, sqldb.Micros(v.Published))
	if err != nil {
		return err
	}
	have, err := tx.Version(ctx, v.Project, v.Version)
	if err != nil {
		return err
	}
	if have.Release != v.Release {
		return towpath.E(towpath.KindConflict, "version.insert",
			"version %s is published already, with other content: release %s", v.Version, towpath.Short(have.Release)).
			WithHint("a version never moves; publish this content under a new one")
	}
	return nil
}

// Version reads a label.
func (tx *Tx) Version(ctx context.Context, p towpath.ProjectName, version string) (towpath.VersionLabel, error) {
	v := towpath.VersionLabel{Project: p, Version: version}
	var published int64
	err := one(tx.QueryRow(ctx, `SELECT digest, published FROM version_label WHERE project = $1 AND version = $2`, p, version),
		"version", version, &v.Release, &published)
	v.Published = sqldb.Time(published)
	return v, err
}

// Versions lists the labels of a release, oldest first.
func (tx *Tx) Versions(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.VersionLabel, error) {
	rows, err := tx.Query(ctx, `SELECT version, published FROM version_label WHERE project = $1 AND digest = $2
		ORDER BY published, version`, p, d)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.VersionLabel
	for rows.Next() {
		v := towpath.VersionLabel{Project: p, Release: d}
		var published int64
		if err := rows.Scan(&v.Version, &published); err != nil {
			return nil, err
		}
		v.Published = sqldb.Time(published)
		out = append(out, v)
	}
	return out, sqldb.MapError("version.list", rows.Err())
}

// Unshelved lists releases that are not in the registry, oldest first, at most
// limit. Those that were given up are left out: they may have been deleted
// there.
func (tx *Tx) Unshelved(ctx context.Context, limit int) ([]towpath.Release, error) {
	rows, err := tx.Query(ctx, `SELECT r.project, r.digest FROM release r WHERE r.collected = 0 AND NOT EXISTS
		(SELECT 1 FROM registry_artifact a WHERE a.repository = r.project AND a.digest = r.digest)
		ORDER BY r.published, r.digest LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.Release
	for rows.Next() {
		var r towpath.Release
		if err := rows.Scan(&r.Project, &r.Digest); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, sqldb.MapError("release.list", rows.Err())
}

// Pending reports whether work of a kind is to be done, or done again, for one of
// some keys.
func (tx *Tx) Pending(ctx context.Context, kind string, keys []string) (bool, error) {
	for page := range slices.Chunk(keys, pageKeys) {
		args := []any{kind}
		for _, k := range page {
			args = append(args, k)
		}
		var n int
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM work WHERE kind = $1 AND key IN (`+sqldb.Params(2, len(page))+`)`, args...).Scan(&n)
		if err != nil || n > 0 {
			return n > 0, sqldb.MapError("work.pending", err)
		}
	}
	return false, nil
}

// pageKeys bounds the parameters of one statement.
const pageKeys = 500
