package ocitest

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

const octets = "application/octet-stream"

var uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// pulls checks that a blob is where an answer says, and nothing else.
func (c *Client) pulls(a Answer, b []byte, digest string) {
	c.T.Helper()
	if got := a.Header.Get("Docker-Content-Digest"); got != "" && got != digest {
		c.T.Errorf("the digest is %q", got)
	}
	if got := c.Expect(c.Do("GET", c.Location(a), nil), 200); !bytes.Equal(got.Body, b) {
		c.T.Errorf("%d bytes came, want %d", len(got.Body), len(b))
	}
}

func (c *Client) begin() Answer {
	c.T.Helper()
	a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)
	if !uuid.MatchString(a.Header.Get("Location")) {
		c.T.Fatalf("the Location %q has no UUID", a.Header.Get("Location"))
	}
	return a
}

func pushBlobs(algorithm string) []requirement {
	digest := func(b []byte) string { return Digest(algorithm, b) }
	return []requirement{
		{"POST then PUT", func(c *Client) {
			for _, size := range []int{0, 1, 512, 1 << 20} {
				b := Random(size)
				a := c.Expect(c.Do("PUT", c.Location(c.begin(), "digest", digest(b)), b, "Content-Type", octets), 201)
				c.pulls(a, b, digest(b))
			}
		}},
		{"single POST", func(c *Client) {
			for _, b := range [][]byte{Random(512), {}, []byte("{}")} {
				a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/?digest="+digest(b)), b, "Content-Type", octets), 201)
				c.pulls(a, b, digest(b))
			}
		}},
		{"streamed in one PATCH without a length", func(c *Client) {
			b := Random(100_000)
			a, err := c.Try("PATCH", c.Location(c.begin()), struct{ *bytes.Reader }{bytes.NewReader(b)}, "Content-Type", octets)
			if err != nil {
				c.T.Fatal(err)
			}
			c.Expect(a, 202)
			c.pulls(c.Expect(c.Do("PUT", c.Location(a, "digest", digest(b)), nil), 201), b, digest(b))
		}},
		{"in chunks", func(c *Client) {
			b := Random(3000)
			a := c.begin()
			for from := 0; from < len(b); from += 1000 {
				a = c.Expect(c.Do("PATCH", c.Location(a), b[from:from+1000], "Content-Type", octets, "Content-Range", span(from, from+999)), 202)
				if got := a.Header.Get("Range"); got != span(0, from+999) {
					c.T.Errorf("Range is %q", got)
				}
			}
			c.pulls(c.Expect(c.Do("PUT", c.Location(a, "digest", digest(b)), nil), 201), b, digest(b))
		}},
		{"in chunks, the last of them with PUT", func(c *Client) {
			b := Random(3000)
			a := c.Expect(c.Do("PATCH", c.Location(c.begin()), b[:2000], "Content-Type", octets, "Content-Range", span(0, 1999)), 202)
			a = c.Expect(c.Do("PUT", c.Location(a, "digest", digest(b)), b[2000:], "Content-Type", octets, "Content-Range", span(2000, 2999)), 201)
			c.pulls(a, b, digest(b))
		}},
		{"content that does not have the digest is refused", func(c *Client) {
			b := Random(3000)
			d, bad := digest(b), append(bytes.Clone(b), "oh no"...)
			c.ExpectCode(c.Do("POST", c.Repo("blobs/uploads/?digest="+d), bad, "Content-Type", octets), 400, "DIGEST_INVALID")
			c.ExpectCode(c.Do("PUT", c.Location(c.begin(), "digest", d), bad, "Content-Type", octets), 400, "DIGEST_INVALID")
			a := c.Expect(c.Do("PATCH", c.Location(c.begin()), bad, "Content-Type", octets), 202)
			c.ExpectCode(c.Do("PUT", c.Location(a, "digest", d), nil), 400, "DIGEST_INVALID")
			a = c.Expect(c.Do("PATCH", c.Location(c.begin()), bad[:2000], "Content-Type", octets), 202)
			c.ExpectCode(c.Do("PUT", c.Location(a, "digest", d), bad[2000:]), 400, "DIGEST_INVALID")
			c.Expect(c.Do("HEAD", c.Repo("blobs/"+d), nil), 404)
		}},
		{"a digest that is none is refused", func(c *Client) {
			c.ExpectCode(c.Do("PUT", c.Location(c.begin(), "digest", algorithm+":abc"), Random(9)), 400, "DIGEST_INVALID")
			c.ExpectCode(c.Do("PUT", c.Location(c.begin()), Random(9)), 400, "DIGEST_INVALID")
			c.ExpectCode(c.Do("POST", c.Repo("blobs/uploads/?digest=sha1:"+strings.Repeat("a", 40)), Random(9)), 400, "DIGEST_INVALID")
		}},
	}
}

func span(from, to int) string { return strconv.Itoa(from) + "-" + strconv.Itoa(to) }

func chunks() []requirement {
	return []requirement{
		{"out of order are 416, and the upload goes on", func(c *Client) {
			b := Random(3000)
			d := Sha256(b)
			a := c.begin()
			c.Expect(c.Do("PATCH", c.Location(a), b[1000:2000], "Content-Type", octets, "Content-Range", span(1000, 1999)), 416)
			a = c.Expect(c.Do("PATCH", c.Location(a), b[:1000], "Content-Type", octets, "Content-Range", span(0, 999)), 202)
			for _, bad := range []int{2000, 0} {
				wrong := c.ExpectCode(c.Do("PATCH", c.Location(a), b[bad:bad+1000], "Content-Type", octets, "Content-Range", span(bad, bad+999)), 416, "BLOB_UPLOAD_INVALID")
				if wrong.Header.Get("Range") != span(0, 999) || wrong.Header.Get("Location") == "" {
					c.T.Errorf("a 416 says %v", wrong.Header)
				}
			}
			wrong := c.Expect(c.Do("PUT", c.Location(a, "digest", d), b[2000:], "Content-Range", span(2000, 2999)), 416)
			if wrong.Header.Get("Range") != span(0, 999) {
				c.T.Errorf("a 416 says %v", wrong.Header)
			}
			a = c.Expect(c.Do("GET", c.Location(a), nil), 204)
			if a.Header.Get("Range") != span(0, 999) {
				c.T.Errorf("Range is %q", a.Header.Get("Range"))
			}
			a = c.Expect(c.Do("PATCH", c.Location(a), b[1000:], "Content-Type", octets, "Content-Range", span(1000, 2999)), 202)
			c.pulls(c.Expect(c.Do("PUT", c.Location(a, "digest", d), nil), 201), b, d)
		}},
		{"that go back, or are sent once more, are 416", func(c *Client) {
			b := Random(3000)
			first := c.begin()
			for from := 0; from < len(b); from += 1000 {
				c.Expect(c.Do("PATCH", c.Location(first), b[from:from+1000], "Content-Type", octets, "Content-Range", span(from, from+999)), 202)
				c.Expect(c.Do("PATCH", c.Location(first), b[from:from+1000], "Content-Type", octets, "Content-Range", span(from, from+999)), 416)
				c.Expect(c.Do("PATCH", c.Location(first), b[:1000], "Content-Type", octets, "Content-Range", span(0, 999)), 416)
				if got := c.Expect(c.Do("GET", c.Location(first), nil), 204).Header.Get("Range"); got != span(0, from+999) {
					c.T.Errorf("Range is %q", got)
				}
			}
			c.pulls(c.Expect(c.Do("PUT", c.Location(first, "digest", Sha256(b)), nil), 201), b, Sha256(b))
		}},
		{"the status of an upload says where it is", func(c *Client) {
			a := c.begin()
			if got := c.Expect(c.Do("GET", c.Location(a), nil), 204); got.Header.Get("Range") != "0-0" || got.Header.Get("Location") == "" {
				c.T.Errorf("the status of an empty upload is %v", got.Header)
			}
			a = c.Expect(c.Do("PATCH", c.Location(a), Random(77)), 202)
			if got := c.Expect(c.Do("GET", c.Location(a), nil), 204); got.Header.Get("Range") != "0-76" {
				c.T.Errorf("the status is %v", got.Header)
			}
		}},
		{"a Content-Range that is none, or not of the body, is refused", func(c *Client) {
			a := c.begin()
			for _, header := range []string{"bytes 0-9/10", "0-", "-9", "9-0", "a-b", "0-99999999999999999999"} {
				c.ExpectCode(c.Do("PATCH", c.Location(a), Random(10), "Content-Range", header), 400, "BLOB_UPLOAD_INVALID")
			}
			c.ExpectCode(c.Do("PATCH", c.Location(a), Random(10), "Content-Range", "0-10"), 400, "SIZE_INVALID")
			for _, n := range []int{9, 11} {
				short, err := c.Try("PATCH", c.Location(a), struct{ *bytes.Reader }{bytes.NewReader(Random(n))}, "Content-Range", "0-9")
				if err != nil {
					c.T.Fatal(err)
				}
				c.ExpectCode(short, 400, "SIZE_INVALID")
			}
			if got := c.Expect(c.Do("GET", c.Location(a), nil), 204); got.Header.Get("Range") != "0-0" {
				c.T.Errorf("the status is %v", got.Header)
			}
		}},
		{"an upload that is not there is 404", func(c *Client) {
			c.begin()
			none := c.Repo("blobs/uploads/00000000-0000-4000-8000-000000000000")
			for _, method := range []string{"GET", "PATCH", "DELETE"} {
				c.ExpectCode(c.Do(method, none, nil), 404, "BLOB_UPLOAD_UNKNOWN")
			}
			c.ExpectCode(c.Do("PUT", none+"?digest="+Sha256(nil), nil), 404, "BLOB_UPLOAD_UNKNOWN")
		}},
		{"an upload is of its repository only", func(c *Client) {
			loc := strings.Replace(c.Location(c.begin()), "/v2/"+c.Target.Repository+"/", "/v2/"+c.Target.Other+"/", 1)
			c.ExpectCode(c.Do("GET", loc, nil), 404, "BLOB_UPLOAD_UNKNOWN")
		}},
		{"an upload can be cancelled", func(c *Client) {
			a := c.begin()
			c.Expect(c.Do("PATCH", c.Location(a), Random(77)), 202)
			c.Expect(c.Do("DELETE", c.Location(a), nil), 204)
			c.ExpectCode(c.Do("GET", c.Location(a), nil), 404, "BLOB_UPLOAD_UNKNOWN")
			c.ExpectCode(c.Do("PATCH", c.Location(a), Random(7)), 404, "BLOB_UPLOAD_UNKNOWN")
		}},
		{"an upload that has ended is gone", func(c *Client) {
			b := Random(50)
			a := c.begin()
			c.Expect(c.Do("PUT", c.Location(a, "digest", Sha256(b)), b), 201)
			c.ExpectCode(c.Do("PUT", c.Location(a, "digest", Sha256(b)), b), 404, "BLOB_UPLOAD_UNKNOWN")
		}},
	}
}

func mount() []requirement {
	return []requirement{
		{"from a repository that has the blob is 201", func(c *Client) {
			for _, algorithm := range []string{"sha256", "sha512"} {
				b := Random(512)
				d := c.PushBlobTo(c.Target.Other, algorithm, b)
				a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/?mount="+d+"&from="+c.Target.Other), nil), 201)
				c.pulls(a, b, d)
				c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil), 200)
			}
		}},
		{"from anywhere is 201 when some repository has it", func(c *Client) {
			b := Random(512)
			d := c.PushBlobTo(c.Target.Other, "sha256", b)
			c.pulls(c.Expect(c.Do("POST", c.Repo("blobs/uploads/?mount="+d), nil), 201), b, d)
		}},
		{"of what is not there begins an upload", func(c *Client) {
			b := Random(512)
			for _, query := range []string{"&from=" + c.Target.Other, "", "&from=" + c.Target.Other + "/none"} {
				a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/?mount="+Sha256(b)+query), nil), 202)
				c.Expect(c.Do("GET", c.Location(a), nil), 204)
				c.Expect(c.Do("DELETE", c.Location(a), nil), 204)
			}
			a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/?mount="+Sha256(b)+"&from="+c.Target.Other), nil), 202)
			c.pulls(c.Expect(c.Do("PUT", c.Location(a, "digest", Sha256(b)), b), 201), b, Sha256(b))
		}},
		{"of a digest that is none is refused", func(c *Client) {
			c.ExpectCode(c.Do("POST", c.Repo("blobs/uploads/?mount=abc&from="+c.Target.Other), nil), 400, "DIGEST_INVALID")
		}},
	}
}
