package builder_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// outside is a repository of charts and one of git, and a project that uses
// both.
type outside struct {
	*gittest.Repo
	charts *httptest.Server
	index  atomic.Value // string: what the repository of charts lists
	asked  atomic.Int64
	net    *gittest.Repo
}

const projectHead = `version: 1
project: shop
components:
  api:
    kind: process
    path: api
    inputs: [deploy]
    process: {command: [bin/run]}
    uses:
      network: {module: {source: "git::file://NET?ref=v1"}}
      cache: {chart: {repository: "CHARTS", name: redis, version: ^1}}
environments: {dev: {}}
`

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{Repo: gittest.New(t), net: gittest.New(t)}
	o.charts = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if r.URL.Path == "/index.yaml" {
			_, _ = w.Write([]byte(o.index.Load().(string)))
			return
		}
		_, _ = w.Write([]byte("a chart at " + r.URL.Path))
	}))
	t.Cleanup(o.charts.Close)
	o.offer("1.0.0")
	o.net.WriteFile("main.tf", "#")
	o.net.Commit("one")
	o.net.Tag("v1", "HEAD")
	o.write("towpath.yaml", projectHead)
	o.WriteFile("api/bin/run", "")
	o.write("deploy/Chart.yaml", "name: shop\ndependencies:\n  - {name: redis, version: ^1, repository: CHARTS}\n")
	o.write("elsewhere/Chart.yaml", "dependencies:\n  - {name: unseen, version: ^1, repository: CHARTS}\n")
	o.write(".gitignore", "api/node_modules\n")
	o.write("api/node_modules/Dockerfile", "FROM unseen:1\n")
	o.Commit("first")
	return o
}

func (o *outside) offer(version string) {
	o.index.Store("apiVersion: v1\nentries:\n  redis:\n  - version: " + version + "\n    urls: [redis-" + version + ".tgz]\n")
}

// write puts a file into the work tree, with the addresses that tests have.
func (o *outside) write(name, content string) {
	o.WriteFile(name, strings.NewReplacer("CHARTS", o.charts.URL, "NET", o.net.Dir).Replace(content))
}

func (o *outside) lock(t *testing.T, r cli.LockRequest) cli.Locked {
	t.Helper()
	l, err := o.try(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (o *outside) try(t *testing.T, r cli.LockRequest) (cli.Locked, error) {
	t.Helper()
	r.Dir = filepath.Join(o.Dir, "api")
	return builder.Lock(t.Context(), r, func(string) string { return "" }, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
}

func (o *outside) file(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(o.Dir, "towpath.lock"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLock(t *testing.T) {
	o := newOutside(t)
	if l := o.lock(t, cli.LockRequest{DryRun: true}); l.Written || len(l.Changes) != 2 || o.asked.Load() == 0 {
		t.Fatalf("%+v", l)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "towpath.lock")); err == nil {
		t.Fatal("a dry run wrote the file")
	}
	if l := o.lock(t, cli.LockRequest{}); !l.Written || len(l.Changes) != 2 || len(l.Loose) != 0 {
		t.Fatalf("%+v", l)
	}
	first := o.file(t)
	o.Commit("lock")
	t.Run("stays as it is, whatever there is outside, and asks nobody", func(t *testing.T) {
		o.offer("1.1.0")
		before := o.asked.Load()
		if l := o.lock(t, cli.LockRequest{}); l.Written || len(l.Changes) != 0 || o.file(t) != first || o.asked.Load() != before {
			t.Errorf("%+v", l)
		}
	})
	t.Run("is the same when it is made anew of the same", func(t *testing.T) {
		o.offer("1.0.0")
		o.Remove("towpath.lock")
		o.lock(t, cli.LockRequest{})
		if o.file(t) != first {
			t.Errorf("%s\n%s", first, o.file(t))
		}
	})
	t.Run("moves what is named, and shows from where to where", func(t *testing.T) {
		o.offer("1.1.0")
		l := o.lock(t, cli.LockRequest{Update: []string{"cache"}})
		if !l.Written || len(l.Changes) != 1 || l.Changes[0].Action != cli.LockMove ||
			!strings.HasPrefix(l.Changes[0].From, "1.0.0 (sha256:") || !strings.HasPrefix(l.Changes[0].To, "1.1.0 (sha256:") {
			t.Errorf("%+v", l)
		}
		o.Git("checkout", "--", "towpath.lock")
	})
	t.Run("check asks nobody, unless pins may move", func(t *testing.T) {
		before := o.asked.Load()
		if l := o.lock(t, cli.LockRequest{Check: true}); len(l.Changes) != 0 || l.Untidy || o.asked.Load() != before {
			t.Errorf("%+v", l)
		}
		if l := o.lock(t, cli.LockRequest{Check: true, All: true}); len(l.Changes) != 1 || o.asked.Load() == before || o.file(t) != first {
			t.Errorf("%+v", l)
		}
		o.write("api/Dockerfile", "FROM redis:7\n")
		o.write("deploy/Chart.yaml", "name: shop\n")
		o.write("towpath.yaml", strings.ReplaceAll(projectHead, "?ref=v1", "?ref=v2"))
		l := o.lock(t, cli.LockRequest{Check: true})
		var got []string
		for _, c := range l.Changes {
			got = append(got, string(c.Action)+" "+strings.ReplaceAll(c.Name, o.net.Dir, "NET"))
		}
		if strings.Join(got, ", ") != "remove git::file://NET?ref=v1, missing git::file://NET?ref=v2, missing redis:7" || o.file(t) != first {
			t.Errorf("%q", got)
		}
		o.write("deploy/Chart.yaml", "dependencies: [{name: redis, version: ^1, repository: CHARTS}]\n")
	})
	t.Run("a failure says which, and leaves the file alone", func(t *testing.T) {
		o.write("api/Dockerfile", "FROM 127.0.0.1:1/gone:7\n")
		_, err := o.try(t, cli.LockRequest{})
		if towpath.KindOf(err) == "" || !strings.Contains(err.Error(), "127.0.0.1:1/gone:7: ") || !strings.Contains(err.Error(), "?ref=v2: ") || o.file(t) != first {
			t.Error(err)
		}
	})
	t.Run("what an exception frees is neither asked for nor missing", func(t *testing.T) {
		o.write("towpath.yaml", projectHead+"pins: {exceptions: [{reference: '127.0.0.1:1/gone:7', reason: soon, until: 2026-11-20}]}\n")
		if l := o.lock(t, cli.LockRequest{}); l.Written || len(l.Changes)+len(l.Loose) != 0 {
			t.Errorf("%+v", l)
		}
		o.write("towpath.yaml", projectHead+"pins: {exceptions: [{reference: '127.0.0.1:1/gone:7', reason: soon, until: 2026-11-19}]}\n")
		if l := o.lock(t, cli.LockRequest{Check: true}); len(l.Changes) != 1 {
			t.Errorf("%+v", l)
		}
	})
	t.Run("what can't be locked is said, with its place", func(t *testing.T) {
		o.write("towpath.yaml", projectHead)
		o.write("api/Dockerfile", "ARG V\nFROM redis:$V\n")
		l := o.lock(t, cli.LockRequest{Check: true})
		if len(l.Loose) != 1 || l.Loose[0].Place != "api/Dockerfile:2" || !strings.Contains(l.Loose[0].Why, "argument V") {
			t.Errorf("%+v", l)
		}
	})
	t.Run("links lead nowhere", func(t *testing.T) {
		o.Remove("api/Dockerfile")
		secret := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(secret, []byte("FROM stolen:1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Symlink(secret, "api/Dockerfile")
		if l := o.lock(t, cli.LockRequest{Check: true}); len(l.Changes)+len(l.Loose) != 0 {
			t.Errorf("%+v", l)
		}
		o.Remove("api/Dockerfile")
	})
	t.Run("nothing is written through a link", func(t *testing.T) {
		o.WriteFile("mine", "mine")
		for _, name := range []string{".towpath.lock.new", "towpath.lock"} {
			o.Remove("towpath.lock")
			o.Symlink("mine", name)
			if l := o.lock(t, cli.LockRequest{}); !l.Written {
				t.Errorf("%+v", l)
			}
			info, err := os.Lstat(filepath.Join(o.Dir, "towpath.lock"))
			if err != nil || !info.Mode().IsRegular() {
				t.Errorf("%v, %v", info, err)
			}
			if b, err := os.ReadFile(filepath.Join(o.Dir, "mine")); err != nil || string(b) != "mine" {
				t.Errorf("%s was followed: %q, %v", name, b, err)
			}
			if _, err := os.Lstat(filepath.Join(o.Dir, ".towpath.lock.new")); err == nil {
				t.Error("the new file was left behind")
			}
		}
		o.Remove("mine")
		o.Git("checkout", "--", "towpath.lock")
	})
	t.Run("the same entries in another form are written anew", func(t *testing.T) {
		o.WriteFile("towpath.lock", first+"\n# by hand\n")
		if l := o.lock(t, cli.LockRequest{Check: true}); !l.Untidy || len(l.Changes) != 0 {
			t.Errorf("%+v", l)
		}
		if l := o.lock(t, cli.LockRequest{}); !l.Written || o.file(t) != first {
			t.Errorf("%+v", l)
		}
	})
	t.Run("a build needs nobody: it is made with what the file says", func(t *testing.T) {
		o.charts.Close()
		if err := os.RemoveAll(o.net.Dir); err != nil {
			t.Fatal(err)
		}
		o.Commit("as it is")
		built, err := builder.Build(t.Context(), cli.BuildRequest{Dir: o.Dir}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if built.Close != nil {
			defer built.Close()
		}
		for _, want := range []string{"pkg:helm/redis@1.0.0", "pkg:generic/"} {
			if !strings.Contains(string(built.Provenance), want) {
				t.Errorf("%s is not in %s", want, built.Provenance)
			}
		}
	})
}

func TestLock_WithNothingFromOutside(t *testing.T) {
	r := gittest.New(t)
	r.WriteFile("towpath.yaml", "version: 1\nproject: shop\ncomponents: {api: {kind: process, path: ., process: {command: [a]}}}\nenvironments: {dev: {}}\n")
	r.Commit("first")
	l, err := builder.Lock(t.Context(), cli.LockRequest{Dir: r.Dir}, func(string) string { return "" }, time.Now())
	if err != nil || l.Written || len(l.Changes) != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "towpath.lock")); err == nil {
		t.Error("a file was written")
	}
}

// TestLock_Terraform locks what Terraform's files of a work tree name.
func TestLock_Terraform(t *testing.T) {
	o := newOutside(t)
	o.write("api/net/main.tf", `
module "vpc" { source = "git::file://NET//vpc?ref=v1" }
module "near" { source = "./near" }
module "moving" { source = "git::file://NET?ref=main" }
resource "aws_vpc" "v" {}
`)
	o.write("api/net/near/main.tf", "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\", version = \"~> 5.0\" }\n  }\n}\n")
	o.write("api/net/.terraform.lock.hcl", "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.1.0\"\n  hashes = [\"h1:abc=\"]\n}\n")
	l := o.lock(t, cli.LockRequest{})
	for _, want := range []string{`"git::file://` + o.net.Dir + `//vpc?ref=v1"`, `"git::file://` + o.net.Dir + `?ref=main"`} {
		if !strings.Contains(o.file(t), want) {
			t.Errorf("%s is not in\n%s", want, o.file(t))
		}
	}
	if strings.Contains(o.file(t), "hashicorp") {
		t.Errorf("what Terraform's own lock file has is locked once more:\n%s", o.file(t))
	}
	if len(l.Loose) != 1 || l.Loose[0].Place != "api/net/main.tf:4" || !strings.Contains(l.Loose[0].Why, "is a branch") {
		t.Errorf("loose: %+v", l.Loose)
	}
	o.Remove("api/net/.terraform.lock.hcl")
	checked := o.lock(t, cli.LockRequest{Check: true})
	if len(checked.Changes) != 1 || checked.Changes[0].Name != "hashicorp/aws ~> 5.0" || checked.Changes[0].Action != cli.LockMissing {
		t.Errorf("without Terraform's lock file: %+v", checked.Changes)
	}
}
