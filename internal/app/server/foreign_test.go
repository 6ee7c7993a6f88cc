package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// outside stands before a real registry of somebody else, and can be down or
// change what it sends.
type outside struct {
	host   string
	asked  atomic.Int64
	down   atomic.Bool
	tamper atomic.Pointer[string] // the part of the path whose answers are changed
}

// before puts it before a registry.
func before(t *testing.T, registry string) *outside {
	t.Helper()
	u, err := url.Parse(registry)
	must(t, 0, err)
	o := &outside{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			part := o.tamper.Load()
			if part == nil || !strings.Contains(r.Request.URL.Path, *part) || r.Request.Method != http.MethodGet {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if len(body) > 0 {
				body[len(body)/2] ^= 1
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if o.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	o.host = strings.TrimPrefix(srv.URL, "http://")
	return o
}

// foreign is an image of two platforms in a registry, with what is attached to
// it.
type foreign struct {
	repository string
	digest     towpath.Digest
	signature  towpath.Digest // about the index
	manifests  []towpath.Digest
	blobs      []towpath.Digest
}

// pushForeign makes one; salt makes it another one.
func pushForeign(t *testing.T, repository, salt string, login replicate.Login) foreign {
	t.Helper()
	r, err := replicate.NewRemote(replicate.RemoteConfig{Repository: repository, PlainHTTP: true, Login: func(context.Context, string) (replicate.Login, error) { return login, nil }})
	must(t, 0, err)
	f := foreign{repository: repository}
	put := func(b []byte) ocitest.Object {
		d := v1.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(towpath.DigestOf(b)), Size: int64(len(b))}
		must(t, 0, r.PutBlob(t.Context(), d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }))
		f.blobs = append(f.blobs, towpath.Digest(d.Digest))
		return ocitest.Object{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size}
	}
	manifest := func(mediaType string, doc ocitest.Object) ocitest.Object {
		doc["schemaVersion"], doc["mediaType"] = 2, mediaType
		b := ocitest.Encode(t, doc)
		d := v1.Descriptor{MediaType: mediaType, Digest: digest.Digest(towpath.DigestOf(b)), Size: int64(len(b))}
		must(t, 0, r.PutManifest(t.Context(), d, b))
		f.manifests = append(f.manifests, towpath.Digest(d.Digest))
		return ocitest.Object{"mediaType": mediaType, "digest": d.Digest, "size": d.Size}
	}
	var platforms []ocitest.Object
	for _, p := range []string{"amd64", "arm64"} {
		platforms = append(platforms, manifest(v1.MediaTypeImageManifest, ocitest.Object{
			"config": put([]byte("config of " + p + salt)), "layers": []ocitest.Object{put([]byte("layer of " + p + salt))},
		}))
	}
	index := manifest(v1.MediaTypeImageIndex, ocitest.Object{"manifests": platforms})
	f.digest = f.manifests[2]
	manifest(v1.MediaTypeImageManifest, ocitest.Object{
		"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json", "config": put([]byte("config of a signature" + salt)),
		"layers": []ocitest.Object{put([]byte("signature of" + salt))}, "subject": index,
	})
	f.signature = f.manifests[3]
	return f
}

// material is the image as the provenance of a release names it.
func (f foreign) material(name string) string {
	return fmt.Sprintf(`{"name":%q,"uri":"pkg:oci/x@%s?repository_url=%s","digest":{"sha256":%q}}`, name,
		strings.ReplaceAll(string(f.digest), ":", "%3A"), f.repository, f.digest.Hex())
}

func (h *harness) pins(materials ...string) { h.materials = "[" + strings.Join(materials, ",") + "]" }

func (h *harness) mirrorFrom(sources ...string) {
	h.t.Helper()
	all := []towpath.MirrorSource{}
	for _, s := range sources {
		all = append(all, towpath.MirrorSource{From: s})
	}
	must(h.t, 0, h.svc.Mirror.SetSources(context.Background(), towpath.System(), shop, all))
}

func (h *harness) mirrored(f foreign) (mirror.Image, bool) {
	h.t.Helper()
	st, err := h.svc.Mirror.Status(context.Background(), h.ana, shop)
	must(h.t, 0, err)
	i := slices.IndexFunc(st.Images, func(x mirror.Image) bool { return x.Source == f.repository && x.Digest == f.digest })
	if i < 0 {
		return mirror.Image{}, false
	}
	return st.Images[i], true
}

func (h *harness) untilMirrored(f foreign) mirror.Image {
	h.t.Helper()
	var x mirror.Image
	h.until(f.repository+" is mirrored", func() bool { x, _ = h.mirrored(f); return !x.Done.IsZero() })
	return x
}

// wakeMirror has the loop look now, whatever pause it has come to.
func (h *harness) wakeMirror() {
	h.t.Helper()
	must(h.t, 0, h.s.store.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.WakeMirror(ctx, shop, time.Now()) }))
}
