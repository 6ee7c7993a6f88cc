package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestDoctor(t *testing.T) {
	healthy := func() *apitest.World {
		w := storyWorld()
		w.Status = w.Status[:1]
		return w
	}
	in := func(t *testing.T, s *apitest.Server) *shell {
		t.Helper()
		sh := newShell(t, s)
		sh.apps.Now = time.Now
		if err := os.WriteFile(filepath.Join(sh.dir, "towpath.yaml"), []byte("version: 1\nproject: shop\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return sh
	}
	t.Run("finds all in order", func(t *testing.T) {
		got := in(t, apitest.New(t, healthy())).run("doctor")
		if got.code != cli.ExitOK || strings.Contains(got.stdout, "✗") {
			t.Fatalf("exit %d: %s", got.code, got.stdout)
		}
		for _, check := range []string{"git", "project", "disk", "server", "version", "clock", "ready", "token", "agents"} {
			if !strings.Contains(got.stdout, " "+check+" ") {
				t.Errorf("it does not check %s:\n%s", check, got.stdout)
			}
		}
	})
	t.Run("says whose disks it looked at, and where", func(t *testing.T) {
		sh := in(t, apitest.New(t, healthy()))
		data := t.TempDir()
		got := sh.run("doctor", "--data", data)
		if got.code != cli.ExitOK || !strings.Contains(got.stdout, "free for this folder, "+sh.dir) || !strings.Contains(got.stdout, "free for the data, "+data) ||
			strings.Contains(got.stdout, "towpath dev") {
			t.Errorf("exit %d: %s", got.code, got.stdout)
		}
		if err := (cli.ClientFile{}).Save(sh.dir); err != nil {
			t.Fatal(err)
		}
		if got := sh.run("doctor"); !strings.Contains(got.stdout, "free for the data of towpath dev, "+filepath.Join(sh.dir, ".towpath")) {
			t.Errorf("exit %d: %s", got.code, got.stdout)
		}
		gone := filepath.Join(data, "gone")
		if got := sh.run("doctor", "--data", gone); got.code != cli.ExitError || !strings.Contains(got.stdout, "✗ disk     the data, "+gone+", can't be examined") {
			t.Errorf("exit %d: %s", got.code, got.stdout)
		}
	})
	for _, tt := range []struct {
		name   string
		change func(*apitest.World, *shell)
		option func(*rest.Config, *rest.Deps)
		code   int
		says   []string
	}{
		{"a server that is not there", func(_ *apitest.World, sh *shell) { sh.env["TOWPATH_URL"] = "http://127.0.0.1:1" }, nil, cli.ExitError, []string{"✗ server", "towpath dev"}},
		{"a token that is not valid", func(_ *apitest.World, sh *shell) { sh.env["TOWPATH_TOKEN"] = "x" }, nil, cli.ExitError, []string{"✗ token"}},
		{"another version", func(_ *apitest.World, sh *shell) { sh.apps.Version = "v9" }, nil, cli.ExitOK, []string{"! version", "v9"}},
		{"a clock that is off", func(_ *apitest.World, sh *shell) {
			sh.apps.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		}, nil, cli.ExitOK, []string{"! clock", "NTP"}},
		{"an agent that is silent", func(w *apitest.World, _ *shell) { w.Status[0].Phase = inventory.PhaseUnknown }, nil, cli.ExitOK, []string{"! agents", "dev"}},
		{"a folder that is no project", func(_ *apitest.World, sh *shell) { _ = os.Remove(filepath.Join(sh.dir, "towpath.yaml")) }, nil, cli.ExitOK, []string{"! project", "towpath init"}},
		{"a project file that is not valid", func(_ *apitest.World, sh *shell) {
			sh.apps.Check = func(src []byte) error {
				if string(src) != "version: 1\nproject: shop\n" {
					return nil
				}
				return towpath.E(towpath.KindInvalid, "", "towpath.yaml has 2 problems")
			}
		}, nil, cli.ExitError, []string{"✗ project", "2 problems"}},
		{"a plan that nobody makes", func(w *apitest.World, _ *shell) {
			w.Status[0].Phase = inventory.PhaseEmpty
			w.Status[0].Queue = []towpath.Promotion{{Phase: towpath.PromotionPlanning, Reason: "no agent has ever connected for place eu"}}
		}, nil, cli.ExitOK, []string{"! agents", "dev waits for a plan: no agent has ever connected for place eu", "towpath agent"}},
		{"a server that can't write", nil, func(_ *rest.Config, d *rest.Deps) {
			d.Checks = []rest.Check{{Name: "write", Run: func(context.Context) error {
				return towpath.E(towpath.KindUnavailable, "db", "the disk is full").WithHint("make room")
			}}}
		}, cli.ExitOK, []string{"! ready", "the disk is full", "make room"}},
	} {
		t.Run("tells of "+tt.name, func(t *testing.T) {
			w := healthy()
			option := tt.option
			if option == nil {
				option = func(*rest.Config, *rest.Deps) {}
			}
			sh := in(t, apitest.New(t, w, option))
			if tt.change != nil {
				tt.change(w, sh)
			}
			got := sh.run("doctor")
			if got.code != tt.code {
				t.Errorf("exit %d: %s", got.code, got.stdout)
			}
			for _, says := range tt.says {
				if !strings.Contains(got.stdout, says) {
					t.Errorf("%q is missing in\n%s", says, got.stdout)
				}
			}
		})
	}
}
