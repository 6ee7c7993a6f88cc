package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertProject registers a project; the name must be free.
func (tx *Tx) InsertProject(ctx context.Context, p towpath.Project) error {
	_, err := tx.exec(ctx, "project.insert", `INSERT INTO project (name, repository, created_at) VALUES ($1, $2, $3)`,
		p.Name, p.Repository, sqldb.Micros(p.CreatedAt))
	if sqldb.IsUnique(err) {
		return towpath.E(towpath.KindConflict, "project.insert", "the project exists already").On(string(p.Name))
	}
	return err
}

// Project reads a project.
func (tx *Tx) Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error) {
	p := towpath.Project{Name: name}
	var created int64
	err := one(tx.QueryRow(ctx, `SELECT repository, created_at FROM project WHERE name = $1`, name),
		"project", string(name), &p.Repository, &created)
	p.CreatedAt = sqldb.Time(created)
	return p, err
}

// Projects lists all projects by name.
func (tx *Tx) Projects(ctx context.Context) ([]towpath.Project, error) {
	rows, err := tx.Query(ctx, `SELECT name, repository, created_at FROM project ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []towpath.Project
	for rows.Next() {
		var p towpath.Project
		var created int64
		if err := rows.Scan(&p.Name, &p.Repository, &created); err != nil {
			return nil, err
		}
		p.CreatedAt = sqldb.Time(created)
		out = append(out, p)
	}
	return out, sqldb.MapError("project.list", rows.Err())
}

// SetRepository changes where the repository of a project lies.
func (tx *Tx) SetRepository(ctx context.Context, name towpath.ProjectName, path string) error {
	n, err := tx.exec(ctx, "project.save", `UPDATE project SET repository = $1 WHERE name = $2`, path, name)
	if err == nil && n == 0 {
		return notFound("project", string(name))
	}
	return err
}
