package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// noon is when commands run.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// run is a command line and what it did.
type run struct {
	code           int
	stdout, stderr string
}

// shell runs commands in an empty folder, against a server.
type shell struct {
	t    *testing.T
	ctx  context.Context
	env  map[string]string
	dir  string
	apps cli.Apps
}

func newShell(t *testing.T, s *apitest.Server) *shell {
	t.Helper()
	sh := &shell{
		t: t, ctx: t.Context(), dir: t.TempDir(), apps: cli.Apps{Version: "v0.0.0-test", Now: noon},
		env: map[string]string{"HOME": t.TempDir()},
	}
	if s != nil {
		sh.env["TOWPATH_URL"], sh.env["TOWPATH_TOKEN"], sh.env["TOWPATH_PROJECT"] = s.URL, apitest.Token, "shop"
	}
	return sh
}

func (sh *shell) run(args ...string) run {
	sh.t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main(sh.ctx, append([]string{"-C", sh.dir}, args...), strings.NewReader(""), &stdout, &stderr,
		func(k string) string { return sh.env[k] }, sh.apps)
	for name, out := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
		if strings.Contains(out, apitest.Token) {
			sh.t.Errorf("%s of %q shows the token: %s", name, args, out)
		}
	}
	return run{code, stdout.String(), stderr.String()}
}

// golden compares with testdata/name, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (rewrite with -update):\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

func TestOutput(t *testing.T) {
	s := apitest.New(t, storyWorld())
	for _, tt := range []struct {
		name string
		code int
		args []string
	}{
		{"status", 0, []string{"status"}},
		{"status_env", 0, []string{"status", "prod"}},
		{"release_list", 0, []string{"release", "list"}},
		{"release_show", 0, []string{"release", "show", "1.4.0"}},
		{"release_diff", 2, []string{"release", "diff", "1.3.0", "1.4.0", "--env", "prod", "--exit-code"}},
		{"release_collect", 0, []string{"release", "collect"}},
		{"release_collect_dry", 0, []string{"release", "collect", "--dry-run"}},
		{"rollout_pause", 0, []string{"rollout", "pause", "prod", "--reason", "lunch"}},
		{"analysis_show", 0, []string{"analysis", "show", "dep_1", "web"}},
		{"experiment_show", 0, []string{"experiment", "show", "dev"}},
		{"experiment_list", 0, []string{"experiment", "list", "dev"}},
		{"replication_list", 0, []string{"replication", "list"}},
		{"replication_add", 0, []string{"replication", "add", "eu", "--to", "registry.eu.example/shop", "--on", "prod"}},
		{"replication_labels", 0, []string{"replication", "add", "ireland", "--to", "registry.ie.example/shop", "--account", "123456789012", "--region", "eu-west-1"}},
		{"replication_remove", 0, []string{"replication", "remove", "eu"}},
		{"replication_place", 0, []string{"replication", "add", "home", "--to", "registry.example/shop", "--place", "--keep", "24h", "--cache", "20GiB"}},
		{"registry_usage", 0, []string{"registry", "usage"}},
		{"registry_gc", 0, []string{"registry", "gc"}},
		{"registry_gc_dry", 0, []string{"registry", "gc", "--dry-run", "--untagged-older-than", "720h"}},
		{"registry_scrub", 1, []string{"registry", "scrub"}},
		{"registry_rules", 0, []string{"registry", "rules"}},
		{"registry_rules_set", 0, []string{"registry", "rules", "--immutable", "^v[0-9]", "--immutable", "^release-"}},
		{"registry_mirror", 0, []string{"registry", "mirror"}},
		{"registry_mirror_set", 0, []string{"registry", "mirror", "--from", "docker.io", "--from", "http://registry.example:5000/acme"}},
		{"quarantine", 0, []string{"quarantine", "1.4.0", "--reason", "it leaks"}},
		{"unquarantine", 0, []string{"unquarantine", "1.4.0", "--reason", "it does not"}},
		{"quarantine_material", 0, []string{"quarantine", "--material", "sha256:0123", "--reason", "it leaks"}},
		{"quarantine_everywhere", 0, []string{"quarantine", "--material", "sha256:0123", "--everywhere", "--reason", "it leaks"}},
		{"unquarantine_everywhere", 0, []string{"unquarantine", "--material", "sha256:0123", "--everywhere", "--reason", "it does not"}},
		{"quarantine_list", 0, []string{"quarantine", "list"}},
		{"quarantine_list_everywhere", 0, []string{"quarantine", "list", "--everywhere"}},
		{"plan", 5, []string{"plan", "1.4.0", "--to", "prod"}},
		{"promote", 0, []string{"promote", "1.4.0", "--to", "prod", "--yes"}},
		{"promotion_list", 0, []string{"promotion", "list"}},
		{"promotion_show", 0, []string{"promotion", "show", "prm_1"}},
		{"approve", 0, []string{"approve", "--env", "prod", "--reason", "looks good"}},
		{"reject", 0, []string{"reject", "prm_1"}},
		{"cancel", 0, []string{"cancel", "prm_1", "--reason", "not now"}},
		{"status_proposed", 0, []string{"status", "trial"}},
		{"open", 0, []string{"open", "trial", "--yes"}},
		{"hold", 0, []string{"hold", "dev", "--reason", "looking"}},
		{"unhold", 0, []string{"unhold", "dev"}},
		{"freeze", 0, []string{"freeze", "prod", "--reason", "launch", "--from", "2026-11-20T12:00:00Z", "--until", "48h"}},
		{"freeze_list", 0, []string{"freeze", "list"}},
		{"unfreeze", 0, []string{"unfreeze", "frz_1"}},
		{"check_post", 0, []string{"check", "post", "scan", "--release", "1.4.0", "--state", "success"}},
		{"verify", 1, []string{"verify", "prod"}},
		{"trust_list", 0, []string{"trust", "list"}},
		{"trust_public", 0, []string{"trust", "public", "builder-2026"}},
		{"trust_expire", 0, []string{"trust", "expire", "builder-2026", "--at", "2026-12-31T00:00:00Z"}},
		{"trust_revoke_everywhere", 0, []string{"trust", "revoke", "builder-2026", "--everywhere", "--reason", "the laptop is gone"}},
		{"trust_revoke", 0, []string{"trust", "revoke", "builder-2026", "--reason", "the laptop is gone"}},
		{"rollback_dry", 0, []string{"rollback", "prod", "--dry-run"}},
		{"rollback", 0, []string{"rollback", "prod", "--yes", "--reason", "errors"}},
		{"drift", 0, []string{"drift"}},
		{"drift_code", 2, []string{"drift", "prod", "--exit-code"}},
		{"repair", 0, []string{"repair", "dev", "web", "--reason", "edited by hand"}},
		{"deployment_list", 0, []string{"deployment", "list"}},
		{"deployment_show", 0, []string{"deployment", "show", "dep_2"}},
		{"operation_resolve", 0, []string{"operation", "resolve", "op_1", "--again"}},
		{"project_list", 0, []string{"project", "list"}},
		{"project_register", 0, []string{"project", "register", "till", "--repository", "/srv/git/till.git"}},
		{"audit_list", 0, []string{"audit", "list"}},
		{"account_list", 0, []string{"account", "list"}},
		{"account_create", 0, []string{"account", "create", "cleo", "--email", "cleo@example.com"}},
		{"account_grant", 0, []string{"account", "grant", "bea", "approver", "--in", "shop/prod"}},
		{"account_revoke", 0, []string{"account", "revoke", "bea", "approver", "--in", "shop/prod"}},
		{"identity_add", 0, []string{"account", "identity", "add", "bea", "bea@work.example.com"}},
		{"token_create", 0, []string{"token", "create", "ci", "--ttl", "24h"}},
		{"token_list", 0, []string{"token", "list"}},
		{"token_revoke", 0, []string{"token", "revoke", "tok_1"}},
	} {
		for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
			t.Run(tt.name+" as "+format, func(t *testing.T) {
				got := newShell(t, s).run(append(tt.args, "-o", format)...)
				if got.code != tt.code {
					t.Fatalf("exit %d: %s", got.code, got.stderr)
				}
				golden(t, filepath.Join(tt.name, format), got.stdout)
				if format != "json" {
					return
				}
				var doc struct {
					Schema string `json:"schema"`
				}
				if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.Schema != cli.OutputSchema {
					t.Errorf("schema %q, %v", doc.Schema, err)
				}
			})
			if tt.name == "account_create" || tt.name == "account_grant" || tt.name == "identity_add" {
				s.Do(func(w *apitest.World) { w.Accounts = storyWorld().Accounts })
			}
		}
	}
	t.Run("status has what scripts rely on", func(t *testing.T) {
		var doc struct {
			Environments []map[string]any `json:"environments"`
		}
		if err := json.Unmarshal([]byte(newShell(t, s).run("status", "-o", "json").stdout), &doc); err != nil || len(doc.Environments) == 0 {
			t.Fatal(err)
		}
		for _, e := range doc.Environments {
			for _, key := range []string{"environment", "release", "version", "phase", "drift", "hold"} {
				if _, ok := e[key]; !ok {
					t.Errorf("%v has no %s", e["environment"], key)
				}
			}
		}
	})
}
