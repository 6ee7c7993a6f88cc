package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// LockRepository keeps anybody from adding to a repository until the transaction
// ends: on PostgreSQL whoever does locks its row, shared, by foreign keys. What is
// there already may be made young again meanwhile.
func (tx *Tx) LockRepository(ctx context.Context, r towpath.RepositoryName) error {
	var name string
	return one(tx.QueryRow(ctx, `SELECT name FROM registry_repository WHERE name = $1`+tx.lock(), r), "repository", string(r), &name)
}

// unnamed is the condition of an artifact a that no tag and no other artifact
// of its repository names.
const unnamed = ` AND NOT EXISTS (SELECT 1 FROM registry_tag t WHERE t.repository = a.repository AND t.digest = a.digest)
	AND NOT EXISTS (SELECT 1 FROM registry_reference n WHERE n.repository = a.repository AND n.digest = a.digest)`

// Dangling lists artifacts, pushed before a time, about something that the
// repository does not have.
func (tx *Tx) Dangling(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	return tx.bytes(ctx, `SELECT a.digest, a.size FROM registry_artifact a WHERE a.repository = $1 AND a.subject <> '' AND a.pushed < $2
		AND NOT EXISTS (SELECT 1 FROM registry_artifact s WHERE s.repository = a.repository AND s.digest = a.subject)`+unnamed+
		` ORDER BY a.digest LIMIT $3`, r, sqldb.Micros(before), limit)
}

// Untagged lists artifacts, pushed before a time, that are about nothing, that
// no tag names, that are no release, and that no whole release pins.
func (tx *Tx) Untagged(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	return tx.bytes(ctx, `SELECT a.digest, a.size FROM registry_artifact a WHERE a.repository = $1 AND a.subject = '' AND a.pushed < $2
		AND NOT EXISTS (SELECT 1 FROM release l WHERE l.digest = a.digest)
		AND NOT`+pinned("a")+` AND NOT`+arriving+unnamed+
		` ORDER BY a.digest LIMIT $3`, r, sqldb.Micros(before), limit)
}

// Unreferenced lists blobs of a repository, linked before a time, that none of
// its artifacts names.
func (tx *Tx) Unreferenced(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	return tx.bytes(ctx, `SELECT b.digest, b.size FROM registry_blob b WHERE b.repository = $1 AND b.linked < $2
		AND NOT EXISTS (SELECT 1 FROM registry_reference n WHERE n.repository = b.repository AND n.digest = b.digest)
		ORDER BY b.digest LIMIT $3`, r, sqldb.Micros(before), limit)
}

func (tx *Tx) bytes(ctx context.Context, query string, args ...any) ([]registry.Bytes, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []registry.Bytes
	for rows.Next() {
		var b registry.Bytes
		if err := rows.Scan(&b.Digest, &b.Size); err != nil {
			return nil, sqldb.MapError("registry.care", err)
		}
		out = append(out, b)
	}
	return out, sqldb.MapError("registry.care", rows.Err())
}

// holders are all the places where a record says that the store has a blob.
// Whoever writes digests of blobs somewhere else adds it here.
var holders = []struct{ table, column string }{
	{"registry_blob", "digest"},
	{"registry_artifact", "digest"},
	{"release", "digest"},
	{"release", "content"},
	{"candidate", "provenance"},
}

// bytewise is a column of digests that is compared and ordered by its bytes,
// whatever the database's own order is.
func (tx *Tx) bytewise(column string) string {
	if tx.Dialect() == sqldb.Postgres {
		return column + ` COLLATE "C"`
	}
	return column
}

// Holders is how many records say that the store has a blob, for each of some
// digests that any does.
func (tx *Tx) Holders(ctx context.Context, digests []towpath.Digest) (map[towpath.Digest]int, error) {
	query, args := "", []any{}
	for i, h := range holders {
		if i > 0 {
			query += " UNION ALL "
		}
		query += "SELECT " + tx.bytewise(h.column) + " AS digest FROM " + h.table + " WHERE " + tx.bytewise(h.column) + " IN (" + sqldb.Params(1+len(args), len(digests)) + ")"
		for _, d := range digests {
			args = append(args, d)
		}
	}
	rows, err := tx.Query(ctx, "SELECT digest, COUNT(*) FROM ("+query+") h GROUP BY digest", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[towpath.Digest]int{}
	for rows.Next() {
		var d towpath.Digest
		var n int
		if err := rows.Scan(&d, &n); err != nil {
			return nil, sqldb.MapError("registry.care", err)
		}
		out[d] = n
	}
	return out, sqldb.MapError("registry.care", rows.Err())
}

// HeldAfter lists the digests of blobs that records say the store has, at most
// limit after one.
func (tx *Tx) HeldAfter(ctx context.Context, after towpath.Digest, limit int) ([]towpath.Digest, error) {
	query, args := "", []any{}
	for i, h := range holders {
		if i > 0 {
			query += " UNION "
		}
		query += "SELECT * FROM (SELECT DISTINCT " + tx.bytewise(h.column) + " AS digest FROM " + h.table + " WHERE " + tx.bytewise(h.column) + " > " +
			sqldb.Params(1+len(args), 1) + " ORDER BY 1 LIMIT " + sqldb.Params(2+len(args), 1) + ") h" + h.table + h.column
		args = append(args, after, limit)
	}
	query += " ORDER BY digest LIMIT " + sqldb.Params(1+len(args), 1)
	found, err := tx.strings(ctx, "registry.care", query, append(args, limit)...)
	out := make([]towpath.Digest, len(found))
	for i, d := range found {
		out[i] = towpath.Digest(d)
	}
	return out, err
}

// NeededBy lists the repositories that have a blob or manifest, and the
// projects with a release of whose record it is a part, by name.
func (tx *Tx) NeededBy(ctx context.Context, d towpath.Digest, limit int) ([]string, error) {
	return tx.strings(ctx, "registry.care", `SELECT repository FROM registry_blob WHERE digest = $1
		UNION SELECT repository FROM registry_artifact WHERE digest = $2
		UNION SELECT project FROM release WHERE digest = $3 OR content = $4
		UNION SELECT project FROM candidate WHERE provenance = $5
		ORDER BY 1 LIMIT $6`, d, d, d, d, d, limit)
}

// ProjectsNeeding lists the projects of all that NeededBy lists, by name.
func (tx *Tx) ProjectsNeeding(ctx context.Context, d towpath.Digest) ([]towpath.ProjectName, error) {
	found, err := tx.strings(ctx, "registry.care", `SELECT r.project FROM registry_repository r JOIN registry_blob b ON b.repository = r.name WHERE b.digest = $1
		UNION SELECT r.project FROM registry_repository r JOIN registry_artifact a ON a.repository = r.name WHERE a.digest = $2
		UNION SELECT project FROM release WHERE digest = $3 OR content = $4
		UNION SELECT project FROM candidate WHERE provenance = $5
		ORDER BY 1`, d, d, d, d, d)
	out := make([]towpath.ProjectName, len(found))
	for i, p := range found {
		out[i] = towpath.ProjectName(p)
	}
	return out, err
}

// Usage is what the projects' repositories hold, by project.
func (tx *Tx) Usage(ctx context.Context, in registry.Projects) ([]registry.ProjectUsage, error) {
	where, args := within("r.project", in, 1)
	if where == "" {
		return nil, nil
	}
	// Parameters are numbered anew for each use: SQLite's are by position.
	again := func(from int) string {
		w, more := within("r.project", in, from)
		args = append(args, more...)
		return w
	}
	n := len(args)
	query := `SELECT r.project, COUNT(*), 0, 0, 0, 0 FROM registry_repository r WHERE ` + where + ` GROUP BY r.project
		UNION ALL SELECT r.project, 0, COUNT(*), 0, 0, 0 FROM registry_artifact a JOIN registry_repository r ON r.name = a.repository
			WHERE ` + again(1+n) + ` GROUP BY r.project
		UNION ALL SELECT r.project, 0, 0, COUNT(*), 0, 0 FROM registry_tag t JOIN registry_repository r ON r.name = t.repository
			WHERE ` + again(1+2*n) + ` GROUP BY r.project
		UNION ALL SELECT u.project, 0, 0, 0, COUNT(*), SUM(u.size) FROM (
			SELECT r.project AS project, b.digest AS digest, b.size AS size FROM registry_blob b JOIN registry_repository r ON r.name = b.repository
				WHERE ` + again(1+3*n) + `
			UNION SELECT r.project, a.digest, a.size FROM registry_artifact a JOIN registry_repository r ON r.name = a.repository
				WHERE ` + again(1+4*n) + `) u GROUP BY u.project ORDER BY 1`
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []registry.ProjectUsage
	for rows.Next() {
		var u registry.ProjectUsage
		if err := rows.Scan(&u.Project, &u.Repositories, &u.Manifests, &u.Tags, &u.Blobs, &u.Bytes); err != nil {
			return nil, sqldb.MapError("registry.care", err)
		}
		if last := len(out) - 1; last >= 0 && out[last].Project == u.Project {
			out[last].Add(u)
			continue
		}
		out = append(out, u)
	}
	return out, sqldb.MapError("registry.care", rows.Err())
}

// Stored is how a blob or manifest is recorded in any repository.
func (tx *Tx) Stored(ctx context.Context, d towpath.Digest) (towpath.Stored, error) {
	s := towpath.Stored{Digest: d}
	err := one(tx.QueryRow(ctx, `SELECT size, media_type, 1 FROM registry_artifact WHERE digest = $1
		UNION ALL SELECT size, '', 0 FROM registry_blob WHERE digest = $2 LIMIT 1`, d, d), "blob", string(d), &s.Size, &s.MediaType, &s.Manifest)
	return s, err
}
