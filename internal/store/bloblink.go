package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// LinkBlob records that a repository has a blob, since now. Once brought by a
// client, it remains so.
func (tx *Tx) LinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, size int64, byClient bool, at time.Time) error {
	_, err := tx.exec(ctx, "blob.link", `INSERT INTO registry_blob (repository, digest, size, by_client, linked)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (repository, digest) DO UPDATE
		SET by_client = CASE WHEN excluded.by_client = 1 THEN 1 ELSE registry_blob.by_client END, linked = excluded.linked`,
		r, d, size, sqldb.Bool(byClient), sqldb.Micros(at))
	return err
}

// BlobSize is the size in bytes of a blob that a repository has.
func (tx *Tx) BlobSize(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error) {
	return tx.blobSize(ctx, r, d, "")
}

// KeepBlob is [Tx.BlobSize] of one that can't be unlinked before the
// transaction ends.
func (tx *Tx) KeepBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error) {
	return tx.blobSize(ctx, r, d, tx.share())
}

// LockBlob is [Tx.KeepBlob] that waits for all who keep it, and has it alone.
func (tx *Tx) LockBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error) {
	return tx.blobSize(ctx, r, d, tx.lock())
}

// BlobLinked is since when a repository has a blob.
func (tx *Tx) BlobLinked(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (time.Time, error) {
	var at int64
	err := one(tx.QueryRow(ctx, `SELECT linked FROM registry_blob WHERE repository = $1 AND digest = $2`, r, d), "blob", string(d), &at)
	return sqldb.Time(at), err
}

// RelinkBlob makes a blob that a repository has as young as one that it gets
// now.
func (tx *Tx) RelinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, at time.Time) error {
	_, err := tx.exec(ctx, "blob.link", `UPDATE registry_blob SET linked = $1 WHERE repository = $2 AND digest = $3`, sqldb.Micros(at), r, d)
	return err
}

func (tx *Tx) blobSize(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, lock string) (int64, error) {
	var size int64
	return size, one(tx.QueryRow(ctx, `SELECT size FROM registry_blob WHERE repository = $1 AND digest = $2`+lock, r, d),
		"blob", string(d), &size)
}

// UnlinkBlob takes a blob from a repository.
func (tx *Tx) UnlinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error {
	_, err := tx.exec(ctx, "blob.unlink", `DELETE FROM registry_blob WHERE repository = $1 AND digest = $2`, r, d)
	return err
}

// UnlinkUnused takes a blob from a repository that has had it since before a time
// and has nothing that names it, and reports whether it did. What was looked up
// before may have been linked again: on PostgreSQL others write meanwhile.
func (tx *Tx) UnlinkUnused(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, before time.Time) (bool, error) {
	n, err := tx.exec(ctx, "blob.unlink", `DELETE FROM registry_blob WHERE repository = $1 AND digest = $2 AND linked < $3
		AND NOT EXISTS (SELECT 1 FROM registry_reference n WHERE n.repository = $1 AND n.digest = $2)`, r, d, sqldb.Micros(before))
	return n > 0, err
}

// UnlinkUpload is [Tx.UnlinkBlob] of one that no client of the registry pushed.
func (tx *Tx) UnlinkUpload(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error {
	_, err := tx.exec(ctx, "blob.unlink", `DELETE FROM registry_blob WHERE repository = $1 AND digest = $2 AND by_client = 0`, r, d)
	return err
}

// RepositoryWithBlob is a repository that has a blob; empty when none has it.
func (tx *Tx) RepositoryWithBlob(ctx context.Context, in registry.Projects, d towpath.Digest) (towpath.RepositoryName, error) {
	where, args := within("r.project", in, 2)
	if where == "" {
		return "", nil
	}
	var name towpath.RepositoryName
	err := tx.QueryRow(ctx, `SELECT b.repository FROM registry_blob b JOIN registry_repository r ON r.name = b.repository
		WHERE b.digest = $1 AND `+where+` ORDER BY b.repository LIMIT 1`, append([]any{d}, args...)...).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return name, sqldb.MapError("blob.find", err)
}

// batch is how many digests one statement takes.
const batch = 400

// InRepositories are those of some digests that a repository of the projects
// has, as a blob or as a manifest.
func (tx *Tx) InRepositories(ctx context.Context, everywhere bool, projects []towpath.ProjectName, digests []towpath.Digest) ([]towpath.Digest, error) {
	in := registry.Projects{All: everywhere, Names: projects}
	var out []towpath.Digest
	for part := range slices.Chunk(digests, batch) {
		var selects []string
		var args []any
		for _, table := range []string{"registry_blob", "registry_artifact"} {
			where, names := within("r.project", in, 1+len(args)+len(part))
			if where == "" {
				return nil, nil
			}
			selects = append(selects, `SELECT x.digest FROM `+table+` x JOIN registry_repository r ON r.name = x.repository
				WHERE x.digest IN (`+sqldb.Params(1+len(args), len(part))+`) AND `+where)
			for _, d := range part {
				args = append(args, d)
			}
			args = append(args, names...)
		}
		found, err := tx.strings(ctx, "blob.find", strings.Join(selects, " UNION "), args...)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			out = append(out, towpath.Digest(d))
		}
	}
	return out, nil
}

// collected is the condition that an artifact of a repository is a release whose
// layers are given up.
func collected(repository, artifact string) string {
	return ` EXISTS (SELECT 1 FROM release l WHERE l.project = ` + repository + ` AND l.digest = ` + artifact + ` AND l.collected > 0)`
}

// HeldBlobs are those of some blobs that are more than layers of releases that
// were given up: what a client pushed or an upload brought into any repository,
// what any other artifact needs, and what the record of any release names, given
// up or not.
func (tx *Tx) HeldBlobs(ctx context.Context, digests []towpath.Digest) ([]towpath.Digest, error) {
	var out []towpath.Digest
	for part := range slices.Chunk(digests, batch) {
		var args []any
		these := func(column string) string {
			for _, d := range part {
				args = append(args, d)
			}
			return column + " IN (" + sqldb.Params(1+len(args)-len(part), len(part)) + ")"
		}
		query := `SELECT b.digest FROM registry_blob b WHERE ` + these("b.digest") + ` AND (b.by_client = 1 OR NOT EXISTS (
				SELECT 1 FROM registry_reference n WHERE n.repository = b.repository AND n.digest = b.digest AND` + collected("n.repository", "n.artifact") + `))
			UNION SELECT n.digest FROM registry_reference n JOIN registry_artifact a ON a.repository = n.repository AND a.digest = n.artifact
				WHERE ` + these("n.digest") + ` AND (a.by_client = 1 OR NOT` + collected("a.repository", "a.digest") + `)`
		for _, h := range holders {
			if h.table != "registry_blob" {
				column := tx.bytewise(h.column)
				query += " UNION SELECT " + column + " FROM " + h.table + " WHERE " + these(column)
			}
		}
		held, err := tx.strings(ctx, "blob.held", query, args...)
		if err != nil {
			return nil, err
		}
		for _, d := range held {
			out = append(out, towpath.Digest(d))
		}
	}
	return out, nil
}

// UnlinkGivenUp takes blobs from all repositories, but for those that something
// still holds, as [Tx.HeldBlobs] says; it returns these.
func (tx *Tx) UnlinkGivenUp(ctx context.Context, digests []towpath.Digest) ([]towpath.Digest, error) {
	digests = slices.Clone(digests)
	slices.Sort(digests) // the order in which everybody locks them
	for _, d := range digests {
		if _, err := tx.strings(ctx, "blob.lock", `SELECT repository FROM registry_blob WHERE digest = $1 ORDER BY repository`+tx.lock(), d); err != nil {
			return nil, err
		}
	}
	held, err := tx.HeldBlobs(ctx, digests)
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		if slices.Contains(held, d) {
			continue
		}
		if _, err := tx.exec(ctx, "blob.unlink", `DELETE FROM registry_blob WHERE digest = $1`, d); err != nil {
			return nil, err
		}
	}
	return held, nil
}
