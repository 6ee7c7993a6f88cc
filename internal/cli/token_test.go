package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestTokenCreate_SecretFile(t *testing.T) {
	const secret = "twp_madebyapitestmadebyapitest12345678"
	create := []string{"token", "create", "ci", "--secret-file", "ci.token"}
	for _, format := range []string{"table", "json", "name"} {
		t.Run("has the secret alone, for its owner alone, and shows it nowhere as "+format, func(t *testing.T) {
			sh := newShell(t, apitest.New(t, storyWorld()))
			got := sh.run(append(create, "-o", format)...)
			file := filepath.Join(sh.dir, "ci.token")
			if b, err := os.ReadFile(file); err != nil || string(b) != secret+"\n" {
				t.Fatalf("exit %d: %q, %v: %s", got.code, b, err, got.stderr)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			if got.code != cli.ExitOK || !strings.Contains(got.stdout, "tok_2") || strings.Contains(got.stdout+got.stderr, "twp_") {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("replaces no file, and makes no token then", func(t *testing.T) {
		w := storyWorld()
		sh := newShell(t, apitest.New(t, w))
		file := filepath.Join(sh.dir, "ci.token")
		fatal(t, os.WriteFile(file, []byte("kept"), 0o600))
		got := sh.run(create...)
		if b, err := os.ReadFile(file); got.code != cli.ExitError || string(b) != "kept" || err != nil || w.Called("accounts.CreateToken") != 0 {
			t.Errorf("exit %d: %q, %v: %s", got.code, b, err, got.stderr)
		}
	})
	t.Run("leaves no file when there is no token", func(t *testing.T) {
		w := storyWorld()
		w.Fail = func(_ context.Context, m string) error {
			if m == "accounts.CreateToken" {
				return towpath.E(towpath.KindNotFound, "", "no such account")
			}
			return nil
		}
		sh := newShell(t, apitest.New(t, w))
		got := sh.run(create...)
		if _, err := os.Stat(filepath.Join(sh.dir, "ci.token")); got.code != cli.ExitError || !os.IsNotExist(err) {
			t.Errorf("exit %d: %v: %s", got.code, err, got.stderr)
		}
	})
}
