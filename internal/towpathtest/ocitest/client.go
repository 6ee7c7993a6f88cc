package ocitest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// Target is a registry under test. Its user may pull from, push to and delete
// from both repositories.
type Target struct {
	URL          string // without a path
	User, Secret string
	Repository   string
	Other        string
}

// Client sends single requests, as they are.
type Client struct {
	T      testing.TB
	Target Target
	HTTP   *http.Client
}

// NewClient makes a client that follows no redirects.
func NewClient(t testing.TB, target Target) *Client {
	return &Client{T: t, Target: target, HTTP: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Headers of a request, name and value in turn.
type Headers []string

// Answer is a response with its body.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request; a path without host is the registry's. Content-Length is
// that of the body.
func (c *Client) Do(method, path string, body []byte, headers ...string) Answer {
	c.T.Helper()
	a, err := c.Try(method, path, bytes.NewReader(body), headers...)
	if err != nil {
		c.T.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Try is [Client.Do] of a body whose length may not be known, which may fail.
func (c *Client) Try(method, path string, body io.Reader, headers ...string) (Answer, error) {
	target := path
	if strings.HasPrefix(path, "/") {
		target = c.Target.URL + path
	}
	req, err := http.NewRequestWithContext(c.T.Context(), method, target, body)
	if err != nil {
		return Answer{}, err
	}
	if c.Target.Secret != "" {
		req.SetBasicAuth(c.Target.User, c.Target.Secret)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Authorization" && headers[i+1] == "" {
			req.Header.Del("Authorization")
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: b}, err
}

// Expect fails the test unless the answer has one of the statuses.
func (c *Client) Expect(a Answer, statuses ...int) Answer {
	c.T.Helper()
	if !slices.Contains(statuses, a.Status) {
		c.T.Fatalf("status %d, want %v: %s", a.Status, statuses, a.Body)
	}
	return a
}

// ExpectCode is [Client.Expect] of an error with a code, in the form that the
// specification demands.
func (c *Client) ExpectCode(a Answer, status int, code string) Answer {
	c.T.Helper()
	c.Expect(a, status)
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || len(body.Errors) == 0 || body.Errors[0].Code != code || body.Errors[0].Message == "" {
		c.T.Fatalf("status %d with %s, want the code %s", a.Status, a.Body, code)
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		c.T.Fatalf("an error of type %q", a.Header.Get("Content-Type"))
	}
	return a
}

// Location is where an answer says that things are, with a query added.
func (c *Client) Location(a Answer, query ...string) string {
	c.T.Helper()
	loc, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		c.T.Fatalf("the Location is %q", a.Header.Get("Location"))
	}
	base, err := url.Parse(c.Target.URL)
	if err != nil {
		c.T.Fatal(err)
	}
	loc = base.ResolveReference(loc)
	q := loc.Query()
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	loc.RawQuery = q.Encode()
	return loc.String()
}

// Repo is a path below the repository under test.
func (c *Client) Repo(path string) string { return "/v2/" + c.Target.Repository + "/" + path }

// Random is content that nobody has.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Digest is the digest of content by an algorithm.
func Digest(algorithm string, b []byte) string {
	h := towpath.NewHash(algorithm)
	h.Write(b)
	return string(towpath.DigestSum(algorithm, h))
}

// Sha256 is the usual digest of content.
func Sha256(b []byte) string { return Digest(towpath.SHA256, b) }

// PushBlob pushes a blob to the repository under test and returns its digest.
func (c *Client) PushBlob(b []byte) string {
	return c.PushBlobTo(c.Target.Repository, towpath.SHA256, b)
}

// PushBlobTo pushes a blob with POST and PUT.
func (c *Client) PushBlobTo(repository, algorithm string, b []byte) string {
	c.T.Helper()
	d := Digest(algorithm, b)
	begun := c.Expect(c.Do("POST", "/v2/"+repository+"/blobs/uploads/", nil), 202)
	c.Expect(c.Do("PUT", c.Location(begun, "digest", d), b, "Content-Type", "application/octet-stream"), 201)
	return d
}

// The media types of what the suite pushes.
const (
	TypeManifest = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex    = "application/vnd.oci.image.index.v1+json"
	TypeEmpty    = "application/vnd.oci.empty.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// Object is JSON that is being put together.
type Object = map[string]any

// Describe is a descriptor of content.
func Describe(mediaType, algorithm string, content []byte) Object {
	return Object{"mediaType": mediaType, "digest": Digest(algorithm, content), "size": len(content)}
}

// Encode is the bytes of a document, with more fields.
func Encode(t testing.TB, doc Object, more ...Object) []byte {
	t.Helper()
	all := maps.Clone(doc)
	for _, m := range more {
		maps.Copy(all, m)
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Manifest is an image manifest over blobs that are pushed, with more fields.
func (c *Client) Manifest(more ...Object) []byte {
	c.T.Helper()
	config, layer := Random(50), Random(100)
	c.PushBlob(config)
	c.PushBlob(layer)
	return Encode(c.T, Object{
		"schemaVersion": 2, "mediaType": TypeManifest,
		"config": Describe("application/vnd.oci.image.config.v1+json", towpath.SHA256, config),
		"layers": []Object{Describe(typeLayer, towpath.SHA256, layer)},
	}, more...)
}

// Attach is an artifact manifest about a subject, with one small blob.
func (c *Client) Attach(artifactType, subject string, size int, more ...Object) []byte {
	c.T.Helper()
	c.PushBlob([]byte("{}"))
	return Encode(c.T, Object{
		"schemaVersion": 2, "mediaType": TypeManifest, "artifactType": artifactType,
		"config":  Describe(TypeEmpty, towpath.SHA256, []byte("{}")),
		"layers":  []Object{Describe(TypeEmpty, towpath.SHA256, []byte("{}"))},
		"subject": Object{"mediaType": TypeManifest, "digest": subject, "size": size},
	}, more...)
}

// Push pushes a manifest under a reference and returns its digest.
func (c *Client) Push(ref string, body []byte, headers ...string) string {
	c.T.Helper()
	if len(headers) == 0 {
		headers = []string{"Content-Type", TypeManifest}
	}
	c.Expect(c.Do("PUT", c.Repo("manifests/"+ref), body, headers...), 201)
	return Sha256(body)
}

// JSON decodes the body of an answer.
func JSON[T any](t testing.TB, a Answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return v
}
