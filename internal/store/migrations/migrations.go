// Package migrations owns the schema: one directory of goose migrations per
// dialect, which must always describe the same tables. Migrations that were
// published never change; to change the schema is to add the next one.
//
// Start reading at sqlite/00001_record.sql.
package migrations

import "embed"

// FS holds the directories "sqlite" and "postgres".
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS
