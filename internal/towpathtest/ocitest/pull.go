package ocitest

import (
	"bytes"
	"strconv"
	"strings"
)

func pull() []requirement {
	return []requirement{
		{"a manifest is pulled by tag and by digest, byte for byte", func(c *Client) {
			body := append(c.Manifest(), " \n"...) // not how anybody would encode it
			d := c.Push("pulled", body)
			for _, ref := range []string{"pulled", d} {
				a := c.Expect(c.Do("GET", c.Repo("manifests/"+ref), nil, "Accept", TypeManifest), 200)
				c.same(a, body, d, TypeManifest)
			}
		}},
		{"HEAD of a manifest has its size, type and digest and no body", func(c *Client) {
			body := c.Manifest()
			d := c.Push("headed", body)
			for _, ref := range []string{"headed", d} {
				a := c.Expect(c.Do("HEAD", c.Repo("manifests/"+ref), nil), 200)
				c.headers(a, len(body), d, TypeManifest)
			}
		}},
		{"a manifest that is not there is 404", func(c *Client) {
			c.Push("there", c.Manifest())
			for _, ref := range []string{"not-there", Sha256(Random(9))} {
				c.ExpectCode(c.Do("GET", c.Repo("manifests/"+ref), nil), 404, "MANIFEST_UNKNOWN")
				c.Expect(c.Do("HEAD", c.Repo("manifests/"+ref), nil), 404)
			}
		}},
		{"what can be no tag is not there", func(c *Client) {
			c.Push("there", c.Manifest())
			for _, ref := range []string{".INVALID_MANIFEST_NAME", "-a", "a+b", strings.Repeat("a", 129)} {
				c.ExpectCode(c.Do("GET", c.Repo("manifests/"+ref), nil), 404, "MANIFEST_UNKNOWN")
				c.Expect(c.Do("HEAD", c.Repo("manifests/"+ref), nil), 404)
			}
		}},
		{"what looks like a digest and is none is refused", func(c *Client) {
			for _, ref := range []string{"sha256:baddigeststring", "sha256:" + strings.Repeat("A", 64), "md5:d41d8cd98f00b204e9800998ecf8427e"} {
				c.ExpectCode(c.Do("GET", c.Repo("manifests/"+ref), nil), 400, "DIGEST_INVALID")
				c.Expect(c.Do("HEAD", c.Repo("manifests/"+ref), nil), 400)
			}
		}},
		{"a blob is pulled", func(c *Client) {
			for _, size := range []int{0, 1, 700, 3 << 20} {
				b := Random(size)
				d := c.PushBlob(b)
				a := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil), 200)
				c.same(a, b, d, "")
				c.headers(c.Expect(c.Do("HEAD", c.Repo("blobs/"+d), nil), 200), size, d, "")
			}
		}},
		{"a blob that is not there is 404", func(c *Client) {
			c.PushBlob(Random(9))
			c.ExpectCode(c.Do("GET", c.Repo("blobs/"+Sha256(Random(9))), nil), 404, "BLOB_UNKNOWN")
			c.Expect(c.Do("HEAD", c.Repo("blobs/"+Sha256(Random(9))), nil), 404)
		}},
		{"a blob of another repository is not there", func(c *Client) {
			d := c.PushBlobTo(c.Target.Other, "sha256", Random(50))
			c.PushBlob(Random(9))
			c.ExpectCode(c.Do("GET", c.Repo("blobs/"+d), nil), 404, "BLOB_UNKNOWN")
		}},
		{"a digest that is none is refused", func(c *Client) {
			c.PushBlob(Random(9))
			c.ExpectCode(c.Do("GET", c.Repo("blobs/sha256:abc"), nil), 400, "DIGEST_INVALID")
		}},
		{"what a client has is not sent again", func(c *Client) {
			d := c.PushBlob(Random(50))
			etag := c.Do("HEAD", c.Repo("blobs/"+d), nil).Header.Get("ETag")
			if a := c.Do("GET", c.Repo("blobs/"+d), nil, "If-None-Match", etag); a.Status != 304 || len(a.Body) != 0 {
				c.T.Errorf("%d with %d bytes", a.Status, len(a.Body))
			}
		}},
	}
}

// same checks an answer with content.
func (c *Client) same(a Answer, body []byte, digest, contentType string) {
	c.T.Helper()
	if !bytes.Equal(a.Body, body) {
		c.T.Errorf("%d bytes came, and they are not the %d that were pushed", len(a.Body), len(body))
	}
	c.headers(a, len(body), digest, contentType)
}

func (c *Client) headers(a Answer, size int, digest, contentType string) {
	c.T.Helper()
	if got := a.Header.Get("Docker-Content-Digest"); got != digest {
		c.T.Errorf("the digest is %q, want %s", got, digest)
	}
	if got := a.Header.Get("Content-Length"); got != strconv.Itoa(size) {
		c.T.Errorf("the length is %q, want %d", got, size)
	}
	if got := a.Header.Get("Content-Type"); contentType != "" && got != contentType {
		c.T.Errorf("the type is %q, want %s", got, contentType)
	}
}

func ranges() []requirement {
	var all []requirement
	for _, size := range []int{2048, 2 << 20} {
		all = append(all, requirement{"of a blob of " + strconv.Itoa(size) + " bytes", func(c *Client) {
			b := Random(size)
			d := c.PushBlob(b)
			for header, want := range map[string][2]int{
				"bytes=500-1499":     {500, 1500},
				"bytes=500-":         {500, size},
				"bytes=-500":         {size - 500, size},
				"bytes=2000-9999999": {2000, size},
				"bytes=0-0":          {0, 1},
				"bytes=-9999999":     {0, size},
			} {
				a := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil, "Range", header), 206)
				if !bytes.Equal(a.Body, b[want[0]:want[1]]) {
					c.T.Errorf("%s: %d bytes came, and they are not those asked for", header, len(a.Body))
				}
				if got, want := a.Header.Get("Content-Range"), "bytes "+strconv.Itoa(want[0])+"-"+strconv.Itoa(want[1]-1)+"/"+strconv.Itoa(size); got != want {
					c.T.Errorf("%s: Content-Range is %q, want %q", header, got, want)
				}
				if got := a.Header.Get("Content-Length"); got != strconv.Itoa(want[1]-want[0]) {
					c.T.Errorf("%s: Content-Length is %q", header, got)
				}
			}
			for _, header := range []string{"bytes=500-0", "bytes=9999999-", "bytes=5000000-6000000", "bytes=-0", "bytes=x-y", "bytes=5"} {
				a := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil, "Range", header), 416)
				if got := a.Header.Get("Content-Range"); got != "bytes */"+strconv.Itoa(size) {
					c.T.Errorf("%s: Content-Range is %q", header, got)
				}
			}
			for _, headers := range [][]string{
				{"Range", "bytes=0-1,5-6"}, {"Range", "lines=0-1"}, {"Range", "bytes=0-1", "If-Range", `"another"`},
			} {
				if a := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil, headers...), 200); !bytes.Equal(a.Body, b) {
					c.T.Errorf("%v: %d bytes came, want the whole", headers, len(a.Body))
				}
			}
			a := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil, "Range", "bytes=0-1", "If-Range", `"`+d+`"`), 206)
			if len(a.Body) != 2 {
				c.T.Errorf("%d bytes came", len(a.Body))
			}
		}})
	}
	return all
}
