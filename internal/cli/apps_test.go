package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// builder makes a release of two blobs.
func builder(closed *bool, fail error) func(context.Context, cli.BuildRequest, cli.Progress) (cli.Built, error) {
	return func(_ context.Context, r cli.BuildRequest, p cli.Progress) (cli.Built, error) {
		p(cli.Step{Name: "web", State: cli.StepRunning, Detail: "go build"})
		if fail != nil {
			p(cli.Step{Name: "web", State: cli.StepFailed, Detail: "exit status 1", Log: []string{"main.go:1: oops"}})
			return cli.Built{}, fail
		}
		p(cli.Step{Name: "web", State: cli.StepDone})
		blob := func(s string) cli.Blob {
			return cli.Blob{Digest: digest(s), Size: int64(len(s)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(s))), nil }}
		}
		return cli.Built{
			Project: "shop", Manifest: []byte(`{"m":1}`), Provenance: []byte(`{}`), Digest: digest(`{"m":1}`), Commit: commit, Ref: r.Ref,
			Version: r.Version, Blobs: []cli.Blob{blob("one"), blob("three")}, Warnings: []string{"the tree has changes that are not committed"},
			Evidence: []cli.Evidence{{Type: "application/vnd.cyclonedx+json", Manifest: digest("three")}},
			Close:    func() error { *closed = true; return nil },
		}, nil
	}
}

func TestReleaseBuild(t *testing.T) {
	t.Run("uploads what is missing, publishes, and prints digest and version", func(t *testing.T) {
		w := apitest.NewWorld()
		w.Blobs[digest("one")] = []byte("one")
		s := apitest.New(t, w)
		sh, closed := newShell(t, s), false
		sh.apps.Build = builder(&closed, nil)
		got := sh.run("release", "build", "--ref", "main", "--version", "1.4.0", "-o", "json")
		if got.code != cli.ExitOK {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		golden(t, "release_build.json", got.stdout)
		var doc struct{ Digest, Version string }
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.Digest != string(digest(`{"m":1}`)) || doc.Version != "1.4.0" {
			t.Errorf("got %+v, %v", doc, err)
		}
		if n := w.Called("releases.PutBlob"); n != 1 || string(w.Blobs[digest("three")]) != "three" {
			t.Errorf("%d blobs were uploaded", n)
		}
		for _, line := range []string{"web running: go build", "web done", "uploaded 5 B", "warning: the tree has changes"} {
			if !strings.Contains(got.stderr, line) {
				t.Errorf("%q is missing in\n%s", line, got.stderr)
			}
		}
		if !closed {
			t.Error("the build's files were not freed")
		}
		if again := sh.run("release", "build", "-o", "name"); again.stdout != string(digest(`{"m":1}`))+"\n" || w.Called("releases.PutBlob") != 1 {
			t.Errorf("the second time: %s", again.stdout)
		}
		if again := sh.run("release", "build"); !strings.Contains(again.stdout, "it was published before, and the server had all of it\n") {
			t.Errorf("the third time: %s", again.stdout)
		}
		delete(w.Blobs, digest("three")) // it was lost
		if again := sh.run("release", "build"); !strings.Contains(again.stdout, "it was published before; what the server did not have of it, or of what is about it, was added (5 B)\n") {
			t.Errorf("when something was lost: %s", again.stdout)
		}
	})
	t.Run("says which role is needed when nothing may be uploaded", func(t *testing.T) {
		w := apitest.NewWorld()
		w.Fail = func(_ context.Context, m string) error {
			if m == "releases.HasBlob" {
				return towpath.E(towpath.KindForbidden, "", "no").WithHint("it needs releaser")
			}
			return nil
		}
		sh, closed := newShell(t, apitest.New(t, w)), false
		sh.apps.Build = builder(&closed, nil)
		got := sh.run("release", "build")
		if got.code != cli.ExitNotAllowed || !strings.Contains(got.stderr, "you may not publish releases of shop\nhint: it needs the role releaser") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("shows the log of a build that failed, and uploads nothing", func(t *testing.T) {
		w := apitest.NewWorld()
		sh, closed := newShell(t, apitest.New(t, w)), false
		sh.apps.Build = builder(&closed, towpath.E(towpath.KindInvalid, "build", "the build of web failed").WithHint("fix it"))
		got := sh.run("release", "build")
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "| main.go:1: oops") || !strings.Contains(got.stderr, "hint: fix it") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if w.Called("releases.PutBlob")+w.Called("releases.Publish") != 0 {
			t.Error("something was uploaded")
		}
	})
}

func TestApps(t *testing.T) {
	t.Run("init says what it wrote", func(t *testing.T) {
		sh := newShell(t, nil)
		sh.apps.Init = func(_ context.Context, dir string, o cli.InitOptions) (cli.Initialised, error) {
			if dir != sh.dir || o.Project != "shop" {
				t.Errorf("got %s, %+v", dir, o)
			}
			return cli.Initialised{Project: "shop", File: "towpath.yaml", Created: true, Environments: []towpath.EnvironmentName{"dev", "prod"}}, nil
		}
		if got := sh.run("init", "-p", "shop"); got.code != 0 || !strings.Contains(got.stdout, "wrote towpath.yaml") || !strings.Contains(got.stdout, "dev, prod") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("the agent gets the token from the environment", func(t *testing.T) {
		sh := newShell(t, nil)
		sh.env["TOWPATH_TOKEN"], sh.env["TOWPATH_URL"] = "twp_agent", "http://127.0.0.1:1"
		sh.apps.Agent = func(_ context.Context, _ cli.Terminal, o cli.AgentOptions) error {
			if o.Token != "twp_agent" || o.Server != "http://127.0.0.1:1" || o.Place != "lab" {
				t.Errorf("got %+v", o)
			}
			return nil
		}
		if got := sh.run("agent", "--place", "lab"); got.code != 0 {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("dev ends well when it is interrupted", func(t *testing.T) {
		sh := newShell(t, nil)
		var cancel context.CancelFunc
		sh.ctx, cancel = context.WithCancel(t.Context())
		sh.apps.Dev = func(ctx context.Context, _ cli.Terminal, _ cli.DevOptions) error {
			cancel()
			<-ctx.Done()
			return nil
		}
		if got := sh.run("dev"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("an app's error names its cause, which is of this machine", func(t *testing.T) {
		sh := newShell(t, nil)
		sh.apps.Server = func(context.Context, cli.Terminal, cli.ServerOptions) error {
			return towpath.E(towpath.KindUnavailable, "server", "the port is taken").WithCause(errors.New("address already in use"))
		}
		if got := sh.run("server"); got.code != cli.ExitError || !strings.Contains(got.stderr, "the port is taken: address already in use") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("where the server keeps things comes from flags, then from the environment", func(t *testing.T) {
		for _, tt := range []struct {
			env  map[string]string
			args []string
			want cli.ServerOptions
		}{
			{nil, nil, cli.ServerOptions{}},
			{map[string]string{"TOWPATH_BLOBS": "s3://env/x", "TOWPATH_DATABASE": "postgres://env"}, nil, cli.ServerOptions{Blobs: "s3://env/x", Database: "postgres://env"}},
			{map[string]string{"TOWPATH_BLOBS": "s3://env/x"}, []string{"--blobs", "s3://flag?path-style=true", "--database", "postgres://flag"}, cli.ServerOptions{Blobs: "s3://flag?path-style=true", Database: "postgres://flag"}},
		} {
			sh := newShell(t, nil)
			maps.Copy(sh.env, tt.env)
			var got cli.ServerOptions
			sh.apps.Server = func(_ context.Context, _ cli.Terminal, o cli.ServerOptions) error { got = o; return nil }
			if out := sh.run(append([]string{"server"}, tt.args...)...); out.code != cli.ExitOK || got.Blobs != tt.want.Blobs || got.Database != tt.want.Database {
				t.Errorf("%v %v: exit %d, %+v", tt.env, tt.args, out.code, got)
			}
		}
	})
	t.Run("a restore has a reason", func(t *testing.T) {
		for given, code := range map[string]int{"backup of Monday": cli.ExitOK, " ": cli.ExitError, "": cli.ExitError} {
			sh := newShell(t, nil)
			var got cli.ServerOptions
			sh.apps.Server = func(_ context.Context, _ cli.Terminal, o cli.ServerOptions) error { got = o; return nil }
			if out := sh.run("server", "--restored", given); out.code != code || code == cli.ExitOK && got.Restored != given {
				t.Errorf("%q: exit %d, %+v", given, out.code, got)
			}
		}
	})
	t.Run("schema prints what it is given", func(t *testing.T) {
		sh := newShell(t, nil)
		sh.apps.Schema = func() []byte { return []byte("{}\n") }
		if got := sh.run("schema"); got.stdout != "{}\n" {
			t.Errorf("got %q", got.stdout)
		}
	})
	t.Run("completion is there for the usual shells", func(t *testing.T) {
		for _, name := range []string{"bash", "zsh", "fish"} {
			if got := newShell(t, nil).run("completion", name); got.code != 0 || !strings.Contains(got.stdout, "towpath") {
				t.Errorf("%s: exit %d", name, got.code)
			}
		}
	})
	t.Run("completion knows the environments", func(t *testing.T) {
		got := newShell(t, apitest.New(t, storyWorld())).run("__complete", "rollback", "")
		if !strings.Contains(got.stdout, "dev\nprod\ntrial\nlab\n") {
			t.Errorf("got %q", got.stdout)
		}
	})
}
