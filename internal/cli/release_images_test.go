package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	godigest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// open is somebody else's registry, for everybody.
func open(t *testing.T) (host string) {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// pushImage pushes an image with a signature to a registry.
func pushImage(t *testing.T, repository string) towpath.Digest {
	t.Helper()
	r, err := replicate.NewRemote(replicate.RemoteConfig{Repository: repository, PlainHTTP: true})
	fatal(t, err)
	describe := func(mediaType string, b []byte) v1.Descriptor {
		return v1.Descriptor{MediaType: mediaType, Digest: godigest.Digest(towpath.DigestOf(b)), Size: int64(len(b))}
	}
	layer := []byte("the layer of an image")
	blob := describe("application/octet-stream", layer)
	fatal(t, r.PutBlob(t.Context(), blob, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }))
	manifest := func(m v1.Manifest) v1.Descriptor {
		m.SchemaVersion, m.MediaType, m.Config, m.Layers = 2, v1.MediaTypeImageManifest, blob, []v1.Descriptor{blob}
		b, err := json.Marshal(m)
		fatal(t, err)
		d := describe(m.MediaType, b)
		fatal(t, r.PutManifest(t.Context(), d, b))
		return d
	}
	image := manifest(v1.Manifest{})
	manifest(v1.Manifest{ArtifactType: "application/vnd.example.signature", Subject: &image})
	return towpath.Digest(image.Digest)
}

// TestRelease_WithImages takes a release along with what it takes from another
// registry, to a place without a connection and to a registry.
func TestRelease_WithImages(t *testing.T) {
	from, to, outside, target := newSite(t), newSite(t), open(t), open(t)
	image := pushImage(t, outside+"/acme/redis")
	release, _ := from.publish("one", "1.4.0")
	// A build that pins the image makes the same release.
	from.publishPinned(release, "1.4.0", fmt.Sprintf(`{"name":"redis:7","uri":"pkg:oci/redis@%s?repository_url=%s/acme/redis"}`, strings.ReplaceAll(string(image), ":", "%3A"), outside))

	layout := filepath.Join(t.TempDir(), "shop.tar")
	if got := from.shell.run("release", "export", "1.4.0", "--to", layout, "--with-images"); got.code == 0 || !strings.Contains(got.stderr, "redis:7 is not mirrored") {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	admin, err := from.server.Account(t.Context(), "adm", nil, []towpath.Role{towpath.RoleAdmin}, time.Hour)
	fatal(t, err)
	token := from.shell.env["TOWPATH_TOKEN"]
	if got := from.shell.run("registry", "mirror", "--from", outside); got.code == 0 {
		t.Error("a releaser sets the sources")
	}
	from.shell.env["TOWPATH_TOKEN"] = admin.Secret
	from.ok("registry", "mirror", "--from", outside)
	from.shell.env["TOWPATH_TOKEN"] = token
	from.mirrored(1)

	exported := decode[struct{ Images int }](t, from.ok("release", "export", "1.4.0", "--to", layout, "--with-images", "-o", "json").stdout)
	if exported.Images != 1 {
		t.Errorf("exported %+v", exported)
	}
	imported := decode[struct{ Images []string }](t, to.ok("release", "import", layout, "-o", "json").stdout)
	at := string(towpath.MirrorRepository("shop", outside+"/acme/redis")) + "@" + string(image)
	if len(imported.Images) != 1 || imported.Images[0] != at {
		t.Errorf("imported %+v, want %s", imported, at)
	}
	st := to.mirrored(1) // no source was set there: it takes what came
	if st.Images[0].Manifests != 2 {
		t.Errorf("its signature did not come along: %+v", st.Images)
	}

	copied := decode[struct{ Images []string }](t, from.ok("release", "copy", "1.4.0", "--to", target+"/shop", "--plain-http", "--with-images", "-o", "json").stdout)
	if len(copied.Images) != 1 {
		t.Fatalf("copied %+v", copied)
	}
	name, sum, _ := strings.Cut(copied.Images[0], "@")
	there, err := replicate.NewRemote(replicate.RemoteConfig{Repository: name, PlainHTTP: true})
	fatal(t, err)
	if d, err := there.Resolve(t.Context(), replicate.Config{Attempts: 1}, sum); err != nil || towpath.Digest(d.Digest) != image || !strings.HasPrefix(name, target+"/shop/mirror/") {
		t.Errorf("%s is %s there: %v", copied.Images[0], d.Digest, err)
	}
	if got := from.shell.run("release", "copy", string(release), "--from", layout, "--to", target+"/shop", "--with-images"); got.code == 0 {
		t.Error("--from and --with-images go together")
	}
}

// publishPinned publishes a release once more, by a build that took something
// from outside.
func (s *site) publishPinned(release towpath.Digest, version, material string) {
	s.t.Helper()
	own, err := replicate.NewRemote(replicate.RemoteConfig{Repository: strings.TrimPrefix(s.server.URL(), "http://") + "/shop", PlainHTTP: true, Login: func(context.Context, string) (replicate.Login, error) {
		return replicate.Login{User: "rea", Password: s.token}, nil
	}})
	fatal(s.t, err)
	root, err := own.Resolve(s.t.Context(), replicate.Config{}, string(release))
	fatal(s.t, err)
	manifest, err := own.Manifest(s.t.Context(), root)
	fatal(s.t, err)
	_, err = s.client.PublishRelease(s.t.Context(), "shop", api.PublishRelease{
		Manifest: manifest, Commit: commit, Ref: "refs/heads/other", Version: version,
		Provenance: []byte(`{"subject":[{"digest":{"sha256":"` + release.Hex() + `"}}],"predicate":{"buildDefinition":{"resolvedDependencies":[` + material + `]}}}`),
	})
	fatal(s.t, err)
}

// mirrored waits until so many images are mirrored.
func (s *site) mirrored(n int) mirror.Status {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		st, err := s.client.Mirror(s.t.Context(), "shop")
		fatal(s.t, err)
		if len(st.Images) == n && st.Behind == 0 {
			return st
		}
		select {
		case <-look.C:
		case <-deadline:
			s.t.Fatalf("never: %+v", st)
		}
	}
}
