package store

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// scanner is a row, or the one that rows are at.
type scanner interface{ Scan(dest ...any) error }

const tagColumns = "repository, tag, folded, digest, sum"

func scanTag(r scanner) (t registry.TagRecord, damaged bool, err error) {
	var folded string
	err = r.Scan(&t.Repository, &t.Tag, &folded, &t.Digest, &t.Sum)
	return t, folded != strings.ToLower(t.Tag) || t.Sum != "" && t.Sum != tagSum(t.Repository, t.Tag, t.Digest), err
}

// DamagedTags lists tags whose records are damaged, among at most limit after one,
// and where to go on; nil: these were the last.
func (tx *Tx) DamagedTags(ctx context.Context, after registry.TagKey, limit int) (all []registry.TagRecord, next *registry.TagKey, err error) {
	const op = "tag.scrub"
	rows, err := tx.Query(ctx, `SELECT `+tagColumns+` FROM registry_tag
		WHERE (repository, tag) > ($1, $2) ORDER BY repository, tag LIMIT $3`, after.Repository, after.Tag, limit)
	if err != nil {
		return nil, nil, sqldb.MapError(op, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		t, damaged, err := scanTag(rows)
		if err != nil {
			return nil, nil, sqldb.MapError(op, err)
		}
		if damaged {
			all = append(all, t)
		}
		next = &t.TagKey
	}
	if n < limit {
		next = nil
	}
	return all, next, sqldb.MapError(op, rows.Err())
}

// LockDamagedTag reads the record of a tag if it is damaged. Nobody else can change
// it before the transaction ends.
func (tx *Tx) LockDamagedTag(ctx context.Context, k registry.TagKey) (registry.TagRecord, bool, error) {
	t, damaged, err := scanTag(tx.QueryRow(ctx, `SELECT `+tagColumns+` FROM registry_tag WHERE repository = $1 AND tag = $2`+tx.lock(), k.Repository, k.Tag))
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return t, damaged, sqldb.MapError("tag.scrub", err)
}

// WrittenTag is what a damaged record of a tag said when it was written, if its sum
// proves it: the same but for one bit of a name, or with the digest of another
// artifact of the repository.
func (tx *Tx) WrittenTag(ctx context.Context, t registry.TagRecord) (registry.TagRecord, bool, error) {
	if t.Sum == "" {
		return t, false, nil
	}
	if nearly(t.Sum, tagSum(t.Repository, t.Tag, t.Digest)) {
		return t, true, nil
	}
	w := t
	fits := func() bool { return tagSum(w.Repository, w.Tag, w.Digest) == t.Sum }
	for name := range oneBitOff(string(t.Repository)) {
		if w.Repository = towpath.RepositoryName(name); fits() {
			return w, true, nil
		}
	}
	w = t
	for name := range oneBitOff(t.Tag) {
		if w.Tag = name; fits() {
			return w, true, nil
		}
	}
	w = t
	for after := ""; ; {
		digests, err := tx.strings(ctx, "tag.scrub", `SELECT digest FROM registry_artifact
			WHERE repository = $1 AND digest > $2 ORDER BY digest LIMIT $3`, t.Repository, after, batch)
		if err != nil || len(digests) == 0 {
			return t, false, err
		}
		for _, d := range digests {
			if w.Digest = towpath.Digest(d); fits() {
				return w, true, nil
			}
		}
		after = digests[len(digests)-1]
	}
}

// oneBitOff yields each text that differs from one in a single bit.
func oneBitOff(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		b := []byte(s)
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if !yield(string(b)) {
				return
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// RestoreTag makes the record of a tag say what it said, unless that names an
// artifact that is not there, or a tag that was set anew; it reports whether it did.
func (tx *Tx) RestoreTag(ctx context.Context, k registry.TagKey, was registry.TagRecord) (bool, error) {
	n, err := tx.exec(ctx, "tag.scrub", `UPDATE registry_tag SET repository = $1, tag = $2, folded = $3, digest = $4, sum = $5
		WHERE repository = $6 AND tag = $7
		AND EXISTS (SELECT 1 FROM registry_artifact a WHERE a.repository = $8 AND a.digest = $9)
		AND NOT EXISTS (SELECT 1 FROM registry_tag t WHERE t.repository = $10 AND t.tag = $11 AND NOT (t.repository = $12 AND t.tag = $13))`,
		was.Repository, was.Tag, strings.ToLower(was.Tag), was.Digest, tagSum(was.Repository, was.Tag, was.Digest),
		k.Repository, k.Tag, was.Repository, was.Digest, was.Repository, was.Tag, k.Repository, k.Tag)
	return n > 0, err
}

// KeepUntagged keeps what no tag names in a repository from the collection of garbage as
// if it were pushed at a time to come; a repository that is not there is any.
func (tx *Tx) KeepUntagged(ctx context.Context, r towpath.RepositoryName, until time.Time) error {
	known, err := tx.HasRepository(ctx, r)
	if err != nil {
		return err
	}
	query, args := `UPDATE registry_artifact SET pushed = $1 WHERE pushed < $2
		AND NOT EXISTS (SELECT 1 FROM registry_tag t WHERE t.repository = registry_artifact.repository AND t.digest = registry_artifact.digest)`,
		[]any{sqldb.Micros(until), sqldb.Micros(until)}
	if known {
		query, args = query+" AND repository = $3", append(args, r)
	}
	_, err = tx.exec(ctx, "artifact.keep", query, args...)
	return err
}
