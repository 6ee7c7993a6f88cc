package ocitest

import (
	"bytes"
	"fmt"
	"strings"
)

// indexOf is an index of manifests, with more fields.
func (c *Client) indexOf(algorithm string, children [][]byte, more ...Object) []byte {
	list := []Object{}
	for _, m := range children {
		list = append(list, Describe(TypeManifest, algorithm, m))
	}
	return Encode(c.T, Object{"schemaVersion": 2, "mediaType": TypeIndex, "manifests": list}, more...)
}

func pushManifests() []requirement {
	return []requirement{
		{"are 201, and can be pulled where the Location says", func(c *Client) {
			body := c.Manifest()
			for _, ref := range []string{"pushed", Sha256(body)} {
				a := c.Expect(c.Do("PUT", c.Repo("manifests/"+ref), body, "Content-Type", TypeManifest), 201)
				if a.Header.Get("Docker-Content-Digest") != Sha256(body) {
					c.T.Errorf("the digest is %q", a.Header.Get("Docker-Content-Digest"))
				}
				c.same(c.Expect(c.Do("GET", c.Location(a), nil), 200), body, Sha256(body), TypeManifest)
			}
		}},
		{"may come without a length", func(c *Client) {
			body := c.Manifest()
			a, err := c.Try("PUT", c.Repo("manifests/streamed"), struct{ *bytes.Reader }{bytes.NewReader(body)}, "Content-Type", TypeManifest)
			if err != nil {
				c.T.Fatal(err)
			}
			c.Expect(a, 201)
			c.same(c.Expect(c.Do("GET", c.Location(a), nil), 200), body, Sha256(body), TypeManifest)
		}},
		{"of every known kind are taken", func(c *Client) {
			child := c.Manifest()
			c.Push(Sha256(child), child)
			empty := Describe(TypeEmpty, "sha256", []byte("{}"))
			c.PushBlob([]byte("{}"))
			layer := Random(60)
			c.PushBlob(layer)
			inline := Describe(typeLayer, "sha256", layer)
			inline["data"] = layer
			absent := Describe("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "sha256", Random(8))
			absent["urls"] = []string{"https://store.example.com/it"}
			for name, m := range map[string]struct {
				body        []byte
				contentType string
			}{
				"an image with parameters in its type": {c.Manifest(), TypeManifest + "; charset=utf-8"},
				"an image without a type of its own":   {Encode(c.T, Object{"schemaVersion": 2, "config": empty, "layers": []Object{empty}}), TypeManifest},
				"an image without layers":              {c.Manifest(Object{"layers": []Object{}}), TypeManifest},
				"an artifact":                          {c.Manifest(Object{"artifactType": "application/example", "config": empty}), TypeManifest},
				"fields that nobody knows":             {c.Manifest(Object{"org.example": Object{"a": 1}}), TypeManifest},
				"a layer that is in the manifest too":  {c.Manifest(Object{"layers": []Object{inline}}), TypeManifest},
				"a layer that is not distributed":      {c.Manifest(Object{"layers": []Object{absent}}), TypeManifest},
				"an index":                             {c.indexOf("sha256", [][]byte{child}), TypeIndex},
				"an empty index":                       {c.indexOf("sha256", nil), TypeIndex},
				"an index of artifacts":                {c.indexOf("sha256", [][]byte{child}, Object{"artifactType": "application/example"}), TypeIndex},
				"a docker image":                       {c.Manifest(Object{"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}), "application/vnd.docker.distribution.manifest.v2+json"},
				"a docker list":                        {c.indexOf("sha256", [][]byte{child}, Object{"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json"}), "application/vnd.docker.distribution.manifest.list.v2+json"},
			} {
				tag := strings.NewReplacer(" ", "-").Replace(name)
				c.Push(tag, m.body, "Content-Type", m.contentType)
				want, _, _ := strings.Cut(m.contentType, ";")
				c.same(c.Expect(c.Do("GET", c.Repo("manifests/"+tag), nil), 200), m.body, Sha256(m.body), want)
			}
		}},
		{"an index of indexes, by sha512", func(c *Client) {
			layer, config := Random(40), Random(40)
			for _, b := range [][]byte{layer, config} {
				c.PushBlobTo(c.Target.Repository, "sha512", b)
			}
			m := Encode(c.T, Object{
				"schemaVersion": 2, "mediaType": TypeManifest, "config": Describe("application/x", "sha512", config),
				"layers": []Object{Describe(typeLayer, "sha512", layer)},
			})
			inner := c.indexOf("sha512", [][]byte{m})
			outer := Encode(c.T, Object{"schemaVersion": 2, "mediaType": TypeIndex, "manifests": []Object{Describe(TypeIndex, "sha512", inner)}})
			for _, b := range [][]byte{m, inner, outer} {
				contentType := TypeIndex
				if string(b) == string(m) {
					contentType = TypeManifest
				}
				a := c.Expect(c.Do("PUT", c.Repo("manifests/"+Digest("sha512", b)), b, "Content-Type", contentType), 201)
				c.same(c.Expect(c.Do("GET", c.Location(a), nil), 200), b, Digest("sha512", b), contentType)
			}
		}},
		{"with tags beside the digest", func(c *Client) {
			body := c.Manifest()
			for _, algorithm := range []string{"sha256", "sha512"} {
				d := Digest(algorithm, body)
				a := c.Expect(c.Do("PUT", c.Repo("manifests/"+d+"?tag=beside-a&tag=beside-b"), body, "Content-Type", TypeManifest), 201)
				if got := strings.Join(a.Header.Values("OCI-Tag"), ","); !strings.Contains(got, "beside-a") || !strings.Contains(got, "beside-b") {
					c.T.Errorf("OCI-Tag is %q", got)
				}
				c.headers(c.Expect(c.Do("HEAD", c.Repo("manifests/beside-b"), nil), 200), len(body), d, TypeManifest)
			}
		}},
		{"a tag moves", func(c *Client) {
			c.Push("moving", c.Manifest())
			second := c.Push("moving", c.Manifest())
			if got := c.Do("HEAD", c.Repo("manifests/moving"), nil).Header.Get("Docker-Content-Digest"); got != second {
				c.T.Errorf("it is %q, want %s", got, second)
			}
		}},
		{"content that does not have the digest is refused", func(c *Client) {
			body := c.Manifest()
			for _, ref := range []string{Sha256(append([]byte(" "), body...)), Digest("sha512", nil), "sha256:baddigeststring"} {
				c.ExpectCode(c.Do("PUT", c.Repo("manifests/"+ref), body, "Content-Type", TypeManifest), 400, "DIGEST_INVALID")
			}
		}},
		{"what names a blob or manifest that is not there is refused", func(c *Client) {
			none := Random(44)
			for name, body := range map[string][]byte{
				"config": c.Manifest(Object{"config": Describe("application/x", "sha256", none)}),
				"layer":  c.Manifest(Object{"layers": []Object{Describe(typeLayer, "sha256", none)}}),
			} {
				c.ExpectCode(c.Do("PUT", c.Repo("manifests/refused-"+name), body, "Content-Type", TypeManifest), 404, "MANIFEST_BLOB_UNKNOWN")
			}
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/refused"), c.indexOf("sha256", [][]byte{none}), "Content-Type", TypeIndex), 404, "MANIFEST_BLOB_UNKNOWN")
			c.ExpectCode(c.Do("GET", c.Repo("manifests/refused"), nil), 404, "MANIFEST_UNKNOWN")
		}},
		{"what is no manifest is refused", func(c *Client) {
			good := Describe(TypeEmpty, "sha256", []byte("{}"))
			c.PushBlob([]byte("{}"))
			with := func(key string, v any) Object {
				o := Object{}
				for k, v := range good {
					o[k] = v
				}
				o[key] = v
				return o
			}
			for name, body := range map[string][]byte{
				"not JSON":                   []byte("hello"),
				"an array":                   []byte("[]"),
				"nothing":                    nil,
				"another schema":             c.Manifest(Object{"schemaVersion": 1}),
				"no config":                  Encode(c.T, Object{"schemaVersion": 2, "mediaType": TypeManifest, "layers": []Object{}}),
				"another type than sent":     c.Manifest(Object{"mediaType": TypeIndex}),
				"both kinds":                 c.Manifest(Object{"manifests": []Object{}}),
				"a bad digest":               c.Manifest(Object{"config": with("digest", "sha256:abc")}),
				"a negative size":            c.Manifest(Object{"config": with("size", -1)}),
				"another size":               c.Manifest(Object{"config": with("size", 3)}),
				"data that is another":       c.Manifest(Object{"config": with("data", []byte("[]"))}),
				"a subject without a digest": c.Manifest(Object{"subject": Object{"mediaType": TypeManifest, "size": 1}}),
			} {
				a := c.Do("PUT", c.Repo("manifests/bad"), body, "Content-Type", TypeManifest)
				if a.Status != 400 || !strings.Contains(string(a.Body), "MANIFEST_INVALID") {
					c.T.Errorf("%s: %d %s", name, a.Status, a.Body)
				}
			}
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/bad"), []byte("{}"), "Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws"), 400, "MANIFEST_INVALID")
		}},
		{"four megabytes are taken, and more than the limit is 413", func(c *Client) {
			notes := Object{}
			for i := range 399 {
				notes[fmt.Sprintf("note-%d", i)] = strings.Repeat("A", 10_000)
			}
			large := c.Manifest(Object{"annotations": notes})
			c.Push("large", large)
			c.same(c.Expect(c.Do("GET", c.Repo("manifests/large"), nil), 200), large, Sha256(large), TypeManifest)
			c.ExpectCode(c.Do("PUT", c.Repo("manifests/too-large"), append(large, make([]byte, 16<<20)...), "Content-Type", TypeManifest), 413, "SIZE_INVALID")
		}},
	}
}
