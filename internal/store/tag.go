package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Tag is the digest that a tag names.
func (tx *Tx) Tag(ctx context.Context, r towpath.RepositoryName, tag string) (towpath.Digest, error) {
	return tx.tag(ctx, r, tag, "")
}

// LockTag is [Tx.Tag] of one that nobody else can move or delete before the
// transaction ends.
func (tx *Tx) LockTag(ctx context.Context, r towpath.RepositoryName, tag string) (towpath.Digest, error) {
	return tx.tag(ctx, r, tag, tx.lock())
}

func (tx *Tx) tag(ctx context.Context, r towpath.RepositoryName, tag, lock string) (towpath.Digest, error) {
	var d towpath.Digest
	var sum string
	err := one(tx.QueryRow(ctx, `SELECT digest, sum FROM registry_tag WHERE repository = $1 AND tag = $2`+lock, r, tag),
		"tag", string(r)+":"+tag, &d, &sum)
	if err != nil {
		return "", err
	}
	return d, intact("tag", string(r)+":"+tag, sum, string(r), tag, string(d))
}

// NewTag sets a tag unless it is there, and reports whether it did.
func (tx *Tx) NewTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) (bool, error) {
	n, err := tx.exec(ctx, "tag.insert", `INSERT INTO registry_tag (repository, tag, folded, digest, moved, sum)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, r, tag, strings.ToLower(tag), d, sqldb.Micros(at), tagSum(r, tag, d))
	return n > 0, err
}

// MoveTag makes a tag that is there name another artifact.
func (tx *Tx) MoveTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) error {
	_, err := tx.exec(ctx, "tag.move", `UPDATE registry_tag SET folded = $1, digest = $2, moved = $3, sum = $4 WHERE repository = $5 AND tag = $6`,
		strings.ToLower(tag), d, sqldb.Micros(at), tagSum(r, tag, d), r, tag)
	return err
}

// SetTag makes a tag name an artifact, whatever it named before.
func (tx *Tx) SetTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) error {
	_, err := tx.exec(ctx, "tag.set", `INSERT INTO registry_tag (repository, tag, folded, digest, moved, sum)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (repository, tag) DO UPDATE
		SET folded = excluded.folded, digest = excluded.digest, moved = excluded.moved, sum = excluded.sum`,
		r, tag, strings.ToLower(tag), d, sqldb.Micros(at), tagSum(r, tag, d))
	return err
}

// DeleteTag deletes a tag.
func (tx *Tx) DeleteTag(ctx context.Context, r towpath.RepositoryName, tag string) error {
	_, err := tx.exec(ctx, "tag.delete", `DELETE FROM registry_tag WHERE repository = $1 AND tag = $2`, r, tag)
	return err
}

// Tags lists the tags of a repository without regard to case, at most limit
// after one.
func (tx *Tx) Tags(ctx context.Context, r towpath.RepositoryName, after string, limit int) ([]string, error) {
	return tx.tags(ctx, r, `SELECT tag, digest, sum FROM registry_tag WHERE repository = $1 AND (folded, tag) > ($2, $3)
		ORDER BY folded, tag LIMIT $4`, r, strings.ToLower(after), after, limit)
}

// TagsOf lists the tags that name an artifact.
func (tx *Tx) TagsOf(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) ([]string, error) {
	return tx.tags(ctx, r, `SELECT tag, digest, sum FROM registry_tag WHERE repository = $1 AND digest = $2 ORDER BY tag`, r, d)
}

// tags are the first column of rows of tags, with their digests and sums.
func (tx *Tx) tags(ctx context.Context, r towpath.RepositoryName, query string, args ...any) (out []string, err error) {
	const op = "tag.list"
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, sqldb.MapError(op, err)
	}
	defer rows.Close()
	seen := map[string]bool{}
	for rows.Next() {
		var tag, digest, sum string
		if err := rows.Scan(&tag, &digest, &sum); err != nil {
			return nil, sqldb.MapError(op, err)
		}
		if err := intact("tag", string(r)+":"+tag, sum, string(r), tag, digest); err != nil {
			return nil, err
		}
		if seen[tag] { // a damaged index led here for another one
			return nil, damagedRecord("tag", string(r)+":"+tag)
		}
		seen[tag] = true
		out = append(out, tag)
	}
	return out, sqldb.MapError(op, rows.Err())
}

// TagRules lists the patterns of a project's tags that never move.
func (tx *Tx) TagRules(ctx context.Context, p towpath.ProjectName) ([]string, error) {
	var text string
	var patterns []string
	err := tx.QueryRow(ctx, `SELECT doc FROM registry_rule WHERE project = $1`, p).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, sqldb.MapError("registry.rules", err)
	}
	return patterns, undoc("rule", text, &patterns)
}

// SaveTagRules replaces the patterns of a project's tags that never move.
func (tx *Tx) SaveTagRules(ctx context.Context, p towpath.ProjectName, patterns []string) error {
	text, err := doc(patterns)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "registry.rules", `INSERT INTO registry_rule (project, doc) VALUES ($1, $2)
		ON CONFLICT (project) DO UPDATE SET doc = excluded.doc`, p, text)
	return err
}
