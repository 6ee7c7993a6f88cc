package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestMigrations: what an older version wrote is read as it was meant.
func TestMigrations(t *testing.T) {
	for name, tt := range map[string]struct {
		before string // the migration that changed it
		insert []string
		read   string
		want   string
	}{
		"what was deployed before places had a column is found by its place": {
			"00012",
			[]string{`INSERT INTO target (key, project, environment, component, fence, doc) VALUES ('shop/dev/api/host-1/main', 'shop', 'dev', 'api', 1, '{}')`},
			`SELECT place FROM target`, "host-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			migrated(t, tt.before, tt.insert, func(t *testing.T, db *sqldb.DB) {
				var got string
				if err := db.QueryRow(t.Context(), tt.read).Scan(&got); err != nil || got != tt.want {
					t.Errorf("it is %q, %v", got, err)
				}
			})
		})
	}
}

// TestMigrations_EnvironmentsStayOpen: what was deployed into before environments
// were opened needs nobody to do that, whatever its rules say, and what was only
// proposed does.
func TestMigrations_EnvironmentsStayOpen(t *testing.T) {
	ana := &towpath.Opening{Place: "eu-2", By: "ana"}
	const forged = "\x00\",\"place\":\"elsewhere\",\"opened\":{\n'\x1b[8m"
	rows := []string{`INSERT INTO project (name, repository, created_at) VALUES ('shop', '', 0)`}
	want := map[towpath.EnvironmentName]*towpath.Opening{}
	add := func(name towpath.EnvironmentName, digest string, place towpath.PlaceName, opened, after *towpath.Opening) {
		t.Helper()
		doc, err := json.Marshal(towpath.Environment{Project: "shop", Name: name, Opened: opened, Rules: towpath.EnvironmentSpec{
			Name: name, Branch: forged, From: forged, Place: place, Account: forged,
		}})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf(`INSERT INTO environment (project, name, position, digest, rev, doc) VALUES ('shop', '%s', 0, '%s', 1, '%s')`, name, digest, strings.ReplaceAll(string(doc), "'", "''")))
		want[name] = after
	}
	old := func(p towpath.PlaceName) *towpath.Opening {
		return &towpath.Opening{Place: p, By: "towpath", At: time.Unix(0, 0).UTC()}
	}
	add("runs", "sha256:a", "eu-1", nil, old("eu-1"))
	add("ran", "", "eu-1", nil, old("eu-1"))
	add("proposed", "", "eu-1", nil, nil)
	add("opened", "sha256:a", "eu-2", ana, ana)
	add("bent", "sha256:a", `eu"\`, nil, nil)
	rows = append(rows, `INSERT INTO deployment (id, project, environment, created, active, rev, doc) VALUES ('dep_1', 'shop', 'ran', 1, 0, 1, '{}')`)
	migrated(t, "00022", rows, func(t *testing.T, db *sqldb.DB) {
		for name, after := range want {
			var text string
			var e towpath.Environment
			err := db.QueryRow(t.Context(), `SELECT doc FROM environment WHERE name = $1`, name).Scan(&text)
			if err == nil {
				err = json.Unmarshal([]byte(text), &e)
			}
			if err != nil || e.Name != name || !reflect.DeepEqual(e.Opened, after) || strings.Count(text, `"opened":`) > 1 {
				t.Errorf("%s: %s, %v", name, text, err)
			}
		}
	})
}

// migrated writes rows by the schema before a migration, migrates, and calls f, on
// each kind of database.
func migrated(t *testing.T, before string, rows []string, f func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	old := fstest.MapFS{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		files, err := fs.Glob(migrations.FS, dialect+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if b, err := fs.ReadFile(migrations.FS, f); err != nil {
				t.Fatal(err)
			} else if f < dialect+"/"+before {
				old[f] = &fstest.MapFile{Data: b}
			}
		}
	}
	for name, url := range map[string]string{"on SQLite": filepath.Join(t.TempDir(), "towpath.db"), "on PostgreSQL": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			db := dbtest.Open(t, url)
			err := sqldb.Migrate(context.Background(), db, old)
			for _, row := range rows {
				if err == nil {
					_, err = db.Exec(t.Context(), row)
				}
			}
			if err == nil {
				err = sqldb.Migrate(context.Background(), db, migrations.FS)
			}
			if err != nil {
				t.Fatal(err)
			}
			f(t, db)
		})
	}
}
