package resolve_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/resolve"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// world is what references lead to: a registry of ours, which wants a token, a
// repository of charts and a registry of modules.
type world struct {
	t        *testing.T
	host     string // of the registry
	token    string
	charts   *httptest.Server
	files    map[string][]byte // of charts
	resolver *resolve.Resolver
	tokens   []string // that the registry of modules was shown
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, files: map[string][]byte{}}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := s.Register(ctx, "shop", ""); err != nil {
		t.Fatal(err)
	}
	account, err := s.Account(ctx, "ana", nil, []towpath.Role{towpath.RoleReleaser, towpath.RoleViewer}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.host, w.token = strings.TrimPrefix(s.URL(), "http://"), account.Secret
	w.charts = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "modules") || strings.Contains(r.URL.Path, "well-known") {
			w.tokens = append(w.tokens, r.Header.Get("Authorization"))
		}
		b, ok := w.files[r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(b)
	}))
	t.Cleanup(w.charts.Close)
	w.resolver = w.loggedIn(account.Secret)
	return w
}

// loggedIn is a resolver whose user did docker login.
func (w *world) loggedIn(token string) *resolve.Resolver {
	w.t.Helper()
	config := filepath.Join(w.t.TempDir(), "config.json")
	if token != "" {
		b, _ := json.Marshal(map[string]any{"auths": map[string]any{w.host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("ana:" + token))}}})
		if err := os.WriteFile(config, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := resolve.New(resolve.Config{DockerConfig: config, Getenv: func(k string) string {
		if k == "TF_TOKEN_127_0_0_1" {
			return "for-modules"
		}
		return ""
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// push makes an image with some content, and tags it.
func (w *world) push(repository, content string, tags ...string) towpath.Digest {
	w.t.Helper()
	repo, err := remote.NewRepository(w.host + "/" + repository)
	if err != nil {
		w.t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = &auth.Client{Credential: auth.StaticCredential(w.host, auth.Credential{Username: "ana", Password: w.token})}
	ctx := w.t.Context()
	layer, err := oras.PushBytes(ctx, repo, "application/vnd.example.layer", []byte(content))
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{Layers: []v1.Descriptor{layer}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		if err := repo.Tag(ctx, d, tag); err != nil {
			w.t.Fatal(err)
		}
	}
	return towpath.Digest(d.Digest)
}

// resolves wants an answer.
func (w *world) resolves(ref towpath.External, err error, want towpath.Pin) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.resolver.Resolve(w.t.Context(), ref)
	want.Name, want.Kind = ref.String(), ref.Kind
	if err != nil || got != want {
		w.t.Errorf("%s: %v, %v\nwant %v", ref, got, err, want)
	}
}

// refuses wants an error with a hint.
func refuses(t *testing.T, r *resolve.Resolver, ref towpath.External, kind towpath.Kind, says string) {
	t.Helper()
	_, err := r.Resolve(t.Context(), ref)
	message, hint := towpath.PublicMessage(err)
	if towpath.KindOf(err) != kind || !strings.Contains(message, says) || hint == "" {
		t.Errorf("%s: %v (%s, hint %q)", ref, err, towpath.KindOf(err), hint)
	}
}

func TestResolver_Images(t *testing.T) {
	w := newWorld(t)
	one := w.push("shop/base", "one", "1.0", "latest")
	two := w.push("shop/base", "two", "2.0")
	image := func(tag string) (towpath.External, error) { return pin.Image(w.host + "/shop/base" + tag) }
	for tag, want := range map[string]towpath.Digest{":1.0": one, ":2.0": two, "": one} {
		ref, err := image(tag)
		w.resolves(ref, err, towpath.Pin{Digest: want})
	}
	missing, _ := image(":3.0")
	refuses(t, w.resolver, missing, towpath.KindNotFound, "has no such thing")
	ref, _ := image(":1.0")
	refuses(t, w.loggedIn(""), ref, towpath.KindUnauthenticated, "not for everybody")
	gone, _ := pin.Image("127.0.0.1:1/a:1")
	refuses(t, w.resolver, gone, towpath.KindUnavailable, "can't be reached")
}

func TestResolver_OCIModules(t *testing.T) {
	w := newWorld(t)
	one := w.push("shop/net", "one", "1.0", "latest")
	module := func(rest string) (towpath.External, error) { return pin.Module("oci://"+w.host+"/shop/net"+rest, "") }
	for _, rest := range []string{"", "?tag=1.0", "//vpc/x?tag=1.0"} {
		ref, err := module(rest)
		w.resolves(ref, err, towpath.Pin{Digest: one})
	}
	missing, _ := module("?tag=2.0")
	refuses(t, w.resolver, missing, towpath.KindNotFound, "has no such thing")
}

func TestResolver_OCICharts(t *testing.T) {
	w := newWorld(t)
	w.push("shop/charts/redis", "18", "18.9.9")
	w.push("shop/charts/redis", "19.0", "19.0.0")
	newest := w.push("shop/charts/redis", "19.1", "19.1.0_build.1")
	w.push("shop/charts/redis", "19.2 rc", "19.2.0-rc1", "latest")
	rc := w.push("shop/charts/redis", "20", "20.0.0-rc1")
	chart := func(version string) (towpath.External, error) {
		return pin.Chart("oci://"+w.host+"/shop/charts", "redis", version)
	}
	ref, err := chart("^19")
	w.resolves(ref, err, towpath.Pin{Version: "19.1.0+build.1", Digest: newest})
	ref, err = chart(">=20.0.0-0")
	w.resolves(ref, err, towpath.Pin{Version: "20.0.0-rc1", Digest: rc})
	ref, _ = chart("^21")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "none of its 6 versions is allowed")
}

// archive is a real chart's .tgz.
func archive(t *testing.T, name, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	tw := tar.NewWriter(gz)
	body := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)
	if err := tw.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	_, _ = tw.Write([]byte(body))
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestResolver_HTTPCharts(t *testing.T) {
	w := newWorld(t)
	old, now := archive(t, "redis", "19.0.1"), archive(t, "redis", "19.0.2")
	w.files["/stable/redis-19.0.1.tgz"], w.files["/stable/redis-19.0.2.tgz"] = old, now
	w.files["/stable/liar-1.0.0.tgz"] = old
	entry := func(name, version, digest, url string) string {
		return fmt.Sprintf("  - apiVersion: v2\n    description: |\n      entries:\n        redis: of %s\n    digest: %q\n    name: %s\n    urls:\n    - %s\n    version: %s\n", name, digest, name, url, version)
	}
	w.files["/stable/index.yaml"] = []byte("apiVersion: v1\nentries:\n" +
		"  liar:\n" + entry("liar", "1.0.0", strings.Repeat("0", 64), "liar-1.0.0.tgz") +
		"  redis:\n" + entry("redis", "19.0.1", towpath.DigestOf(old).Hex(), "redis-19.0.1.tgz") +
		entry("redis", "19.0.2", "", w.charts.URL+"/stable/redis-19.0.2.tgz") +
		"  redis-ha:\n" + entry("redis-ha", "19.9.9", "", "nowhere.tgz") +
		"generated: \"2026-01-01T00:00:00Z\"\n")
	w.files["/json/index.yaml"] = []byte(`{"apiVersion": "v1", "entries": {"redis": [{"version": "19.0.1", "urls": ["../stable/redis-19.0.1.tgz"]}]}}`)
	chart := func(repository, name, version string) (towpath.External, error) {
		return pin.Chart(w.charts.URL+repository, name, version)
	}
	ref, err := chart("/stable", "redis", "^19")
	w.resolves(ref, err, towpath.Pin{Version: "19.0.2", Digest: towpath.DigestOf(now)})
	ref, err = chart("/stable/", "redis", "19.0.1")
	w.resolves(ref, err, towpath.Pin{Version: "19.0.1", Digest: towpath.DigestOf(old)})
	ref, err = chart("/json", "redis", "*")
	w.resolves(ref, err, towpath.Pin{Version: "19.0.1", Digest: towpath.DigestOf(old)})

	ref, _ = chart("/stable", "liar", "1.0.0")
	refuses(t, w.resolver, ref, towpath.KindConflict, "is not what its repository's index says")
	ref, _ = chart("/stable", "redis", "^20")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "none of its 2 versions")
	ref, _ = chart("/stable", "rediss", "^20")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "none of its 0 versions")
	ref, _ = chart("/none", "redis", "^20")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "no such thing")
}

func TestResolver_GitModules(t *testing.T) {
	w := newWorld(t)
	r := gittest.New(t)
	r.WriteFile("vpc/main.tf", "# one")
	one := r.Commit("one")
	r.Tag("light", "HEAD")
	r.Git("tag", "-a", "-m", "one", "v1.0.0", "HEAD")
	r.WriteFile("vpc/main.tf", "# two")
	two := r.Commit("two")
	r.Branch("HEAD", "team/v1.0.0")
	r.Branch("HEAD", "both")
	r.Tag("both", string(one))
	module := func(suffix string) (towpath.External, error) {
		return pin.Module("git::file://"+r.Dir+"//vpc"+suffix, "")
	}
	for suffix, want := range map[string]towpath.Pin{
		"?ref=v1.0.0":          {Ref: "refs/tags/v1.0.0", Commit: string(one)},
		"?ref=light":           {Ref: "refs/tags/light", Commit: string(one)},
		"?ref=main":            {Ref: "refs/heads/main", Commit: string(two)},
		"?ref=refs/tags/both":  {Ref: "refs/tags/both", Commit: string(one)},
		"?ref=refs/heads/both": {Ref: "refs/heads/both", Commit: string(two)},
		"?depth=1&ref=v1.0.0":  {Ref: "refs/tags/v1.0.0", Commit: string(one)},
		"":                     {Ref: "refs/heads/main", Commit: string(two)},
	} {
		ref, err := module(suffix)
		w.resolves(ref, err, want)
	}
	ref, _ := module("?ref=both")
	refuses(t, w.resolver, ref, towpath.KindInvalid, "is a tag and a branch")
	ref, _ = module("?ref=" + string(one)[:8])
	refuses(t, w.resolver, ref, towpath.KindNotFound, "neither a tag nor a branch")
	ref, _ = pin.Module("git::file://"+r.Dir+"/nothing?ref=v1", "")
	refuses(t, w.resolver, ref, towpath.KindUnavailable, "git can't read the repository")
	t.Run("and runs nothing that an address names", func(t *testing.T) {
		ran := filepath.Join(t.TempDir(), "ran")
		for _, source := range []string{"git::ext::sh -c touch% " + ran, "git::ext::sh", "git::--upload-pack=touch " + ran, "git::-u@host:x", "git::fd://17"} {
			if ref, err := pin.Module(source, ""); err == nil {
				t.Errorf("%s is taken", ref)
			}
			_, err := w.resolver.Resolve(t.Context(), towpath.External{Kind: towpath.ExternalModule, Source: source})
			if err == nil {
				t.Errorf("%s is resolved", source)
			}
		}
		if _, err := os.Stat(ran); err == nil {
			t.Error("a command ran")
		}
	})
}

func TestResolver_RegistryModules(t *testing.T) {
	w := newWorld(t)
	w.files["/.well-known/terraform.json"] = []byte(`{"modules.v1": "/api/modules/", "providers.v1": "/api/providers/"}`)
	w.files["/api/modules/net/vpc/aws/versions"] = []byte(`{"modules": [{"source": "net/vpc/aws", "versions": [{"version": "1.4.0"}, {"version": "1.10.2"}, {"version": "1.9.0"}, {"version": "2.0.0"}, {"version": "2.1.0-beta"}]}]}`)
	host := strings.TrimPrefix(w.charts.URL, "http://")
	for version, want := range map[string]string{"~> 1.4": "1.10.2", "~> 1.9.0": "1.9.0", "1.4.0": "1.4.0", ">= 1.4, < 2.0": "1.10.2", ">= 1": "2.0.0", "!= 2.0.0": "1.10.2"} {
		ref, err := pin.Module(host+"/net/vpc/aws//modules/subnet", version)
		w.resolves(ref, err, towpath.Pin{Version: want})
	}
	ref, _ := pin.Module(host+"/net/vpc/aws", "~> 3.0")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "none of its 5 versions")
	ref, _ = pin.Module(host+"/net/nothing/aws", "~> 3.0")
	refuses(t, w.resolver, ref, towpath.KindNotFound, "no such thing")
	for _, shown := range w.tokens {
		if shown != "Bearer for-modules" {
			t.Errorf("the registry was shown %q", shown)
		}
	}
}

func TestResolver_Providers(t *testing.T) {
	w := newWorld(t)
	w.files["/.well-known/terraform.json"] = []byte(`{"providers.v1": "/api/providers/"}`)
	w.files["/api/providers/acme/aws/versions"] = []byte(`{"versions": [{"version": "5.1.0", "protocols": ["5.0"]}, {"version": "5.10.2"}, {"version": "6.0.0-beta1"}]}`)
	host := strings.TrimPrefix(w.charts.URL, "http://")
	provider := func(name, version string) towpath.External {
		return towpath.External{Kind: towpath.ExternalProvider, Source: host + "/acme/" + name, Version: version}
	}
	for version, want := range map[string]string{"~> 5.0": "5.10.2", "5.1.0": "5.1.0", ">= 0.0.0": "5.10.2"} {
		w.resolves(provider("aws", version), nil, towpath.Pin{Version: want})
	}
	refuses(t, w.resolver, provider("aws", "~> 7.0"), towpath.KindNotFound, "none of its 3 versions")
	refuses(t, w.resolver, provider("nothing", "~> 5.0"), towpath.KindNotFound, "no such thing")
	module, _ := pin.Module(host+"/net/vpc/aws", "~> 3.0")
	refuses(t, w.resolver, module, towpath.KindUnavailable, "no such registry (modules.v1)")
}
