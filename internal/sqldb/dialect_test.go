package sqldb

import "testing"

func TestDialect_Rewrite(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"numbers parameters":             {"SELECT $1, $2, $10", "SELECT ?1, ?2, ?10"},
		"keeps repeated ones apart":      {"a = $2 AND b = $1 AND c = $2", "a = ?2 AND b = ?1 AND c = ?2"},
		"leaves strings alone":           {"SELECT '$1', 'it''s $2', $1", "SELECT '$1', 'it''s $2', ?1"},
		"leaves quoted names alone":      {`SELECT "$1" = $1`, `SELECT "$1" = ?1`},
		"leaves comments alone":          {"SELECT $1 -- $2\n, $3 /* $4 */", "SELECT ?1 -- $2\n, ?3 /* $4 */"},
		"leaves a lone dollar":           {"SELECT '$' || $1 || $", "SELECT '$' || ?1 || $"},
		"survives an unterminated quote": {"SELECT '$1", "SELECT '$1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SQLite.rewrite(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := Postgres.rewrite(tt.in); got != tt.in {
				t.Errorf("PostgreSQL got %q", got)
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]struct {
		dialect Dialect
		path    string
	}{
		"sqlite:///var/lib/a.db":    {SQLite, "/var/lib/a.db"},
		"sqlite:///with%20space.db": {SQLite, "/with space.db"},
		"/var/lib/a.db":             {SQLite, "/var/lib/a.db"},
		"data/a b.db":               {SQLite, "data/a b.db"},
		"postgres://u@h/d":          {Postgres, ""},
		"postgresql://u@h/d":        {Postgres, ""},
	} {
		dialect, path, err := parseURL(in)
		if err != nil || dialect != want.dialect || path != want.path {
			t.Errorf("%s: %s %q %v", in, dialect, path, err)
		}
	}
	for _, in := range []string{"", "mysql://h/d", ":memory:", "sqlite://host/a.db", "sqlite://"} {
		if _, _, err := parseURL(in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}
