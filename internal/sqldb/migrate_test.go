package sqldb_test

import (
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/modfile"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

func TestMigrate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		t.Run("is a no-op the second time", func(t *testing.T) {
			if err := sqldb.Migrate(t.Context(), db, migrations.FS); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("refuses a database of a newer version", func(t *testing.T) {
			exec := func(q string) {
				if _, err := db.Exec(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (99999, ` + map[sqldb.Dialect]string{
				sqldb.SQLite: "1", sqldb.Postgres: "TRUE",
			}[db.Dialect()] + `)`)
			err := sqldb.Migrate(t.Context(), db, migrations.FS)
			if towpath.KindOf(err) != towpath.KindConflict {
				t.Fatalf("got %v", err)
			}
			schema, err := sqldb.NewSchema(db, migrations.FS)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Overtaken(t.Context()); towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("one that runs goes on: %v", err)
			}
			exec(`DELETE FROM schema_version WHERE version_id = 99999`)
			if err := schema.Overtaken(t.Context()); err != nil {
				t.Error(err)
			}
		})
		t.Run("undoes a migration that fails and says which", func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, dir := range []string{"sqlite", "postgres"} {
				for version := int64(1); version <= latest(t, db); version++ {
					fsys[fmt.Sprintf("%s/%05d_known.sql", dir, version)] = &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;\n")}
				}
				fsys[dir+"/09999_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (n BIGINT);\nSELECT nonsense FROM nowhere;\n")}
			}
			err := sqldb.Migrate(t.Context(), db, fsys)
			if err == nil || !strings.Contains(err.Error(), "09999_broken.sql") {
				t.Fatalf("got %v", err)
			}
			if _, err := db.Exec(t.Context(), `CREATE TABLE half (n BIGINT)`); err != nil {
				t.Fatalf("half of the migration stayed: %v", err)
			}
		})
	})
	t.Run("servers that start together take turns on PostgreSQL", func(t *testing.T) {
		url := pgtest.New(t)
		var all sync.WaitGroup
		for range 3 {
			db := dbtest.Open(t, url)
			all.Go(func() {
				if err := sqldb.Migrate(t.Context(), db, migrations.FS); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func latest(t *testing.T, db *sqldb.DB) int64 {
	t.Helper()
	return count(t, db, `SELECT MAX(version_id) FROM schema_version`)
}

// TestMigrations_SameSchema holds the two directories of migrations together.
func TestMigrations_SameSchema(t *testing.T) {
	lite := columnsOf(t, dbtest.SQLite(t), `SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || (c."notnull" = 1 OR c.pk > 0)
		FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	pg := columnsOf(t, dbtest.Postgres(t), `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || (is_nullable = 'NO')::int
		FROM information_schema.columns WHERE table_schema = 'public'`)
	if !slices.Equal(lite, pg) {
		t.Errorf("the schemas differ:\nonly SQLite: %q\nonly PostgreSQL: %q", without(lite, pg), without(pg, lite))
	}
}

func columnsOf(t *testing.T, db *sqldb.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		s = strings.NewReplacer("bytea", "BLOB", "integer", "BIGINT", "INTEGER", "BIGINT", "bigint", "BIGINT", "text", "TEXT").Replace(s)
		// The engines differ in goose's own table and in how they count fences.
		if !strings.HasPrefix(s, "schema_version.") && !strings.HasPrefix(s, "work_fence.") {
			out = append(out, s)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestModule_LibcVersion: modernc.org/sqlite is translated against one exact
// libc; with another it may corrupt memory.
func TestModule_LibcVersion(t *testing.T) {
	goTool := func(module string) (m struct{ Version, GoMod string }) {
		out, err := osexec.Command("go", "list", "-m", "-json", module).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	path := goTool("modernc.org/sqlite").GoMod
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse(path, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range mod.Require {
		if req.Mod.Path == "modernc.org/libc" {
			if got := goTool("modernc.org/libc").Version; got != req.Mod.Version {
				t.Fatalf("go.mod selects modernc.org/libc %s; modernc.org/sqlite needs exactly %s", got, req.Mod.Version)
			}
			return
		}
	}
	t.Fatal("modernc.org/sqlite no longer requires modernc.org/libc: remove this test")
}
