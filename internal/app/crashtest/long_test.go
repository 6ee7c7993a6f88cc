//go:build long

package crashtest_test

// sqliteHits is which passings of each step kill the server: all.
func sqliteHits(string, int) bool { return true }

// postgresHits is the same on PostgreSQL.
func postgresHits(string, int) bool { return true }
