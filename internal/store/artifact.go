package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// share is the suffix that keeps the rows of a SELECT from being deleted or
// changed until the transaction ends, where the engine has row locks; many may
// hold it.
func (tx *Tx) share() string {
	if tx.Dialect() == sqldb.Postgres {
		return " FOR SHARE"
	}
	return ""
}

// OpenRepository makes a repository of the registry unless it is there.
func (tx *Tx) OpenRepository(ctx context.Context, r towpath.RepositoryName, at time.Time) error {
	_, err := tx.exec(ctx, "repository.insert", `INSERT INTO registry_repository (name, project, created)
		VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, r, r.Project(), sqldb.Micros(at))
	return err
}

// HasRepository reports whether a repository of the registry exists.
func (tx *Tx) HasRepository(ctx context.Context, r towpath.RepositoryName) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM registry_repository WHERE name = $1`, r).Scan(&n)
	return n > 0, sqldb.MapError("repository.get", err)
}

// RepositoryNames lists repositories of the registry by name, at most limit
// after one.
func (tx *Tx) RepositoryNames(ctx context.Context, in registry.Projects, after string, limit int) ([]string, error) {
	where, args := within("project", in, 3)
	if where == "" {
		return nil, nil
	}
	return tx.strings(ctx, "repository.list", `SELECT name FROM registry_repository WHERE name > $1 AND `+where+
		` ORDER BY name LIMIT $2`, append([]any{after, limit}, args...)...)
}

// within is a condition on a column of projects, whose parameters begin at
// from; it is empty when nothing can meet it.
func within(column string, in registry.Projects, from int) (string, []any) {
	if in.All {
		return "1 = 1", nil
	}
	if len(in.Names) == 0 {
		return "", nil
	}
	args := make([]any, len(in.Names))
	for i, n := range in.Names {
		args[i] = n
	}
	return column + " IN (" + sqldb.Params(from, len(args)) + ")", args
}

// SaveArtifact adds an artifact with its references. One that is there stays,
// and is as young as one that is pushed now; once pushed by a client, it
// remains so.
func (tx *Tx) SaveArtifact(ctx context.Context, a towpath.Artifact) error {
	text, err := doc(a)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "artifact.insert", `INSERT INTO registry_artifact
		(repository, digest, media_type, size, artifact_type, subject, by_client, pushed, doc, sum)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (repository, digest) DO UPDATE
		SET by_client = CASE WHEN excluded.by_client = 1 THEN 1 ELSE registry_artifact.by_client END, pushed = excluded.pushed`,
		a.Repository, a.Digest, a.MediaType, a.Size, a.ArtifactType, a.Subject, sqldb.Bool(a.ByClient), sqldb.Micros(a.Pushed), text, sumOf(text))
	if err != nil {
		return err
	}
	return tx.saveReferences(ctx, a)
}

// saveReferences adds what an artifact can't be used without.
func (tx *Tx) saveReferences(ctx context.Context, a towpath.Artifact) error {
	for part := range slices.Chunk(a.References, batch) {
		rows, args := make([]string, len(part)), make([]any, 0, 3*len(part))
		for i, ref := range part {
			rows[i] = "(" + sqldb.Params(1+3*i, 3) + ")"
			args = append(args, a.Repository, a.Digest, ref.Digest)
		}
		_, err := tx.exec(ctx, "artifact.insert", `INSERT INTO registry_reference (repository, artifact, digest)
			VALUES `+strings.Join(rows, ", ")+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Artifact reads an artifact without its references.
func (tx *Tx) Artifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error) {
	return tx.artifact(ctx, r, d, "")
}

// LockArtifact is [Tx.Artifact] of one that nobody else can delete or name
// before the transaction ends.
func (tx *Tx) LockArtifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error) {
	return tx.artifact(ctx, r, d, tx.lock())
}

func (tx *Tx) artifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, lock string) (towpath.Artifact, error) {
	var a towpath.Artifact
	var text, sum string
	name := string(r) + "@" + string(d)
	err := one(tx.QueryRow(ctx, `SELECT doc, sum FROM registry_artifact WHERE repository = $1 AND digest = $2`+lock, r, d), "artifact", name, &text, &sum)
	if err != nil {
		return a, err
	}
	return readArtifact(name, text, sum, func(a towpath.Artifact) bool { return a.Repository == r && a.Digest == d })
}

// readArtifact reads a row. A damaged index may have led to a sound row of another
// artifact, so it is asked whether this one is meant.
func readArtifact(name, text, sum string, meant func(towpath.Artifact) bool) (a towpath.Artifact, err error) {
	if err := intact("artifact", name, sum, text); err != nil {
		return a, err
	}
	if err := undoc("artifact", text, &a); err != nil {
		return a, err
	}
	if !meant(a) {
		return a, damagedRecord("artifact", name)
	}
	return a, nil
}

// DeleteArtifact deletes an artifact that no tag names, with its references, and
// what was known of it as a copy.
func (tx *Tx) DeleteArtifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error {
	_, err := tx.deleteArtifact(ctx, r, d, "")
	return err
}

// DeleteUnused is [Tx.DeleteArtifact] of one that was pushed before a time and that
// nothing names, and reports whether it did. What was looked up before may have been
// pushed again: on PostgreSQL that waits for nobody who has the repository locked.
func (tx *Tx) DeleteUnused(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, before time.Time) (bool, error) {
	return tx.deleteArtifact(ctx, r, d, " AND a.pushed < $3"+unnamed, sqldb.Micros(before))
}

func (tx *Tx) deleteArtifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, where string, args ...any) (bool, error) {
	n, err := tx.exec(ctx, "artifact.delete", `DELETE FROM registry_artifact AS a WHERE a.repository = $1 AND a.digest = $2`+where, append([]any{r, d}, args...)...)
	if err != nil || n == 0 || !r.IsMirror() {
		return n > 0, err
	}
	return true, tx.ForgetMirrored(ctx, r, d)
}

// Referrers lists the artifacts about a subject by digest, at most limit after
// one, without their annotations: those may be large, and at most one's are in
// memory at a time. artifactType empty is all.
func (tx *Tx) Referrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) (out []towpath.Artifact, err error) {
	err = tx.eachReferrer(ctx, r, subject, artifactType, after, limit, func(a towpath.Artifact, _ int) bool {
		a.Annotations = nil
		out = append(out, a)
		return true
	})
	return out, err
}

// AnnotatedReferrers is [Tx.Referrers] with annotations. It reads no further than
// the first that does not fit into a number of bytes with those before it, as they
// are kept; the first of all is listed whatever it has. More: there are others.
func (tx *Tx) AnnotatedReferrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit, bytes int) (out []towpath.Artifact, more bool, err error) {
	err = tx.eachReferrer(ctx, r, subject, artifactType, after, limit+1, func(a towpath.Artifact, size int) bool {
		bytes -= size
		if more = len(out) == limit || bytes < 0 && len(out) > 0; more {
			return false
		}
		out = append(out, a)
		return true
	})
	return out, more, err
}

// eachReferrer calls f with what is about a subject and how many bytes it has in
// the record, until f has enough.
func (tx *Tx) eachReferrer(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int, f func(a towpath.Artifact, bytes int) bool) error {
	const op = "artifact.list"
	query, args := `SELECT digest, doc, sum FROM registry_artifact
		WHERE repository = $1 AND subject = $2 AND digest > $3 ORDER BY digest LIMIT $4`, []any{r, subject, after, limit}
	if artifactType != "" {
		query, args = `SELECT digest, doc, sum FROM registry_artifact
			WHERE repository = $1 AND subject = $2 AND digest > $3 AND artifact_type = $5 ORDER BY digest LIMIT $4`, append(args, artifactType)
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return sqldb.MapError(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var digest, text, sum string
		if err := rows.Scan(&digest, &text, &sum); err != nil {
			return sqldb.MapError(op, err)
		}
		a, err := readArtifact(string(r)+"@"+digest, text, sum, func(a towpath.Artifact) bool {
			return a.Repository == r && a.Subject == subject && string(a.Digest) == digest
		})
		if err != nil {
			return err
		}
		if !f(a, len(text)) {
			return nil
		}
	}
	return sqldb.MapError(op, rows.Err())
}

// ReferrerDigests lists the digests of what [Tx.Referrers] would.
func (tx *Tx) ReferrerDigests(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) ([]string, error) {
	return tx.strings(ctx, "artifact.digests", `SELECT digest FROM registry_artifact
		WHERE repository = $1 AND subject = $2 AND artifact_type = $3 AND digest > $4 ORDER BY digest LIMIT $5`,
		r, subject, artifactType, after, limit)
}

// ReferencedBy is an artifact of the repository that names a blob or manifest;
// empty when none does.
func (tx *Tx) ReferencedBy(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Digest, error) {
	found, err := tx.strings(ctx, "artifact.references", `SELECT artifact FROM registry_reference
		WHERE repository = $1 AND digest = $2 ORDER BY artifact LIMIT 1`, r, d)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return towpath.Digest(found[0]), nil
}
