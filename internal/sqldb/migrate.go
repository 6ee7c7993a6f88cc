package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/towpath/towpath/internal/towpath"
)

// Migrate brings the schema to the newest version in fsys, which has a
// directory of goose migrations per dialect: "sqlite" and "postgres". Servers
// that start together take turns on PostgreSQL. A database that a newer
// Towpath has migrated is a conflict.
func Migrate(ctx context.Context, db *DB, fsys fs.FS) error {
	dir, err := fs.Sub(fsys, string(db.dialect))
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", db.dialect, err)
	}
	opts := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithTableName("schema_version"),
		goose.WithSlog(slog.New(slog.DiscardHandler)),
	}
	if db.dialect == SQLite { // an index on many rows is sorted in a file, not in memory
		if _, err := db.Exec(ctx, `PRAGMA temp_store = FILE`); err != nil {
			return err
		}
		defer func() { _, _ = db.Exec(ctx, `PRAGMA temp_store = MEMORY`) }() // a failure costs speed alone
	}
	dialect := goose.DialectSQLite3
	if db.dialect == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // look every second, for 5 min
		if err != nil {
			return fmt.Errorf("locker of migrations: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, db.write, dir, opts...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			return towpath.E(towpath.KindInternal, "sqldb.migrate", "a migration of the database failed and was undone").
				On(partial.Failed.Source.Path).WithHint("look at the cause; the migrations before it are in place").WithCause(err)
		}
		return mapError("sqldb.migrate", fmt.Errorf("migrate: %w", err))
	}
	schema, err := NewSchema(db, fsys)
	if err != nil {
		return err
	}
	version, err := schema.version(ctx)
	if err != nil {
		return err
	}
	if version > schema.newest {
		return towpath.E(towpath.KindConflict, "sqldb.migrate", "the database has schema version %d; this towpath knows %d", version, schema.newest).
			WithHint("run the newer towpath that migrated it, or restore the backup from before")
	}
	return nil
}
