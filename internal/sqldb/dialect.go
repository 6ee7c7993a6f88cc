package sqldb

import "strings"

// Dialect is the engine behind a [DB].
type Dialect string

// The engines.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// ForUpdate is the suffix of a SELECT that locks the rows it reads until the
// transaction ends. It is empty on SQLite, whose write transactions exclude
// each other.
func ForUpdate(d Dialect) string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// SkipLocked is [ForUpdate] that leaves out rows which somebody else has
// locked.
func SkipLocked(d Dialect) string {
	if d == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// rewrite turns $N into ?N for SQLite, which would otherwise number $-names in
// order of appearance. Quoted text and comments are left alone.
func (d Dialect) rewrite(q string) string {
	if d != SQLite || !strings.Contains(q, "$") {
		return q
	}
	b := []byte(q)
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\'' || c == '"':
			i = skipTo(b, i+1, string(c))
		case c == '-' && i+1 < len(b) && b[i+1] == '-':
			i = skipTo(b, i+2, "\n")
		case c == '/' && i+1 < len(b) && b[i+1] == '*':
			i = skipTo(b, i+2, "*/")
		case c == '$' && i+1 < len(b) && b[i+1] >= '0' && b[i+1] <= '9':
			b[i] = '?'
		}
	}
	return string(b)
}

// skipTo is the index of the last byte of the first end at or after i, or of
// the last byte of b.
func skipTo(b []byte, i int, end string) int {
	if j := strings.Index(string(b[i:]), end); j >= 0 {
		return i + j + len(end) - 1
	}
	return len(b) - 1
}
