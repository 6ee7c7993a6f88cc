package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertUpload adds an upload of a blob.
func (tx *Tx) InsertUpload(ctx context.Context, u registry.Upload) error {
	text, err := doc(u)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "upload.insert", `INSERT INTO registry_upload (id, repository, project, size, expires, doc)
		VALUES ($1, $2, $3, $4, $5, $6)`, u.ID, u.Repository, u.Repository.Project(), u.Size, sqldb.Micros(u.Expires), text)
	return err
}

// Upload reads an upload.
func (tx *Tx) Upload(ctx context.Context, id registry.UploadID) (registry.Upload, error) {
	var u registry.Upload
	var text string
	if err := one(tx.QueryRow(ctx, `SELECT doc FROM registry_upload WHERE id = $1`, id), "upload", string(id), &text); err != nil {
		return u, err
	}
	return u, undoc("upload", text, &u)
}

// SaveUpload replaces an upload that still has a size; otherwise somebody else
// added to it or ended it.
func (tx *Tx) SaveUpload(ctx context.Context, u registry.Upload, was int64) error {
	text, err := doc(u)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "upload.save", `UPDATE registry_upload SET size = $1, expires = $2, doc = $3 WHERE id = $4 AND size = $5`,
		u.Size, sqldb.Micros(u.Expires), text, u.ID, was)
	if err == nil && n == 0 {
		return moved("upload", string(u.ID))
	}
	return err
}

// DeleteUpload deletes an upload and reports whether it was there.
func (tx *Tx) DeleteUpload(ctx context.Context, id registry.UploadID) (bool, error) {
	n, err := tx.exec(ctx, "upload.delete", `DELETE FROM registry_upload WHERE id = $1`, id)
	return n > 0, err
}

// CountUploads counts the uploads of a project.
func (tx *Tx) CountUploads(ctx context.Context, p towpath.ProjectName) (int, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM registry_upload WHERE project = $1`, p).Scan(&n)
	return n, sqldb.MapError("upload.count", err)
}

// ExpiredUploads lists uploads that expired before a time, oldest first, at
// most limit.
func (tx *Tx) ExpiredUploads(ctx context.Context, before time.Time, limit int) ([]registry.Upload, error) {
	return list[registry.Upload](ctx, tx, "upload", `SELECT doc FROM registry_upload WHERE expires < $1 ORDER BY expires LIMIT $2`,
		sqldb.Micros(before), limit)
}
