// Package sqldb owns access to the one database: SQLite (embedded, the
// default) or PostgreSQL. It gives transactions with bounded retries, one SQL
// text for both engines, migrations, the durable work queue and the leases of
// singletons.
//
// It must not know any noun: stores and the ledger bring their own SQL.
//
// Conventions of every table, equal on both engines: times are BIGINT unix
// microseconds ([Micros], [Time]), booleans BIGINT 0 or 1 ([Bool]), IDs and
// JSON TEXT, bytes BLOB or BYTEA. Parameters are written $1, $2, … in order of
// first use; one that stands alone in a CASE or a SELECT list needs a CAST,
// since PostgreSQL would take it for text.
//
// Start reading at db.go, tx.go and group.go, then work.go.
package sqldb
