package ocidist_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// known are the codes of the specification.
const known = " BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID " +
	"MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS "

// FuzzRequests sends anything to the registry: it answers, never with an error
// of its own, and says what is wrong in the form that clients know.
func FuzzRequests(f *testing.F) {
	r := start(f, f.TempDir(), "", nil)
	target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
	c := ocitest.NewClient(f, target)
	d := c.Push("latest", c.Manifest())
	blob := c.PushBlob([]byte("content"))
	upload := c.Do("POST", c.Repo("blobs/uploads/"), nil).Header.Get("Location")

	for _, seed := range []struct{ method, path, query, name, value, body string }{
		{"GET", "/v2/", "", "", "", ""},
		{"GET", "/v2/shop/tested/manifests/latest", "", "If-None-Match", `"` + d + `"`, ""},
		{"PUT", "/v2/shop/tested/manifests/new", "tag=a&tag=b", "Content-Type", ocitest.TypeManifest, `{"schemaVersion":2}`},
		{"PUT", "/v2/shop/tested/manifests/new", "", "Content-Type", ocitest.TypeIndex, `{"schemaVersion":2,"manifests":[]}`},
		{"DELETE", "/v2/shop/tested/manifests/gone", "", "", "", ""},
		{"GET", "/v2/shop/tested/blobs/" + blob, "", "Range", "bytes=1-3", ""},
		{"GET", "/v2/shop/tested/blobs/" + blob, "", "Range", "bytes=-99999999999999999999", ""},
		{"POST", "/v2/shop/tested/blobs/uploads/", "digest=" + blob, "", "", "content"},
		{"POST", "/v2/shop/tested/blobs/uploads/", "mount=" + blob + "&from=shop/%00", "", "", ""},
		{"PATCH", upload, "", "Content-Range", "0-6", "content"},
		{"PATCH", upload, "", "Content-Range", "7-3", "content"},
		{"PUT", upload, "digest=sha256:x", "", "", "content"},
		{"GET", upload, "", "", "", ""},
		{"GET", "/v2/shop/tested/tags/list", "n=1&last=%00%ff", "", "", ""},
		{"GET", "/v2/_catalog", "n=0&last=shop%00", "", "", ""},
		{"GET", "/v2/shop/tested/referrers/" + d, "artifactType=%00&last=x", "", "", ""},
		{"POST", "/v2/token", "service=%zz", "Content-Type", "application/x-www-form-urlencoded", "password=%"},
		{"TRACE", "/v2/shop/tested/blobs/uploads", "", "X-Forwarded-Proto", "https", ""},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.name, seed.value, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, path, query, name, value string, body []byte) {
		if !strings.HasPrefix(path, "/v2/") || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) || method == http.MethodConnect {
			return // never reaches the handler
		}
		req := httptest.NewRequestWithContext(t.Context(), method, "http://registry.example/v2/", bytes.NewReader(body))
		req.URL.Path, req.URL.RawPath, req.URL.RawQuery = path, "", query
		req.RequestURI = (&url.URL{Path: path, RawQuery: query}).RequestURI()
		if name != "" {
			req.Header.Set(name, value)
		}
		req.Header.Set("Authorization", "Bearer "+target.Secret)
		rec := httptest.NewRecorder()
		r.s.Handler().ServeHTTP(rec, req)
		if rec.Code >= 500 {
			t.Fatalf("%s %q: %d %s", method, path, rec.Code, rec.Body)
		}
		if rec.Code < 400 || method == http.MethodHead {
			return
		}
		var answer struct {
			Errors []struct{ Code, Message string }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || len(answer.Errors) == 0 ||
			!strings.Contains(known, " "+answer.Errors[0].Code+" ") || answer.Errors[0].Message == "" {
			t.Fatalf("%s %q: %d %s", method, path, rec.Code, rec.Body)
		}
	})
}
