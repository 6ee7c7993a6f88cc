package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertCandidate records a candidate and reports whether it is new.
func (tx *Tx) InsertCandidate(ctx context.Context, c towpath.Candidate) (bool, error) {
	text, err := doc(c)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, "candidate.insert", `INSERT INTO candidate (id, project, digest, commit_id, published, provenance, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		c.ID, c.Project, c.Release, c.Commit, sqldb.Micros(c.Published), c.Provenance, text)
	return n > 0, err
}

// Candidate reads a candidate.
func (tx *Tx) Candidate(ctx context.Context, id towpath.CandidateID) (towpath.Candidate, error) {
	var c towpath.Candidate
	var text string
	if err := one(tx.QueryRow(ctx, `SELECT doc FROM candidate WHERE id = $1`, id), "candidate", string(id), &text); err != nil {
		return c, err
	}
	return c, undoc("candidate", text, &c)
}

// CandidatesOf lists the candidates of a release, newest first.
func (tx *Tx) CandidatesOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.Candidate, error) {
	return list[towpath.Candidate](ctx, tx, "candidate", `SELECT doc FROM candidate WHERE project = $1 AND digest = $2
		ORDER BY published DESC, id DESC`, p, d)
}

// Candidates lists candidates newest first, at most limit, those before a
// position; a zero time starts at the newest.
func (tx *Tx) Candidates(ctx context.Context, p towpath.ProjectName, before time.Time, id towpath.CandidateID, limit int) ([]towpath.Candidate, error) {
	if before.IsZero() {
		return list[towpath.Candidate](ctx, tx, "candidate", `SELECT doc FROM candidate WHERE project = $1
			ORDER BY published DESC, id DESC LIMIT $2`, p, limit)
	}
	return list[towpath.Candidate](ctx, tx, "candidate", `SELECT doc FROM candidate WHERE project = $1
		AND (published < $2 OR (published = $3 AND id < $4)) ORDER BY published DESC, id DESC LIMIT $5`,
		p, sqldb.Micros(before), sqldb.Micros(before), id, limit)
}

// CandidatesSince counts the candidates published after a time.
func (tx *Tx) CandidatesSince(ctx context.Context, p towpath.ProjectName, after time.Time) (int, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM candidate WHERE project = $1 AND published > $2`, p, sqldb.Micros(after)).Scan(&n)
	return n, sqldb.MapError("candidate.count", err)
}

// FindCandidates lists, newest first, at most limit candidates that a name
// may mean: a candidate's ID, a release's digest, a commit, or the beginning
// of one (at least four characters), or a version.
func (tx *Tx) FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error) {
	prefix := likePrefix(name)
	return list[towpath.Candidate](ctx, tx, "candidate", `SELECT doc FROM candidate c WHERE project = $1 AND (
			id = $2 OR digest = $3 OR commit_id = $4
			OR digest IN (SELECT digest FROM version_label v WHERE v.project = $5 AND v.version = $6)
			OR id LIKE $7 ESCAPE '!' OR digest LIKE $8 ESCAPE '!' OR commit_id LIKE $9 ESCAPE '!')
		ORDER BY published DESC, id DESC LIMIT $10`,
		p, name, name, name, p, name, prefix("cnd_"), prefix("sha256:"), prefix(""), limit)
}

// likePrefix makes LIKE patterns for names that begin so, with or without the
// prefix of their kind. A name under four characters matches nothing.
func likePrefix(name string) func(prefix string) string {
	return func(prefix string) string {
		if len(name) < 4 {
			return ""
		}
		var b []byte
		for i := range len(name) {
			if c := name[i]; c == '%' || c == '_' || c == '!' {
				b = append(b, '!')
			}
			b = append(b, name[i])
		}
		text := string(b)
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
			return text + "%"
		}
		if prefix == "cnd_" {
			prefix = "cnd!_"
		}
		return prefix + text + "%"
	}
}
