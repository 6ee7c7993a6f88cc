package sqldb

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/towpath/towpath/internal/towpath"
)

// Schema is the version of a database's schema beside the newest that this
// process knows.
type Schema struct {
	db     *DB
	newest int64
}

// NewSchema reads the newest version from migrations as [Migrate] takes them.
func NewSchema(db *DB, fsys fs.FS) (*Schema, error) {
	files, err := fs.Glob(fsys, string(db.dialect)+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", db.dialect, err)
	}
	s := &Schema{db: db}
	for _, f := range files {
		version, err := goose.NumericComponent(f)
		if err != nil {
			return nil, fmt.Errorf("read migrations: %w", err)
		}
		s.newest = max(s.newest, version)
	}
	return s, nil
}

// Older says how many processes are [Present] at now while the schema is older
// than the newest version: all of them know the older one.
func (s *Schema) Older(ctx context.Context, now time.Time) (present int, err error) {
	made := `SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'`
	if s.db.dialect == Postgres {
		made = `SELECT COUNT(to_regclass('schema_version'))`
	}
	var is int
	if err := s.db.QueryRow(ctx, made).Scan(&is); err != nil || is == 0 { // nobody was ever here
		return 0, mapError("sqldb.schema", err)
	}
	version, err := s.version(ctx)
	if err != nil || version >= s.newest {
		return 0, err
	}
	err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM lease WHERE name LIKE $1 AND until > $2`, presencePrefix+"%", Micros(now)).Scan(&present)
	return present, mapError("sqldb.schema", err)
}

// Overtaken fails as a conflict when the schema is newer than the newest version:
// this process would write rows as they no longer are.
func (s *Schema) Overtaken(ctx context.Context) error {
	version, err := s.version(ctx)
	if err == nil && version > s.newest {
		err = towpath.E(towpath.KindConflict, "sqldb.schema", "another server has upgraded the database to schema version %d; this one knows %d", version, s.newest).
			WithHint("start the new version of towpath")
	}
	return err
}

func (s *Schema) version(ctx context.Context) (version int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT MAX(version_id) FROM schema_version`).Scan(&version)
	return version, mapError("sqldb.schema", err)
}
