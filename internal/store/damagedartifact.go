package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

const artifactColumns = "repository, digest, media_type, size, artifact_type, subject, pushed, doc, sum"

// pushedIn finds when an artifact was pushed in what may be JSON no more.
var pushedIn = regexp.MustCompile(`"pushed":"([^"]+)"`)

func scanArtifact(r scanner) (x registry.ArtifactRecord, damaged bool, err error) {
	// SQLite compares no bytes with text, and one bit tells them apart.
	var mediaType, artifactType, subject, size, pushed any
	var doc string
	if err := r.Scan(&x.Repository, &x.Digest, &mediaType, &size, &artifactType, &subject, &pushed, &doc, &x.Sum); err != nil {
		return x, false, err
	}
	var says towpath.Artifact
	readable := undoc("artifact", doc, &says) == nil
	same := readable && says.Repository == x.Repository && says.Digest == x.Digest && says.Size == size &&
		says.MediaType == mediaType && says.ArtifactType == artifactType && string(says.Subject) == subject
	x.Whole = readable && x.Sum != "" && nearly(x.Sum, sumOf(doc))
	x.Types = []string{text(mediaType), says.MediaType}
	for _, found := range pushedIn.FindAllStringSubmatch(doc, -1) {
		if at, err := time.Parse(time.RFC3339Nano, found[1]); err == nil {
			x.Times = append(x.Times, at)
		}
	}
	if at, ok := pushed.(int64); ok {
		x.Last = sqldb.Time(at)
	}
	if x.Says = says; !x.Whole {
		x.Says = towpath.Artifact{Repository: x.Repository, Digest: x.Digest, MediaType: text(mediaType), ArtifactType: text(artifactType), Subject: towpath.Digest(text(subject))}
	}
	return x, !same || x.Sum != "" && x.Sum != sumOf(doc), nil
}

// text is a column's, which may have become bytes.
func text(column any) string {
	switch c := column.(type) {
	case string:
		return c
	case []byte:
		return string(c)
	}
	return ""
}

// DamagedArtifacts lists artifacts whose records are damaged, as [Tx.DamagedTags]
// does.
func (tx *Tx) DamagedArtifacts(ctx context.Context, after registry.ArtifactKey, limit int) (all []registry.ArtifactRecord, next *registry.ArtifactKey, err error) {
	const op = "artifact.scrub"
	rows, err := tx.Query(ctx, `SELECT `+artifactColumns+` FROM registry_artifact
		WHERE (repository, digest) > ($1, $2) ORDER BY repository, digest LIMIT $3`, after.Repository, after.Digest, limit)
	if err != nil {
		return nil, nil, sqldb.MapError(op, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		x, damaged, err := scanArtifact(rows)
		if err != nil {
			return nil, nil, sqldb.MapError(op, err)
		}
		if damaged {
			all = append(all, x)
		}
		next = &x.ArtifactKey
	}
	if n < limit {
		next = nil
	}
	return all, next, sqldb.MapError(op, rows.Err())
}

// LockDamagedArtifact reads the record of an artifact if it is damaged. Nobody else
// can change it before the transaction ends.
func (tx *Tx) LockDamagedArtifact(ctx context.Context, k registry.ArtifactKey) (registry.ArtifactRecord, bool, error) {
	x, damaged, err := scanArtifact(tx.QueryRow(ctx, `SELECT `+artifactColumns+` FROM registry_artifact WHERE repository = $1 AND digest = $2`+tx.lock(), k.Repository, k.Digest))
	if errors.Is(err, sql.ErrNoRows) {
		return x, false, nil
	}
	return x, damaged, sqldb.MapError("artifact.scrub", err)
}

// WrittenArtifact reports whether a damaged record was this artifact when it was
// written, which its sum proves.
func (tx *Tx) WrittenArtifact(x registry.ArtifactRecord, a towpath.Artifact) bool {
	says, err := doc(a)
	return err == nil && x.Sum != "" && nearly(x.Sum, sumOf(says))
}

// MendArtifact writes the record of an artifact anew: who pushed it, and when last,
// stays. It reports whether it did: there may be one of the same name.
func (tx *Tx) MendArtifact(ctx context.Context, k registry.ArtifactKey, a towpath.Artifact) (bool, error) {
	says, err := doc(a)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, "artifact.mend", `UPDATE registry_artifact SET repository = $1, digest = $2, media_type = $3, size = $4, artifact_type = $5,
		subject = $6, doc = $7, sum = $8 WHERE repository = $9 AND digest = $10
		AND NOT EXISTS (SELECT 1 FROM registry_artifact o WHERE o.repository = $11 AND o.digest = $12 AND NOT (o.repository = $13 AND o.digest = $14))`,
		a.Repository, a.Digest, a.MediaType, a.Size, a.ArtifactType, a.Subject, says, sumOf(says), k.Repository, k.Digest,
		a.Repository, a.Digest, k.Repository, k.Digest)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.saveReferences(ctx, a)
}
