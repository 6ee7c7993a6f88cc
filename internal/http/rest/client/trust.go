package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// TrustedKeys lists the keys whose signatures are believed in a project, or in
// one environment of it.
func (c *Client) TrustedKeys(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.TrustedKey, error) {
	q := url.Values{}
	set(q, "project", p)
	set(q, "environment", e)
	out, err := ask[api.TrustedKeys](ctx, c, get("/trusted-keys", q))
	return out.Items, err
}

// TrustKey has the signatures of a key believed.
func (c *Client) TrustKey(ctx context.Context, r api.TrustKey) (towpath.TrustedKey, error) {
	return ask[towpath.TrustedKey](ctx, c, post("/trusted-keys", r))
}

// ExpireKey says until when signatures of a key count.
func (c *Client) ExpireKey(ctx context.Context, name towpath.KeyName, at time.Time) (towpath.TrustedKey, error) {
	return ask[towpath.TrustedKey](ctx, c, post(keyPath(name, "/expire"), api.ExpireKey{At: at}))
}

// RevokeKey makes everything that a key signed worthless.
func (c *Client) RevokeKey(ctx context.Context, name towpath.KeyName, reason string, everywhere bool) (api.RevokedKey, error) {
	return ask[api.RevokedKey](ctx, c, post(keyPath(name, "/revoke"), api.RevokeKey{Reason: reason, Everywhere: everywhere}))
}

// AffectedByKey says what is quarantined for a revoked key.
func (c *Client) AffectedByKey(ctx context.Context, name towpath.KeyName) (towpath.Affected, error) {
	return ask[towpath.Affected](ctx, c, get(keyPath(name, "/affected"), nil))
}

// Evidence lists the signed statements about a release, each verified under the
// keys that are trusted in an environment; e empty: in any.
func (c *Client) Evidence(ctx context.Context, p towpath.ProjectName, name string, e towpath.EnvironmentName) (trust.Evidence, error) {
	q := url.Values{}
	set(q, "environment", e)
	return ask[trust.Evidence](ctx, c, get(projectPath(p, "/releases/"+url.PathEscape(name)+"/evidence"), q))
}

func keyPath(name towpath.KeyName, rest string) string {
	return "/trusted-keys/" + url.PathEscape(string(name)) + rest
}

// Pull reads a blob, or with manifest a manifest, from the server's registry,
// as any client of registries would. What it yields is not checked.
func (c *Client) Pull(ctx context.Context, p towpath.ProjectName, d towpath.Digest, manifest bool, use func(io.Reader) error) error {
	what := "blobs"
	if manifest {
		what = "manifests"
	}
	k := call{method: http.MethodGet, root: true, long: true, path: "/v2/" + url.PathEscape(string(p)) + "/" + what + "/" + string(d)}
	k.header = http.Header{"Accept": {towpath.MediaTypeManifest, "*/*"}}
	return c.do(ctx, k, func(r *http.Response) error { return use(r.Body) })
}

// Attach pushes what is about a release into the server's registry, as any
// client of registries would. Doing it again changes nothing.
func (c *Client) Attach(ctx context.Context, p towpath.ProjectName, a oci.Attachment) error {
	push := func(method, path, contentType string, body []byte) error {
		return c.tell(ctx, call{
			method: method, root: true, path: "/v2/" + url.PathEscape(string(p)) + path, size: int64(len(body)),
			header: http.Header{"Content-Type": {contentType}}, open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
		})
	}
	for _, b := range a.Blobs {
		if err := push(http.MethodPost, "/blobs/uploads/?digest="+string(towpath.DigestOf(b)), "application/octet-stream", b); err != nil {
			return err
		}
	}
	return push(http.MethodPut, "/manifests/"+string(a.Digest), towpath.MediaTypeManifest, a.Manifest)
}
