package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
)

// lockWith is a shell whose lock came to something, and what it was asked.
func lockWith(t *testing.T, l cli.Locked) (*shell, *cli.LockRequest) {
	sh, asked := newShell(t, nil), &cli.LockRequest{}
	sh.apps.Lock = func(_ context.Context, r cli.LockRequest) (cli.Locked, error) {
		*asked = r
		return l, nil
	}
	return sh, asked
}

func TestLock(t *testing.T) {
	changes := []cli.LockChange{
		{Name: "old:1", Action: cli.LockRemove, From: "sha256:" + strings.Repeat("0", 64)},
		{Name: "redis:7", Action: cli.LockAdd, To: "sha256:" + strings.Repeat("1", 64)},
		{Name: "https://charts.example.com/db ^1", Action: cli.LockMove, From: "1.0.0 (sha256:" + strings.Repeat("2", 64) + ")", To: "1.1.0 (sha256:" + strings.Repeat("3", 64) + ")"},
	}
	loose := []cli.LooseReference{{Place: "towpath.yaml:7", Name: "git::https://git.example.com/net.git", Why: "main is a branch, which moves: name a tag or a commit"}, {Place: "api/x.yaml", Why: "it is YAML that can't be read, and may name images"}}
	missing := []cli.LockChange{{Name: "redis:7", Action: cli.LockMissing}, changes[0]}
	for _, c := range []struct {
		name string
		l    cli.Locked
		args []string
		code int
	}{
		{"lock", cli.Locked{File: "towpath.lock", Written: true, Changes: changes, Loose: loose}, nil, cli.ExitOK},
		{"lock_json", cli.Locked{File: "towpath.lock", Written: true, Changes: changes, Loose: loose}, []string{"-o", "json"}, cli.ExitOK},
		{"lock_name", cli.Locked{File: "towpath.lock", Written: true, Changes: changes}, []string{"-o", "name"}, cli.ExitOK},
		{"lock_dry", cli.Locked{File: "towpath.lock", Changes: changes}, []string{"--dry-run"}, cli.ExitOK},
		{"lock_same", cli.Locked{File: "towpath.lock", Changes: []cli.LockChange{}}, nil, cli.ExitOK},
		{"lock_check", cli.Locked{File: "towpath.lock", Changes: missing}, []string{"--check"}, cli.ExitChanges},
		{"lock_check_same", cli.Locked{File: "towpath.lock"}, []string{"--check"}, cli.ExitOK},
		{"lock_check_untidy", cli.Locked{File: "towpath.lock", Untidy: true}, []string{"--check"}, cli.ExitChanges},
		{"lock_check_loose", cli.Locked{File: "towpath.lock", Loose: loose}, []string{"--check"}, cli.ExitChanges},
		{"lock_check_update", cli.Locked{File: "towpath.lock", Changes: changes[2:]}, []string{"--check", "--update", "db"}, cli.ExitChanges},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh, _ := lockWith(t, c.l)
			got := sh.run(append([]string{"lock"}, c.args...)...)
			if got.code != c.code {
				t.Errorf("exit %d, want %d\n%s", got.code, c.code, got.stderr)
			}
			golden(t, c.name, got.stdout+"-- stderr --\n"+got.stderr)
		})
	}
	t.Run("hands on what is asked for", func(t *testing.T) {
		sh, asked := lockWith(t, cli.Locked{})
		sh.run("lock", "--update", "a", "--update", "b,c", "--update-all", "--check", "--dry-run")
		if strings.Join(asked.Update, " ") != "a b,c" || !asked.All || !asked.Check || !asked.DryRun || asked.Dir != sh.dir {
			t.Errorf("%+v", asked)
		}
	})
	t.Run("a failure is one", func(t *testing.T) {
		sh := newShell(t, nil)
		sh.apps.Lock = func(context.Context, cli.LockRequest) (cli.Locked, error) {
			return cli.Locked{}, towpath.E(towpath.KindUnavailable, "", "ghcr.io can't be reached").WithHint("try again")
		}
		if got := sh.run("lock", "--check"); got.code != cli.ExitError || got.stdout != "" {
			t.Errorf("%+v", got)
		}
	})
}
