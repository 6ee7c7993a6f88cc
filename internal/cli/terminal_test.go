package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// onTerminal runs a command for a person who types.
func (sh *shell) onTerminal(typed string, args ...string) (code int, stdout, screen string) {
	sh.t.Helper()
	term := openTerminal(sh.t)
	if typed != "" {
		term.typeLine(sh.t, typed)
	}
	var out bytes.Buffer
	code = cli.Main(sh.ctx, append([]string{"-C", sh.dir}, args...), term.tty, &out, term.tty, func(k string) string { return sh.env[k] }, sh.apps)
	return code, out.String(), term.screen()
}

func TestConfirm(t *testing.T) {
	rollback := []string{"rollback", "prod", "--reason", "x"}
	t.Run("refuses prod in a script without --yes, and says how", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		for _, args := range [][]string{rollback, {"promote", "1.4.0", "--to", "prod"}} {
			got := newShell(t, s).run(args...)
			if got.code != cli.ExitError || !strings.Contains(got.stderr, "hint: in a script, add --yes") {
				t.Errorf("%q: exit %d: %s", args, got.code, got.stderr)
			}
		}
		if n := s.Called("deploys.Rollback") + s.Called("promotions.Request"); n != 0 {
			t.Errorf("%d changes were made", n)
		}
	})
	t.Run("asks before a rollout is aborted, as before a rollback", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		if got := newShell(t, s).run("rollout", "abort", "prod"); got.code != cli.ExitError || s.Called("deploys.Steer") != 0 || !strings.Contains(got.stderr, "hint: in a script, add --yes") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if got := newShell(t, s).run("rollout", "abort", "prod", "--yes"); got.code != cli.ExitOK || s.Called("deploys.Steer") != 1 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if got := newShell(t, s).run("rollout", "abort", "dev"); got.code != cli.ExitOK || s.Called("deploys.Steer") != 2 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("asks where people have to approve, whatever the name", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		if got := newShell(t, s).run("promote", "1.4.0", "--to", "lab"); got.code != cli.ExitError || s.Called("promotions.Request") != 0 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("does not ask elsewhere", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		if got := newShell(t, s).run("rollback", "dev"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("does not ask for a dry run", func(t *testing.T) {
		if got := newShell(t, apitest.New(t, storyWorld())).run("rollback", "prod", "--dry-run"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("shows what would be done and goes on when the name is typed", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		code, stdout, screen := newShell(t, s).onTerminal("prod", rollback...)
		if code != cli.ExitOK || s.Called("deploys.Rollback") != 1 || !strings.Contains(stdout, "dep_2") {
			t.Errorf("exit %d: %s", code, screen)
		}
		if !strings.Contains(screen, "would go back") || !strings.Contains(screen, "to go on") {
			t.Errorf("it shows %q", screen)
		}
	})
	t.Run("changes nothing when another name is typed", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		code, _, screen := newShell(t, s).onTerminal("yes", rollback...)
		if code != cli.ExitError || s.Called("deploys.Rollback") != 0 || !strings.Contains(screen, "nothing was changed") {
			t.Errorf("exit %d: %s", code, screen)
		}
	})
}

func TestColour(t *testing.T) {
	s := apitest.New(t, storyWorld())
	t.Run("is used on a terminal", func(t *testing.T) {
		if _, _, screen := newShell(t, s).onTerminal("", "nonsense"); !strings.Contains(screen, "\x1b[") {
			t.Errorf("got %q", screen)
		}
	})
	t.Run("is not with NO_COLOR", func(t *testing.T) {
		sh := newShell(t, s)
		sh.env["NO_COLOR"] = "1"
		if _, _, screen := sh.onTerminal("", "nonsense"); strings.Contains(screen, "\x1b[") {
			t.Errorf("got %q", screen)
		}
	})
	t.Run("is not in a pipe", func(t *testing.T) {
		if got := newShell(t, s).run("status"); strings.Contains(got.stdout+got.stderr, "\x1b[") {
			t.Errorf("got %q", got.stdout)
		}
	})
}
