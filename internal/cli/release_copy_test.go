package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
)

// external is a registry of another maker without an API of referrers, which
// knows one user.
func external(t *testing.T) (host string) {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "bob" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="external"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// dockerLogin writes what docker login would.
func (sh *shell) dockerLogin(host, user, password string) {
	sh.t.Helper()
	dir := filepath.Join(sh.env["HOME"], ".docker")
	fatal(sh.t, os.MkdirAll(dir, 0o700))
	b, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}}})
	fatal(sh.t, err)
	fatal(sh.t, os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600))
}

// runWith runs a command that reads from stdin.
func (sh *shell) runWith(stdin string, args ...string) run {
	sh.t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main(sh.ctx, append([]string{"-C", sh.dir}, args...), strings.NewReader(stdin), &stdout, &stderr, func(k string) string { return sh.env[k] }, sh.apps)
	return run{code, stdout.String(), stderr.String()}
}

type copied struct {
	Release          towpath.Digest
	Tags             []string
	Manifests, Blobs counted
	Bytes            int64
	Verified         bool
}

// TestReleaseCopy_BesideARule: where a rule of the server copies to, nobody else
// writes.
func TestReleaseCopy_BesideARule(t *testing.T) {
	from := newSite(t)
	from.publish("one", "1.4.0")
	made, err := from.server.Account(t.Context(), "root", nil, []towpath.Role{towpath.RoleAdmin}, time.Hour)
	fatal(t, err)
	admin, err := client.New(client.Config{URL: from.server.URL(), Token: client.Token(made.Secret)})
	fatal(t, err)
	_, err = admin.AddReplication(t.Context(), "shop", api.PostReplication{Name: "eu", To: "127.0.0.1:1/team/shop", PlainHTTP: true})
	fatal(t, err)
	got := from.shell.run("release", "copy", "1.4.0", "--to", "127.0.0.1:1/team/shop:mine", "--plain-http")
	if got.code != 1 || !strings.Contains(got.stderr, "the rule eu copies releases there") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}

func TestReleaseCopy_ToAnotherRegistry(t *testing.T) {
	from, host := newSite(t), external(t)
	release, n := from.publish("one", "1.4.0+g1a2b3c4")
	from.attach(release, n, `{"bomFormat":"CycloneDX"}`)
	from.sign(release, n)
	args := []string{"release", "copy", "1.4.0+g1a2b3c4", "--to", host + "/team/shop", "--plain-http", "-o", "json"}

	t.Run("not without a login", func(t *testing.T) {
		if got := from.shell.run(args...); got.code != cli.ExitNotAllowed || !strings.Contains(got.stderr, "docker login") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("with a password from stdin", func(t *testing.T) {
		got := from.shell.runWith("s3cret\n", append(args, "--username", "bob", "--password-stdin")...)
		if got.code != 0 || strings.Contains(got.stdout+got.stderr, "s3cret") {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		out := decode[copied](t, got.stdout)
		// The release, a bill, a signature, and what it was published with.
		if out.Release != release || out.Manifests != (counted{Copied: 4}) || !out.Verified || len(out.Tags) != 1 || out.Tags[0] != "1.4.0_g1a2b3c4" {
			t.Errorf("got %+v", out)
		}
	})
	from.shell.dockerLogin(host, "bob", "s3cret")
	t.Run("with what docker login keeps, and only what is new", func(t *testing.T) {
		from.attach(release, n, `{"bomFormat":"CycloneDX","version":2}`)
		out := decode[copied](t, from.ok(args...).stdout)
		if out.Manifests != (counted{Copied: 1, Present: 4}) || out.Bytes > 2000 {
			t.Errorf("got %+v", out)
		}
	})
	t.Run("a tag never moves", func(t *testing.T) {
		from.publish("two", "1.5.0")
		got := from.shell.run("release", "copy", "1.5.0", "--to", host+"/team/shop:1.4.0_g1a2b3c4", "--plain-http")
		if got.code != 1 || !strings.Contains(got.stderr, "it is not moved") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("from there to another server, and it can be published there", func(t *testing.T) {
		to, dir := newSite(t), t.TempDir()
		exported := filepath.Join(dir, "exported.tar")
		from.ok("release", "export", "1.4.0+g1a2b3c4", "--to", exported)
		from.ok("release", "copy", "1.4.0+g1a2b3c4", "--from", host+"/team/shop", "--to", host+"/team/mirror:stable", "--plain-http")
		to.ok("release", "import", exported)
		again := filepath.Join(dir, "again.tar")
		to.ok("release", "export", "1.4.0+g1a2b3c4", "--to", again)
		if !bytes.Equal(file(t, exported), file(t, again)) {
			t.Error("they differ")
		}
	})
	t.Run("from a layout", func(t *testing.T) {
		tar := filepath.Join(t.TempDir(), "one.tar")
		from.ok("release", "export", "1.4.0+g1a2b3c4", "--to", tar)
		out := decode[copied](t, from.ok("release", "copy", "1.4.0+g1a2b3c4", "--from", tar, "--to", host+"/team/offline", "--plain-http", "-o", "json").stdout)
		if out.Release != release || out.Manifests != (counted{Copied: 5}) || out.Tags[0] != "1.4.0_g1a2b3c4" {
			t.Errorf("got %+v", out)
		}
	})
}

// TestReleaseCopy_Says: off a terminal a copy has few lines, however much there is
// to copy, and says what it waits for before and while it copies.
func TestReleaseCopy_Says(t *testing.T) {
	from := newSite(t)
	release, n := from.publish("one", "1.4.0")
	for i := range 20 {
		from.attach(release, n, `{"bomFormat":"CycloneDX","version":`+strconv.Itoa(i+1)+`}`)
	}
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var asked, put atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/manifests/1.4.0") && asked.Add(1) == 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case r.Method == http.MethodPut && put.Add(1) == 1:
			w.WriteHeader(http.StatusBadGateway)
		default:
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	lines := strings.Split(strings.TrimSpace(from.ok("release", "copy", "1.4.0", "--to", host+"/shop", "--plain-http").stderr), "\n")
	var got []string
	for _, l := range lines {
		l = strings.ReplaceAll(strings.TrimPrefix(l, "12:00:00 "), host, "registry.example")
		l, _, _ = strings.Cut(l, " follows in ") // which is random
		got = append(got, l)
	}
	want := []string{
		"waiting: the registry answered 429 (registry.example); attempt 2 of 6",
		"copying to registry.example/shop",
		"write running",
		"waiting: the registry answered 502 (registry.example); attempt 2 of 6",
		"read back and compare running",
		"write done (0.0s): 46 of 46, 560.9 KiB",
		"read back and compare done (0.0s): 46 of 46, 560.9 KiB",
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReleaseCopy_ToAnotherServer copies to the registry of a server of ours,
// with a token as the password.
func TestReleaseCopy_ToAnotherServer(t *testing.T) {
	from, to := newSite(t), newSite(t)
	release, n := from.publish("one", "1.4.0")
	bill, m := from.attach(release, n, `{"bomFormat":"CycloneDX"}`)
	from.sign(bill, m)
	host := strings.TrimPrefix(to.server.URL(), "http://")
	from.shell.dockerLogin(host, "anybody", to.token)
	args := []string{"release", "copy", "1.4.0", "--to", host + "/shop/mirror", "--plain-http", "-o", "json"}
	if out := decode[copied](t, from.ok(args...).stdout); out.Manifests != (counted{Copied: 4}) {
		t.Errorf("got %+v", out)
	}
	if out := decode[copied](t, from.ok(args...).stdout); out.Manifests != (counted{Present: 4}) || out.Bytes != 0 {
		t.Errorf("got %+v", out)
	}
}

func TestReleaseCopy_Usage(t *testing.T) {
	s := newSite(t)
	s.publish("one", "1.4.0")
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"where to", []string{"1.4.0"}, "--to says to which repository"},
		{"a user without a password", []string{"1.4.0", "--to", "localhost:1/shop", "--username", "bob"}, "go together"},
		{"no repository", []string{"1.4.0", "--to", "shop"}, "is not a repository of a registry"},
		{"a digest is no tag", []string{"1.4.0", "--to", "localhost:1/shop@" + string(digest("x"))}, "is not a repository of a registry"},
		{"no such release", []string{"1.4.1", "--to", "localhost:1/shop"}, "has no release"},
		{"no such layout", []string{"1.4.0", "--to", "localhost:1/shop", "--from", "none.tar"}, "there is no layout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.shell.run(append([]string{"release", "copy"}, tt.args...)...)
			if got.code != 1 || !strings.Contains(got.stderr, tt.says) {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	t.Run("a password is not sent without TLS to another machine", func(t *testing.T) {
		got := s.shell.runWith("s3cret", "release", "copy", "1.4.0", "--to", "registry.invalid/shop", "--plain-http", "--username", "bob", "--password-stdin")
		if got.code != 1 || !strings.Contains(got.stderr, "not sent without TLS") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}

// TestReleaseMove_Output fixes what the three commands print.
func TestReleaseMove_Output(t *testing.T) {
	for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
		t.Run(format, func(t *testing.T) {
			from, to, host := newSite(t), newSite(t), external(t)
			release, n := from.publish("one", "1.4.0")
			a, err := oci.AttachSBOM(oci.Blob{Digest: release, Size: n}, []byte(`{"bomFormat":"CycloneDX"}`))
			fatal(t, err)
			fatal(t, from.client.Attach(t.Context(), "shop", a))
			from.shell.dockerLogin(host, "bob", "s3cret")
			to.shell.dir = from.shell.dir
			for name, got := range map[string]run{
				"release_export": from.ok("release", "export", "1.4.0", "--to", "shop.tar", "-o", format),
				"release_import": to.ok("release", "import", "shop.tar", "-o", format),
				"release_copy":   from.ok("release", "copy", "1.4.0", "--to", host+"/shop", "--plain-http", "-o", format),
			} {
				text := strings.NewReplacer(host, "registry.example", from.server.URL(), "http://towpath.example").Replace(got.stdout)
				golden(t, filepath.Join(name, format), text)
			}
		})
	}
}

// TestReleaseCopy_CosignVerifiesThere has the real cosign verify a release where
// it was copied to, with the list of referrers under a tag.
func TestReleaseCopy_CosignVerifiesThere(t *testing.T) {
	c := cosigntest.New(t)
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	from := newSite(t)
	release, n := from.publish("one", "1.4.0")
	key := from.sign(release, n)
	from.ok("release", "copy", "1.4.0", "--to", host+"/shop", "--plain-http")
	c.Write("key.pub", file(t, keyFile(t, "key.pub", key)))
	c.Write("other.pub", file(t, keyFile(t, "other.pub", nil)))
	verify := func(key string) (string, error) {
		return c.Run("verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", host+"/shop@"+string(release))
	}
	if out, err := verify("key.pub"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := verify("other.pub"); err == nil {
		t.Errorf("another key verifies it: %s", out)
	}
}

// TestReleaseCopy_CredentialHelper asks a helper that docker's configuration
// names.
func TestReleaseCopy_CredentialHelper(t *testing.T) {
	from, host := newSite(t), external(t)
	from.publish("one", "1.4.0")
	bin := t.TempDir()
	helper := "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get " + host + "\" ] || exit 1\n" +
		`echo '{"ServerURL":"` + host + `","Username":"bob","Secret":"s3cret"}'` + "\n"
	fatal(t, os.WriteFile(filepath.Join(bin, "docker-credential-vault"), []byte(helper), 0o700))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	from.shell.env["DOCKER_CONFIG"] = bin
	fatal(t, os.WriteFile(filepath.Join(bin, "config.json"), []byte(`{"credHelpers":{"`+host+`":"vault"}}`), 0o600))
	from.ok("release", "copy", "1.4.0", "--to", host+"/shop", "--plain-http", "--no-read-back")
	t.Run("that knows nobody", func(t *testing.T) {
		fatal(t, os.WriteFile(filepath.Join(bin, "docker-credential-vault"), []byte("#!/bin/sh\necho no\nexit 1\n"), 0o700))
		got := from.shell.run("release", "copy", "1.4.0", "--to", host+"/shop", "--plain-http")
		if got.code != cli.ExitNotAllowed || !strings.Contains(got.stderr, "credential helper") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
