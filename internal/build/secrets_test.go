package build_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/towpath"
)

// credential is put together here, so that it stands in no file of ours.
func credential() string { return "ghp_" + strings.Repeat("a1B2c3D4e", 4) }

func TestBuild_refusesSecrets(t *testing.T) {
	secret := credential()
	for _, tt := range []struct {
		name       string
		components map[string]string
		files      map[string]string
		where      string
	}{
		{"in a component's file", map[string]string{"api": ""}, map[string]string{"api/conf/app.ini": "a = 1\n; old\ntoken = " + secret + "\n"}, "api/conf/app.ini:3: a GitHub token (github-token)"},
		{"in what its build made", map[string]string{"api": shell("printf 'x\\000"+secret+"' > out", "out")}, nil, "api/out: a GitHub token (github-token)"},
		{"in a folder", map[string]string{"api": ""}, map[string]string{"policies/sub/rule": secret}, "policies/sub/rule:1: a GitHub token"},
		{"in the project file", map[string]string{"api": "dependsOn: [web]\n", "web": "build: {command: [\"true\"], env: {DEPLOY_KEY: " + secret + "}}\n"}, nil, "towpath.yaml:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := repo(t, tt.components, tt.files)
			b := newBench(t)
			for _, again := range []string{"", ", and again from its cache"} {
				_, err := b.try(r.Dir, build.Request{})
				var e *towpath.Error
				if !errors.As(err, &e) || e.Kind != towpath.KindInvalid || !strings.Contains(e.Fields["log"], tt.where) || !strings.Contains(e.Cause.Error(), tt.where) || !strings.Contains(e.Hint, "secrets.allow") {
					t.Fatalf("got %v%s", err, again)
				}
				if strings.Contains(e.Error()+e.Message+e.Hint+e.Cause.Error()+e.Fields["log"], secret) {
					t.Errorf("the value is shown%s: %v", again, err)
				}
			}
		})
	}
	t.Run("what is not in the release is not asked about", func(t *testing.T) {
		r := repo(t, map[string]string{"api": shell("cp file out", "out")}, map[string]string{"api/.env": secret, "docs/x": secret})
		newBench(t).build(r.Dir, build.Request{})
	})
	t.Run("all of them are told", func(t *testing.T) {
		r := repo(t, map[string]string{"api": ""}, map[string]string{"api/b": secret, "api/a": strings.Repeat(secret+"\n", 30)})
		_, err := newBench(t).try(r.Dir, build.Request{})
		var e *towpath.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, "in 31 places") || strings.Count(e.Fields["log"], "\n") != 20 || !strings.HasSuffix(e.Fields["log"], "and 11 more") {
			t.Errorf("got %v: %s", err, e.Fields["log"])
		}
	})
}

func TestBuild_allowsSecrets(t *testing.T) {
	secret := credential()
	with := func(t *testing.T, allow string) (*bench, string) {
		t.Helper()
		r := repo(t, map[string]string{"api": ""}, map[string]string{"api/testdata/deep/token.txt": secret, "api/testdata/token": secret})
		yaml := projectYAML(map[string]string{"api": ""})
		r.WriteFile("towpath.yaml", yaml+"secrets:\n  allow:\n"+allow)
		r.Commit("allow")
		return newBench(t), r.Dir
	}
	t.Run("with a reason, which is told and stands in the provenance", func(t *testing.T) {
		b, dir := with(t, `    - {path: "api/testdata/**", rule: github-token, reason: made for tests}`+"\n")
		res := b.build(dir, build.Request{Version: "1.0.0"})
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "2 of what looks like secrets at api/testdata/**") || !strings.Contains(res.Warnings[0], "made for tests") {
			t.Errorf("warnings %q", res.Warnings)
		}
		var p struct {
			Predicate struct {
				BuildDefinition struct {
					ExternalParameters struct {
						SecretsAllowed []struct {
							Path, Rule, Reason string
							Findings           int
						}
					}
				}
			}
		}
		if err := json.Unmarshal(res.Provenance, &p); err != nil {
			t.Fatal(err)
		}
		got := p.Predicate.BuildDefinition.ExternalParameters.SecretsAllowed
		if len(got) != 1 || got[0].Path != "api/testdata/**" || got[0].Rule != "github-token" || got[0].Reason != "made for tests" || got[0].Findings != 2 || strings.Contains(string(res.Provenance), secret) {
			t.Errorf("got %+v", got)
		}
		plain := repo(t, map[string]string{"api": ""}, map[string]string{"api/testdata/deep/token.txt": "x", "api/testdata/token": "x"})
		if other := newBench(t).build(plain.Dir, build.Request{}); other.Digest == res.Digest || strings.Contains(string(other.Provenance), "secretsAllowed") {
			t.Error("a release without has the same digest or provenance")
		}
	})
	for _, tt := range []struct{ name, allow, says string }{
		{"not in other files", `    - {path: "api/testdata/*", reason: made for tests}`, "api/testdata/deep/token.txt:1"},
		{"not of another rule", `    - {path: "**", rule: npm-token, reason: made for tests}`, "in 2 places"},
		{"not after its end", `    - {path: "**", reason: made for tests, until: "2026-03-03"}`, "it was allowed until 2026-03-03"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, dir := with(t, tt.allow+"\n")
			_, err := b.try(dir, build.Request{})
			var e *towpath.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message+e.Fields["log"], tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("on its last day", func(t *testing.T) {
		b, dir := with(t, `    - {path: "**", reason: made for tests, until: "2026-03-04"}`+"\n")
		b.build(dir, build.Request{})
	})
}

// TestBuild_scansOldLayers: a layer that was packed before there were today's
// rules is scanned with them.
func TestBuild_scansOldLayers(t *testing.T) {
	r := repo(t, map[string]string{"api": ""}, map[string]string{"api/token": credential()})
	b := newBench(t)
	if _, err := b.try(r.Dir, build.Request{}); err == nil {
		t.Fatal("not refused")
	}
	entries := 0
	err := filepath.WalkDir(b.cfg.CacheDir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		var l map[string]any
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		delete(l, "scan")
		if text, err = json.Marshal(l); err != nil {
			return err
		}
		entries++
		return os.WriteFile(p, text, 0o600)
	})
	if err != nil || entries == 0 {
		t.Fatal(entries, err)
	}
	_, err = b.try(r.Dir, build.Request{})
	var e *towpath.Error
	if !errors.As(err, &e) || !strings.Contains(e.Fields["log"], "api/token:1") {
		t.Errorf("got %v", err)
	}
}
