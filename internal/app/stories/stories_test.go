package stories_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/towpath/towpath/examples"
	"github.com/towpath/towpath/internal/app"
	agentapp "github.com/towpath/towpath/internal/app/agent"
	"github.com/towpath/towpath/internal/cli"
)

// patience is how long one `until` waits.
const patience = 60 * time.Second

// towpath is the binary's main. What it starts by os.Executable is this test
// binary, which is told by its first argument that it is meant.
func towpath() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv, app.Apps("test", time.Now))
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "shim" || os.Args[1] == "router") {
		os.Exit(towpath())
	}
	testscript.Main(m, map[string]func(){"towpath": func() { os.Exit(towpath()) }})
}

// stories is the test that all stories are part of.
var stories *testing.T

func TestStories(t *testing.T) {
	stories = t
	keep := map[string]string{}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		keep[name] = strings.TrimSpace(string(out))
	}
	compileShop(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for name, value := range keep {
				env.Setenv(name, value)
			}
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("NO_COLOR", "1")
			env.Values[castKey{}] = &cast{}
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Defer(func() { stopAll(env.WorkDir) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"shop": shop, "until": until, "token": token, "edit": edit, "forge": forge,
			"cosign": cosign, "serverof": serverOf, "agentof": agentOf, "killagent": killAgent, "killserver": killServer,
			"record": record, "running": running, "demokept": demoKept, "traffic": traffic, "clients": clients, "users": users,
		},
	})
}

// compileShop builds the sample once, as its towpath.yaml does, so that no story
// waits for a cold cache to compile the standard library.
func compileShop(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := examples.Write(examples.Shop, dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", t.TempDir(), "./api", "./web")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// stopAll ends what any agent below a folder left running, and makes what it
// unpacked removable.
func stopAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if d.Name() == "instances" {
			data := filepath.Dir(filepath.Dir(path))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			_ = agentapp.Stop(ctx, agentapp.Config{Data: data, Log: slog.New(slog.DiscardHandler)})
		}
		return os.Chmod(path, 0o755)
	})
}

// shop writes the sample project into a folder: a repository of Ana's with the
// branches dev, staging and main.
func shop(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(examples.Write(examples.Shop, dir))
	for _, line := range []string{
		"init --quiet --initial-branch=dev", "config user.name Ana", "config user.email ana@example.com", "add .",
		"commit --quiet -m Sell", "branch staging", "branch main",
	} {
		cmd := exec.Command("git", strings.Fields(line)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("git %s: %v %s", line, err, out)
		}
	}
}

// until runs a command again and again until its output matches: until PATTERN
// COMMAND ARG …
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if pattern.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never matched %q: %v\n%s\n%s", args[0], err, out, ts.ReadFile("stderr"))
		}
		time.Sleep(100 * time.Millisecond) // between two looks
	}
}

// token makes a token of an account and keeps its secret in a variable: token
// VARIABLE ACCOUNT
func token(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("towpath", "token", "create", "story", "--account", args[1], "-o", "json"))
	var t struct{ Secret string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &t))
	ts.Setenv(args[0], t.Secret)
}

// edit replaces text in a file; \n in the new one is the end of a line: edit FILE
// OLD NEW
func edit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], strings.ReplaceAll(args[2], `\n`, "\n"), 1)), 0o644))
}

// forge copies an export of the ledger and changes who did what its ninth line
// records: forge FROM TO
func forge(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(ts.ReadFile(args[0]), "\n")
	forged := strings.Replace(lines[8], `"actor":"`, `"actor":"not-`, 1)
	if forged == lines[8] {
		ts.Fatalf("line 9 has no actor: %s", lines[8])
	}
	lines[8] = forged
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(lines, "\n")), 0o600))
}
