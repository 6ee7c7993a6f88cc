package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestSettings(t *testing.T) {
	s := apitest.New(t, storyWorld())
	nowhere := "http://127.0.0.1:1"
	project := func(t *testing.T, f cli.ClientFile) *shell {
		t.Helper()
		sh := newShell(t, nil)
		if err := f.Save(sh.dir); err != nil {
			t.Fatal(err)
		}
		return sh
	}
	good := cli.ClientFile{URL: s.URL, Token: apitest.Token, Project: "shop"}
	t.Run("come from the file that towpath dev leaves", func(t *testing.T) {
		if got := project(t, good).run("status"); got.code != 0 || got.stderr != "" {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("are found from a folder below", func(t *testing.T) {
		sh := project(t, good)
		sh.dir = filepath.Join(sh.dir, "a", "b")
		if err := os.MkdirAll(sh.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if got := sh.run("status"); got.code != 0 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("prefer the environment to the file, and flags to both", func(t *testing.T) {
		sh := project(t, cli.ClientFile{URL: nowhere, Token: "old", Project: "old"})
		sh.env["TOWPATH_URL"], sh.env["TOWPATH_TOKEN"] = s.URL, "old"
		if got := sh.run("status", "--token", apitest.Token); got.code != 0 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("send a kept token to the server that it was kept for only", func(t *testing.T) {
		sh := project(t, cli.ClientFile{URL: nowhere, Token: apitest.Token, Project: "shop"})
		if got := sh.run("status", "--url", s.URL); got.code != cli.ExitNotAllowed {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("send a token that was given to no other machine that only a file names", func(t *testing.T) {
		sh := project(t, cli.ClientFile{URL: "http://towpath.invalid", Token: "planted", Project: "shop"})
		sh.env["TOWPATH_TOKEN"] = apitest.Token
		for _, args := range [][]string{{"status"}, {"release", "list"}} {
			if got := sh.run(args...); got.code != cli.ExitError || !strings.Contains(got.stderr, "is not sent to http://towpath.invalid") || !strings.Contains(got.stderr, "TOWPATH_URL") {
				t.Errorf("%q: exit %d: %s", args, got.code, got.stderr)
			}
		}
		sh.env["TOWPATH_URL"] = s.URL
		if got := sh.run("status"); got.code != 0 {
			t.Errorf("with a URL: exit %d: %s", got.code, got.stderr)
		}
		here := project(t, cli.ClientFile{URL: s.URL, Token: "old", Project: "shop"})
		if got := here.run("status", "--token", apitest.Token); got.code != 0 {
			t.Errorf("to this machine: exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("take the project's name from towpath.yaml", func(t *testing.T) {
		sh := project(t, cli.ClientFile{URL: s.URL, Token: apitest.Token})
		if got := sh.run("status"); got.code != cli.ExitError || !strings.Contains(got.stderr, "towpath.yaml") {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		for _, text := range []string{"version: 1\nproject: shop\n", "project: \"shop\" # ours\r\n"} {
			if err := os.WriteFile(filepath.Join(sh.dir, "towpath.yaml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := sh.run("status"); got.code != 0 {
				t.Errorf("%q: exit %d: %s", text, got.code, got.stderr)
			}
		}
	})
	t.Run("warn when others can read the token", func(t *testing.T) {
		sh := project(t, good)
		path := filepath.Join(sh.dir, ".towpath", "client.json")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("saved with mode %v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := sh.run("status"); got.code != 0 || strings.Count(got.stderr, "chmod 600") != 1 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("don't quote a file that is broken", func(t *testing.T) {
		sh := project(t, good)
		if err := os.WriteFile(filepath.Join(sh.dir, ".towpath", "client.json"), []byte(`{"token": `+apitest.Token), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := sh.run("status"); got.code != cli.ExitError || !strings.Contains(got.stderr, "not valid JSON") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
