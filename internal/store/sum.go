package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

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
		WithHint("`towpath registry scrub` mends it, or says what to do")
}

func tagSum(r towpath.RepositoryName, tag string, d towpath.Digest) string {
	return sumOf(string(r), tag, string(d))
}

// nearly reports whether two sums are the same but for one character: a disk may have
// hit the sum, and what has one that is 60 bits of the other is what was meant.
func nearly(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	differ := 0
	for i := range len(a) {
		if a[i] != b[i] {
			differ++
		}
	}
	return differ <= 1
}

// names are the columns by which rows of the registry are found, which are text.
var names = []struct{ table, columns string }{
	{"registry_tag", "repository tag digest"},
	{"registry_artifact", "repository digest"},
	{"registry_reference", "repository artifact digest"},
	{"registry_blob", "repository digest"},
}

// Unsound is what the engine finds wrong with its own files, as sentences, at most
// so many, and where SQLite has bytes for a name, which it finds equal to no text.
// PostgreSQL checks each page that it reads, if its cluster has checksums.
func (tx *Tx) Unsound(ctx context.Context, limit int) ([]string, error) {
	const op = "database.check"
	if tx.Dialect() == sqldb.Postgres {
		return nil, nil
	}
	said, err := tx.strings(ctx, op, fmt.Sprintf(`PRAGMA integrity_check(%d)`, limit))
	if err != nil {
		return nil, err
	}
	if len(said) == 1 && said[0] == "ok" {
		said = nil
	}
	for _, n := range names {
		for column := range strings.FieldsSeq(n.columns) {
			found, err := tx.strings(ctx, op, fmt.Sprintf(`SELECT '%s.%s is no text' FROM %[1]s WHERE typeof(%[2]s) <> 'text' LIMIT 1`, n.table, column))
			if err != nil {
				return nil, err
			}
			said = append(said, found...)
		}
	}
	return said[:min(len(said), limit)], nil
}
