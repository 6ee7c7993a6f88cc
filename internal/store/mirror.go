package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// MirrorRule says from where a project's images are mirrored; the zero value is
// from nowhere.
func (tx *Tx) MirrorRule(ctx context.Context, p towpath.ProjectName) (towpath.MirrorRule, error) {
	r := towpath.MirrorRule{Project: p}
	all, err := list[towpath.MirrorRule](ctx, tx, "mirror rule", `SELECT doc FROM mirror_rule WHERE project = $1`, p)
	if err == nil && len(all) > 0 {
		r = all[0]
	}
	return r, err
}

// SaveMirrorRule replaces a project's rule.
func (tx *Tx) SaveMirrorRule(ctx context.Context, r towpath.MirrorRule) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "mirror.rule", `INSERT INTO mirror_rule (project, doc) VALUES ($1, $2)
		ON CONFLICT (project) DO UPDATE SET doc = excluded.doc`, r.Project, text)
	return err
}

// WakeMirror has a project's images looked at: there may be something to mirror.
func (tx *Tx) WakeMirror(ctx context.Context, p towpath.ProjectName, now time.Time) error {
	return tx.Enqueue(ctx, mirror.WorkMirror, string(p), now)
}

// UnreadCandidates lists candidates of whole releases of which nobody knows yet
// what they take from other registries, oldest first.
func (tx *Tx) UnreadCandidates(ctx context.Context, p towpath.ProjectName, limit int) ([]towpath.Candidate, error) {
	return list[towpath.Candidate](ctx, tx, "candidate", `SELECT c.doc FROM candidate c
		JOIN release r ON r.project = c.project AND r.digest = c.digest AND r.collected = 0
		WHERE c.project = $1 AND NOT EXISTS (SELECT 1 FROM candidate_image i WHERE i.candidate = c.id)
		ORDER BY c.published, c.id LIMIT $2`, p, limit)
}

// SaveCandidateImages records what a candidate takes from other registries: its
// release needs it in the repositories of ours. Whoever collects garbage there
// is waited for, and then knows.
func (tx *Tx) SaveCandidateImages(ctx context.Context, c towpath.Candidate, images towpath.ReleaseImages) error {
	text, err := doc(images)
	if err != nil {
		return err
	}
	for _, i := range images.Images {
		if i.Repository == "" {
			continue
		}
		if _, err := tx.strings(ctx, "mirror.pin", `SELECT name FROM registry_repository WHERE name = $1`+tx.lock(), i.Repository); err != nil {
			return err
		}
		_, err := tx.exec(ctx, "mirror.pin", `INSERT INTO mirror_pin (project, release, repository, digest, source)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, c.Project, c.Release, i.Repository, i.Digest, i.Source)
		if err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, "mirror.read", `INSERT INTO candidate_image (candidate, project, release, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (candidate) DO UPDATE SET doc = excluded.doc`, c.ID, c.Project, c.Release, text)
	return err
}

// pinned is the condition that a whole release pins what has the repository and
// the digest of a table.
func pinned(table string) string {
	return ` EXISTS (SELECT 1 FROM mirror_pin p JOIN release l ON l.project = p.project AND l.digest = p.release AND l.collected = 0
		WHERE p.repository = ` + table + `.repository AND p.digest = ` + table + `.digest)`
}

// SaveMirrored writes how far the copy of an image is.
func (tx *Tx) SaveMirrored(ctx context.Context, x towpath.MirroredImage) error {
	text, err := doc(x)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "mirror.save", `INSERT INTO mirror (repository, digest, project, since, done, doc) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repository, digest) DO UPDATE SET since = excluded.since, done = excluded.done, doc = excluded.doc`,
		x.Repository, x.Digest, x.Project, sqldb.Micros(x.Since), sqldb.Micros(x.Done), text)
	return err
}

// Mirrored lists what is mirrored for a project, or will be, the oldest wish
// first.
func (tx *Tx) Mirrored(ctx context.Context, p towpath.ProjectName) ([]towpath.MirroredImage, error) {
	return list[towpath.MirroredImage](ctx, tx, "mirror", `SELECT doc FROM mirror WHERE project = $1 ORDER BY since, repository, digest`, p)
}

// MirrorPins lists what the whole releases of a project need.
func (tx *Tx) MirrorPins(ctx context.Context, p towpath.ProjectName) ([]towpath.PinnedImage, error) {
	rows, err := tx.Query(ctx, `SELECT p.repository, p.digest, MIN(p.source) FROM mirror_pin p
		JOIN release l ON l.project = p.project AND l.digest = p.release AND l.collected = 0
		WHERE p.project = $1 GROUP BY p.repository, p.digest ORDER BY p.repository, p.digest`, p)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.PinnedImage
	for rows.Next() {
		var i towpath.PinnedImage
		if err := rows.Scan(&i.Repository, &i.Digest, &i.Source); err != nil {
			return nil, sqldb.MapError("mirror.list", err)
		}
		out = append(out, i)
	}
	return out, sqldb.MapError("mirror.list", rows.Err())
}

// ForgetMirrored forgets a copy; what is there of it is garbage.
func (tx *Tx) ForgetMirrored(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error {
	_, err := tx.exec(ctx, "mirror.forget", `DELETE FROM mirror WHERE repository = $1 AND digest = $2`, r, d)
	return err
}

// ImagesOf is what a release takes from other registries, as far as its
// candidates were read, and how far each copy is.
func (tx *Tx) ImagesOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (towpath.ReleaseImages, error) {
	read, err := list[towpath.ReleaseImages](ctx, tx, "candidate image", `SELECT doc FROM candidate_image
		WHERE project = $1 AND release = $2 ORDER BY candidate`, p, d)
	if err != nil {
		return towpath.ReleaseImages{}, err
	}
	return tx.combined(ctx, p, d, read)
}

// CandidateImages is [Tx.ImagesOf] of one candidate: what another one of the same
// release says that it takes is not its own.
func (tx *Tx) CandidateImages(ctx context.Context, p towpath.ProjectName, d towpath.Digest, c towpath.CandidateID) (towpath.ReleaseImages, error) {
	read, err := list[towpath.ReleaseImages](ctx, tx, "candidate image", `SELECT doc FROM candidate_image
		WHERE project = $1 AND release = $2 AND candidate = $3`, p, d, c)
	if err != nil {
		return towpath.ReleaseImages{}, err
	}
	return tx.combined(ctx, p, d, read)
}

// combined adds how far the copies are.
func (tx *Tx) combined(ctx context.Context, p towpath.ProjectName, d towpath.Digest, read []towpath.ReleaseImages) (towpath.ReleaseImages, error) {
	copies, err := list[towpath.MirroredImage](ctx, tx, "mirror", `SELECT m.doc FROM mirror m
		JOIN mirror_pin p ON p.repository = m.repository AND p.digest = m.digest WHERE p.project = $1 AND p.release = $2`, p, d)
	return mirror.Combine(p, d, read, copies), err
}

// PinnedBy is a whole release that needs what is mirrored; empty: none does.
func (tx *Tx) PinnedBy(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Digest, error) {
	found, err := tx.strings(ctx, "mirror.pins", `SELECT p.release FROM mirror_pin p
		JOIN release l ON l.project = p.project AND l.digest = p.release AND l.collected = 0
		WHERE p.repository = $1 AND p.digest = $2 ORDER BY p.release LIMIT 1`, r, d)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return towpath.Digest(found[0]), nil
}

// arriving is the condition that something is on its way into the repository of an
// artifact a: an index comes after the manifests that it names.
const arriving = ` EXISTS (SELECT 1 FROM mirror m WHERE m.repository = a.repository AND m.done = 0)`

// Unpinned lists artifacts of mirrored images, pushed before a time, that are
// about nothing, that no tag names, and that no whole release needs.
func (tx *Tx) Unpinned(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	return tx.bytes(ctx, `SELECT a.digest, a.size FROM registry_artifact a WHERE a.repository = $1 AND a.subject = '' AND a.pushed < $2
		AND NOT`+pinned("a")+` AND NOT`+arriving+unnamed+` ORDER BY a.digest LIMIT $3`, r, sqldb.Micros(before), limit)
}
