package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// sumOf is what a row has to be read with: 64 bits of a hash of its parts. It
// finds what a disk did to them, not what a person did.
func sumOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// intact is nil when a row's parts have its sum, or when it has none: it was
// written before rows had sums.
func intact(noun, subject, sum string, parts ...string) error {
	if sum == "" || sum == sumOf(parts...) {
		return nil
	}
	return damagedRecord(noun, subject)
}

func damagedRecord(noun, subject string) error {
	return towpath.E(towpath.KindInternal, noun+".get", "the record of the %s is damaged in the database", noun).On(subject).
		WithHint("`towpath registry scrub` puts a damaged tag aside and mends a damaged artifact from its manifest")
}

func tagSum(r towpath.RepositoryName, tag string, d towpath.Digest) string {
	return sumOf(string(r), tag, string(d))
}

// DamagedTags lists tags whose records are damaged, among at most limit after one,
// and where to go on; nil: these were the last.
func (tx *Tx) DamagedTags(ctx context.Context, after registry.TagKey, limit int) (damaged []registry.TagRecord, next *registry.TagKey, err error) {
	const op = "tag.scrub"
	rows, err := tx.Query(ctx, `SELECT repository, tag, folded, digest, sum FROM registry_tag
		WHERE (repository, tag) > ($1, $2) ORDER BY repository, tag LIMIT $3`, after.Repository, after.Tag, limit)
	if err != nil {
		return nil, nil, sqldb.MapError(op, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var t registry.TagRecord
		var folded, sum string
		if err := rows.Scan(&t.Repository, &t.Tag, &folded, &t.Digest, &sum); err != nil {
			return nil, nil, sqldb.MapError(op, err)
		}
		if folded != strings.ToLower(t.Tag) || sum != "" && sum != tagSum(t.Repository, t.Tag, t.Digest) {
			damaged = append(damaged, t)
		}
		next = &t.TagKey
	}
	if n < limit {
		next = nil
	}
	return damaged, next, sqldb.MapError(op, rows.Err())
}

// DamagedArtifacts lists artifacts whose records are damaged, as [Tx.DamagedTags]
// does.
func (tx *Tx) DamagedArtifacts(ctx context.Context, after registry.ArtifactKey, limit int) (damaged []registry.ArtifactKey, next *registry.ArtifactKey, err error) {
	const op = "artifact.scrub"
	rows, err := tx.Query(ctx, `SELECT repository, digest, media_type, size, artifact_type, subject, doc, sum FROM registry_artifact
		WHERE (repository, digest) > ($1, $2) ORDER BY repository, digest LIMIT $3`, after.Repository, after.Digest, limit)
	if err != nil {
		return nil, nil, sqldb.MapError(op, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var k registry.ArtifactKey
		var says towpath.Artifact
		var text, sum string
		var mediaType, artifactType, subject any // SQLite compares no bytes with text, and one bit tells them apart
		var size int64
		if err := rows.Scan(&k.Repository, &k.Digest, &mediaType, &size, &artifactType, &subject, &text, &sum); err != nil {
			return nil, nil, sqldb.MapError(op, err)
		}
		same := undoc("artifact", text, &says) == nil && says.Repository == k.Repository && says.Digest == k.Digest &&
			says.Size == size && says.MediaType == mediaType && says.ArtifactType == artifactType && string(says.Subject) == subject
		if !same || sum != "" && sum != sumOf(text) {
			damaged = append(damaged, k)
		}
		next = &k
	}
	if n < limit {
		next = nil
	}
	return damaged, next, sqldb.MapError(op, rows.Err())
}

// Unsound is what the engine finds wrong with its own files, as sentences, at most
// so many. PostgreSQL checks each page that it reads, if its cluster has checksums.
func (tx *Tx) Unsound(ctx context.Context, limit int) ([]string, error) {
	if tx.Dialect() == sqldb.Postgres {
		return nil, nil
	}
	said, err := tx.strings(ctx, "database.check", fmt.Sprintf(`PRAGMA integrity_check(%d)`, limit))
	if err != nil || len(said) == 1 && said[0] == "ok" {
		return nil, err
	}
	return said, nil
}
