package cli_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/release"
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
		{"suggests a format", []string{"status", "-o", "jsno"}, "error: \"jsno\" is not a format\nhint: did you mean json?"},
		{"suggests a flag", []string{"status", "--outpt", "json"}, "did you mean --output?"},
		{"suggests a version without what comes after its plus", []string{"release", "show", "1.5.0"}, "did you mean 1.5.0+build.7?"},
		{"suggests the environment that a promotion names", []string{"promote", "1.4.0", "--to", "devv", "--yes"}, "did you mean dev?"},
		{"suggests a shell", []string{"completion", "bsh"}, "did you mean bash?"},
		{"suggests an environment to list promotions of", []string{"promotion", "list", "--env", "devv"}, "did you mean dev?"},
		{"does not freeze an environment that is not there", []string{"freeze", "prdo", "--reason", "x"}, "did you mean prod?"},
		{"says where promotions are listed", []string{"approve", "prm_none"}, "see: towpath promotion list --open"},
		{"says where freezes are listed", []string{"unfreeze", "frz_none"}, "see: towpath freeze list"},
		{"says where accounts are listed", []string{"account", "grant", "nobody", "viewer"}, "see: towpath account list"},
		{"says how a promotion is asked for", []string{"approve", "--env", "lab"}, "towpath promote RELEASE --to lab"},
		{"refuses a count that is negative", []string{"release", "list", "--limit", "-1"}, `"-1" is no count`},
		{"refuses a token that is never valid", []string{"token", "create", "x", "--ttl", "0s"}, "no time at all"},
		{"refuses a folder that is not there", []string{"-C", "/no/such/folder", "status"}, "there is no folder /no/such/folder"},
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
		got := newShell(t, s).run("status", "--timeout", "50ms")
		if got.code != cli.ExitTimeout || !strings.Contains(got.stderr, "50ms") || !strings.Contains(got.stderr, "goes on") {
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
	w.Status[0].Drift = towpath.DriftFound
	if got := newShell(t, apitest.New(t, w)).run("status", "--exit-code"); got.code != cli.ExitChanges {
		t.Errorf("exit %d", got.code)
	}
}

// TestStatus_unbelieved: what runs on signatures that count no more is told in the
// list and, with why and what to do, of the environment.
func TestStatus_unbelieved(t *testing.T) {
	w := storyWorld()
	i := slices.IndexFunc(w.Status, func(s inventory.Status) bool { return s.Environment == "dev" })
	w.Status[i].Unbelieved = []string{"0 of 1 signature by builder."}
	sh := newShell(t, apitest.New(t, w))
	if got := sh.run("status"); strings.Count(got.stdout, "(signatures don't count)") != 1 {
		t.Errorf("it lists %s", got.stdout)
	}
	if got := sh.run("status", "dev"); !strings.Contains(got.stdout, "signatures:   0 of 1 signature by builder.\n") || !strings.Contains(got.stdout, "towpath release build --key") {
		t.Errorf("it shows %s", got.stdout)
	}
}

// TestStatus_rescans: that a scan is due of what runs is told in the list and, with
// what to do, of the environment.
func TestStatus_rescans(t *testing.T) {
	w := storyWorld()
	i := slices.IndexFunc(w.Status, func(s inventory.Status) bool { return s.Environment == "dev" })
	w.Status[i].Rescans = []string{"It was never scanned."}
	sh := newShell(t, apitest.New(t, w))
	if got := sh.run("status"); strings.Count(got.stdout, "(scan due)") != 1 {
		t.Errorf("it lists %s", got.stdout)
	}
	want := "towpath scan attach REPORT --release " + w.Status[i].Version + " --key"
	if got := sh.run("status", "dev"); !strings.Contains(got.stdout, "scan due:     It was never scanned.\n") || !strings.Contains(got.stdout, want) {
		t.Errorf("it shows %s", got.stdout)
	}
}

// TestUnquarantine_whatStays: who lifts a material is told how many releases stay
// quarantined for it, each once, however often it was published.
func TestUnquarantine_whatStays(t *testing.T) {
	w := storyWorld()
	made := func(version string, twice bool) {
		d := digest("made with it, " + version)
		w.Releases = append(w.Releases, towpath.Release{
			Digest: d, Versions: []towpath.VersionLabel{{Version: version}},
			Quarantine: &towpath.Quarantine{Release: d, Cause: "material pkg:npm/left-pad@1.3.0 2026-11-20T11:00:00Z"},
		})
		listed := release.Summary{Digest: d, Version: version, Quarantined: true}
		if w.Page.Items = append(w.Page.Items, listed); twice {
			listed.Version = version + "+again"
			w.Page.Items = append(w.Page.Items, listed)
		}
	}
	made("2.0.0", true)
	made("2.1.0", false)
	got := newShell(t, apitest.New(t, w)).run("unquarantine", "--material", "pkg:npm/left-pad@1.3.0", "--reason", "it was not")
	if got.code != cli.ExitOK || !strings.Contains(got.stderr, "2 releases stay quarantined for it: 2.0.0, 2.1.0; lift each with: towpath unquarantine 2.0.0") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// TestSuggest holds that a guess takes the place of the hint that servers give,
// which only says where the names stand.
func TestSuggest(t *testing.T) {
	missing := func(method string) *apitest.World {
		w := storyWorld()
		w.Fail = func(_ context.Context, m string) error {
			if m == method {
				return towpath.E(towpath.KindNotFound, "test", `project shop has no release "1.4.1"`).WithHint("`towpath release list` shows them")
			}
			return nil
		}
		return w
	}
	t.Run("a near name is better than the hint that is there", func(t *testing.T) {
		got := newShell(t, apitest.New(t, missing("releases.Get"))).run("release", "show", "1.4.1")
		if !strings.Contains(got.stderr, "did you mean 1.4.0?") || strings.Contains(got.stderr, "shows them") {
			t.Errorf("it says %s", got.stderr)
		}
	})
	t.Run("the name of a plan or of a diff that the error is about is guessed", func(t *testing.T) {
		for method, args := range map[string][]string{
			"promotions.Preview": {"plan", "1.4.1", "--to", "prod"}, "releases.Diff": {"release", "diff", "1.3.0", "1.4.1"},
			"promotions.Request": {"promote", "1.4.1", "--to", "dev", "--yes"}, "deploys.Rollback": {"rollback", "prod", "--to", "1.4.1", "--yes"},
		} {
			if got := newShell(t, apitest.New(t, missing(method))).run(args...); !strings.Contains(got.stderr, "did you mean 1.4.0?") {
				t.Errorf("%q says %s", args, got.stderr)
			}
		}
	})
	t.Run("of two names the one that is not there is guessed", func(t *testing.T) {
		for method, args := range map[string][]string{
			"trust.Evidence": {"release", "verify", "1.4.0", "--env", "prd"}, "promotions.PostCheck": {"check", "post", "scan", "--release", "1.4.0", "--state", "success", "--env", "prd"},
		} {
			if got := newShell(t, apitest.New(t, missing(method))).run(args...); !strings.Contains(got.stderr, "did you mean prod?") {
				t.Errorf("%q says %s", args, got.stderr)
			}
		}
	})
	t.Run("a name that is there is not guessed: something else was not found", func(t *testing.T) {
		w := missing("releases.Unquarantine")
		if got := newShell(t, apitest.New(t, w)).run("unquarantine", "1.4.0", "--reason", "x"); !strings.Contains(got.stderr, "hint: `towpath release list` shows them") {
			t.Errorf("it says %s", got.stderr)
		}
	})
	t.Run("a filter by an environment that is not there is an error", func(t *testing.T) {
		w := storyWorld()
		for _, args := range [][]string{{"trust", "list", "--env", "prd"}, {"audit", "list", "--env", "prd", "--before", "1"}} {
			if got := newShell(t, apitest.New(t, w)).run(args...); got.code != cli.ExitError || !strings.Contains(got.stderr, "did you mean prod?") {
				t.Errorf("%q: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
			}
		}
	})
	t.Run("without one the hint stays", func(t *testing.T) {
		got := newShell(t, apitest.New(t, missing("releases.Get"))).run("release", "show", "nonsense")
		if !strings.Contains(got.stderr, "hint: `towpath release list` shows them") {
			t.Errorf("it says %s", got.stderr)
		}
	})
	t.Run("an empty list of a project that is not there is an error", func(t *testing.T) {
		w := storyWorld()
		w.Status, w.Page.Items = nil, nil
		for _, args := range [][]string{{"status"}, {"release", "list"}} {
			sh := newShell(t, apitest.New(t, w))
			if got := sh.run(args...); got.code != cli.ExitOK {
				t.Errorf("%q of a project that is there: exit %d: %s", args, got.code, got.stderr)
			}
			sh.env["TOWPATH_PROJECT"] = "shpo"
			if got := sh.run(args...); got.code != cli.ExitError || !strings.Contains(got.stderr, "did you mean shop?") {
				t.Errorf("%q: exit %d: %s", args, got.code, got.stderr)
			}
		}
	})
	t.Run("a role in what is not there is given, with a warning", func(t *testing.T) {
		for _, in := range []string{"shpo", "shop/prdo"} {
			got := newShell(t, apitest.New(t, storyWorld())).run("account", "grant", "bea", "approver", "--in", in)
			if got.code != cli.ExitOK || !strings.Contains(got.stderr, "warning: ") || !strings.Contains(got.stderr, "did you mean") {
				t.Errorf("%s: exit %d: %s", in, got.code, got.stderr)
			}
		}
		if got := newShell(t, apitest.New(t, storyWorld())).run("account", "grant", "bea", "approver", "--in", "shop/prod"); got.stderr != "" {
			t.Errorf("it says %s", got.stderr)
		}
	})
}

// TestReleaseDiff_exitCode holds what the help says: as with git diff, whether
// two releases differ is in the exit code only when it is asked for.
func TestReleaseDiff_exitCode(t *testing.T) {
	same := func() *apitest.World {
		w := storyWorld()
		w.Diff = release.Diff{A: digest("1.4.0"), B: digest("1.4.0"), Identical: true}
		return w
	}
	broken := func() *apitest.World {
		w := storyWorld()
		w.Fail = func(_ context.Context, m string) error {
			if m == "releases.Diff" {
				return towpath.E(towpath.KindNotFound, "", "there is no such release")
			}
			return nil
		}
		return w
	}
	diff := []string{"release", "diff", "1.3.0", "1.4.0"}
	for _, tt := range []struct {
		name  string
		world func() *apitest.World
		args  []string
		code  int
	}{
		{"0 when they differ and nobody asked", storyWorld, diff, cli.ExitOK},
		{"2 when they differ", storyWorld, append(diff, "--exit-code"), cli.ExitChanges},
		{"2 whatever the format", storyWorld, append(diff, "--exit-code", "-o", "json"), cli.ExitChanges},
		{"0 when they are identical", same, append(diff, "--exit-code"), cli.ExitOK},
		{"1 when they can't be compared", broken, append(diff, "--exit-code"), cli.ExitError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := newShell(t, apitest.New(t, tt.world())).run(tt.args...); got.code != tt.code {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}
