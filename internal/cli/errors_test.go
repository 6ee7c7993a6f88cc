package cli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestExitCode_kinds(t *testing.T) {
	codes := cli.ExitCodes()
	for _, kind := range towpath.Kinds() {
		t.Run("an error of kind "+string(kind)+" has its exit code", func(t *testing.T) {
			want, ok := codes[kind]
			if !ok {
				t.Fatalf("the kind %s has no row in the table of exit codes", kind)
			}
			if kind == towpath.KindUnavailable {
				return // is retried; see TestErrors
			}
			w := apitest.NewWorld()
			w.Fail = func(_ context.Context, m string) error {
				if m == "inventory.Status" {
					return towpath.E(kind, "test", "it is so").WithHint("do this").WithCause(errors.New("s3cret"))
				}
				return nil
			}
			got := newShell(t, apitest.New(t, w)).run("status")
			if got.code != want || got.stdout != "" {
				t.Errorf("exit %d, want %d: %s", got.code, want, got.stdout)
			}
			if !strings.HasPrefix(got.stderr, "error: it is so\nhint: do this\nrequest: req_") || strings.Contains(got.stderr, "s3cret") {
				t.Errorf("it says %s", got.stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, path := range cli.CommandPaths() {
		t.Run(strings.Join(path, " ")+" lists the exit codes", func(t *testing.T) {
			got := newShell(t, nil).run(append(path, "--help")...)
			if got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.stderr)
			}
			for _, code := range []int{0, 1, 2, 3, 4, 5, 6, 124, 130} {
				if !strings.Contains(got.stdout, fmt.Sprintf("\n  %3d  ", code)) {
					t.Errorf("%d is missing in\n%s", code, got.stdout)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	s := apitest.New(t, storyWorld())
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"suggests a command", []string{"stauts"}, "did you mean status?"},
		{"suggests a command of a group", []string{"release", "biuld"}, "did you mean build?"},
		{"suggests an environment", []string{"status", "prd"}, "did you mean prod?"},
		{"suggests an environment to hold", []string{"hold", "devv"}, "did you mean dev?"},
		{"suggests a release", []string{"release", "show", "1.4.9"}, "did you mean 1.4.0?"},
		{"suggests a role", []string{"account", "grant", "ana", "aprover"}, "did you mean approver?"},
		{"suggests a format", []string{"status", "-o", "jsno"}, `"jsno" is not a format`},
		{"lists the promotions when several are open", []string{"approve", "--env", "nowhere"}, "no promotion into nowhere is open"},
		{"says which arguments a command takes", []string{"rollback"}, "towpath rollback ENV"},
		{"says which flag is missing", []string{"promote", "1.4.0"}, "--to says into which environment"},
		{"wants one of two flags", []string{"operation", "resolve", "op_1"}, "--again or --withdraw"},
		{"wants a reason for quarantine", []string{"quarantine", "1.4.0"}, "--reason"},
		{"reads times", []string{"freeze", "--reason", "x", "--until", "tomorrow"}, "a duration from now such as 48h"},
		{"says that an app is not there", []string{"dev"}, "this build of towpath has no dev"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newShell(t, s).run(tt.args...)
			if got.code != cli.ExitError || !strings.Contains(got.stderr, tt.says) || !strings.HasPrefix(got.stderr, "error: ") {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	t.Run("says what to do when no server is known", func(t *testing.T) {
		got := newShell(t, nil).run("status")
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "towpath dev") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("says what to do when the token is not valid", func(t *testing.T) {
		sh := newShell(t, s)
		sh.env["TOWPATH_TOKEN"] = "twp_wrong"
		got := sh.run("status")
		if got.code != cli.ExitNotAllowed || strings.Contains(got.stderr, "twp_wrong") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("never shows a token on the command line", func(t *testing.T) {
		got := newShell(t, nil).run("status", "--url", "http://127.0.0.1:1", "--token", apitest.Token, "--project", "shop", "--timeout", "10ms")
		if got.code == 0 {
			t.Error("it succeeded")
		}
	})
	t.Run("takes the power over the terminal from texts of others", func(t *testing.T) {
		w := storyWorld()
		w.Status[0].Hold = &towpath.Hold{Reason: "x\x1b]0;owned\x07\x1b[2J"}
		if got := newShell(t, apitest.New(t, w)).run("status"); strings.ContainsAny(got.stdout, "\x1b\x07") {
			t.Errorf("got %q", got.stdout)
		}
	})
}

func TestTimeout(t *testing.T) {
	w := apitest.NewWorld()
	w.Fail = func(ctx context.Context, m string) error {
		if m == "inventory.Status" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	s := apitest.New(t, w)
	t.Run("gives up with its own exit code", func(t *testing.T) {
		if got := newShell(t, s).run("status", "--timeout", "50ms"); got.code != cli.ExitTimeout || !strings.Contains(got.stderr, "50ms") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("an interrupt has its own, too", func(t *testing.T) {
		sh := newShell(t, s)
		var cancel context.CancelFunc
		sh.ctx, cancel = context.WithCancel(t.Context())
		w.Do(func(w *apitest.World) {
			w.Fail = func(ctx context.Context, m string) error {
				if m == "inventory.Status" {
					cancel()
					<-ctx.Done()
				}
				return ctx.Err()
			}
		})
		if got := sh.run("status"); got.code != cli.ExitInterrupted {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}

// TestStatus_drift: scripts ask for drift by exit code.
func TestStatus_drift(t *testing.T) {
	w := storyWorld()
	w.Status[0].Drift = inventory.Drift("world")
	if got := newShell(t, apitest.New(t, w)).run("status", "--exit-code"); got.code != cli.ExitChanges {
		t.Errorf("exit %d", got.code)
	}
}
