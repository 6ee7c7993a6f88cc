package ocitest

import "strings"

func management() []requirement {
	return []requirement{
		{"deleting a tag leaves the manifest", func(c *Client) {
			d := c.Push("short-lived", c.Manifest())
			c.Expect(c.Do("DELETE", c.Repo("manifests/short-lived"), nil), 202)
			c.ExpectCode(c.Do("GET", c.Repo("manifests/short-lived"), nil), 404, "MANIFEST_UNKNOWN")
			c.Expect(c.Do("HEAD", c.Repo("manifests/"+d), nil), 200)
			c.ExpectCode(c.Do("DELETE", c.Repo("manifests/short-lived"), nil), 404, "MANIFEST_UNKNOWN")
		}},
		{"deleting a manifest deletes its tags", func(c *Client) {
			body := c.Manifest()
			d := c.Push("gone-a", body)
			c.Push("gone-b", body)
			c.Expect(c.Do("DELETE", c.Repo("manifests/"+d), nil), 202)
			for _, ref := range []string{d, "gone-a", "gone-b"} {
				c.ExpectCode(c.Do("GET", c.Repo("manifests/"+ref), nil), 404, "MANIFEST_UNKNOWN")
				c.Expect(c.Do("HEAD", c.Repo("manifests/"+ref), nil), 404)
			}
			c.ExpectCode(c.Do("DELETE", c.Repo("manifests/"+d), nil), 404, "MANIFEST_UNKNOWN")
			c.Push("gone-a", body) // and it can be pushed again
			c.Expect(c.Do("GET", c.Repo("manifests/"+d), nil), 200)
		}},
		{"a repository whose content is deleted has an empty list of tags", func(c *Client) {
			c.Target.Repository += "/emptied"
			blob, d := c.PushBlob(Random(20)), c.Push("last", c.Manifest())
			for _, path := range []string{"manifests/last", "manifests/" + d, "blobs/" + blob} {
				c.Expect(c.Do("DELETE", c.Repo(path), nil), 202)
			}
			if a := c.Expect(c.Do("GET", c.Repo("tags/list"), nil), 200); !strings.Contains(string(a.Body), `"tags":[]`) {
				c.T.Errorf("the list is %s", a.Body)
			}
		}},
		{"deleting a blob", func(c *Client) {
			for _, algorithm := range []string{"sha256", "sha512"} {
				b := Random(50)
				d := c.PushBlobTo(c.Target.Repository, algorithm, b)
				c.Expect(c.Do("DELETE", c.Repo("blobs/"+d), nil), 202)
				c.ExpectCode(c.Do("GET", c.Repo("blobs/"+d), nil), 404, "BLOB_UNKNOWN")
				c.Expect(c.Do("HEAD", c.Repo("blobs/"+d), nil), 404)
				c.ExpectCode(c.Do("DELETE", c.Repo("blobs/"+d), nil), 404, "BLOB_UNKNOWN")
				c.PushBlobTo(c.Target.Repository, algorithm, b)
				c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil), 200)
			}
		}},
		{"deleting a blob leaves that of another repository", func(c *Client) {
			b := Random(50)
			d := c.PushBlob(b)
			c.PushBlobTo(c.Target.Other, "sha256", b)
			c.Expect(c.Do("DELETE", c.Repo("blobs/"+d), nil), 202)
			c.Expect(c.Do("GET", "/v2/"+c.Target.Other+"/blobs/"+d, nil), 200)
		}},
		{"what a manifest needs is not deleted", func(c *Client) {
			layer := Random(50)
			blob := c.PushBlob(layer)
			m := c.Manifest(Object{"layers": []Object{Describe(typeLayer, "sha256", layer)}})
			child := c.Push("child", m)
			parent := c.Push("parent", c.indexOf("sha256", [][]byte{m}), "Content-Type", TypeIndex)
			c.ExpectCode(c.Do("DELETE", c.Repo("blobs/"+blob), nil), 405, "UNSUPPORTED")
			c.ExpectCode(c.Do("DELETE", c.Repo("manifests/"+child), nil), 405, "UNSUPPORTED")
			for _, path := range []string{"manifests/" + parent, "manifests/" + child, "blobs/" + blob} {
				c.Expect(c.Do("GET", c.Repo(path), nil), 200)
			}
			for _, path := range []string{"manifests/" + parent, "manifests/" + child, "blobs/" + blob} {
				c.Expect(c.Do("DELETE", c.Repo(path), nil), 202)
			}
		}},
		{"a method that is not served is 405", func(c *Client) {
			for path, method := range map[string]string{"tags/list": "DELETE", "referrers/" + Sha256(nil): "PUT", "blobs/uploads/": "GET", "blobs/" + Sha256(nil): "PUT"} {
				if a := c.ExpectCode(c.Do(method, c.Repo(path), nil), 405, "UNSUPPORTED"); a.Header.Get("Allow") == "" {
					c.T.Errorf("%s %s does not say what is allowed", method, path)
				}
			}
		}},
		{"a path that is not served is 404", func(c *Client) {
			for _, path := range []string{"/v2/nothing", c.Repo("layers/x"), c.Repo("manifests/")} {
				c.Expect(c.Do("GET", path, nil), 404)
			}
		}},
	}
}
