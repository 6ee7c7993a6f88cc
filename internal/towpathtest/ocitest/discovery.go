package ocitest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

var nextLink = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// next is where a list goes on; empty: it ends.
func (c *Client) next(a Answer) string {
	c.T.Helper()
	link := a.Header.Get("Link")
	if link == "" {
		return ""
	}
	m := nextLink.FindStringSubmatch(link)
	if m == nil {
		c.T.Fatalf("the Link is %q", link)
	}
	return m[1]
}

func listTags() []requirement {
	tagged := func(c *Client, name string, tags ...string) *Client {
		sub := *c
		sub.Target.Repository += "/" + name
		body := sub.Manifest()
		for _, tag := range tags {
			sub.Push(tag, body)
		}
		return &sub
	}
	list := func(c *Client, query string) ([]string, Answer) {
		a := c.Expect(c.Do("GET", c.Repo("tags/list"+query), nil), 200)
		l := JSON[tagList](c.T, a)
		if l.Name != c.Target.Repository || l.Tags == nil {
			c.T.Errorf("the list is %s", a.Body)
		}
		return l.Tags, a
	}
	want := func(c *Client, got []string, want ...string) {
		c.T.Helper()
		if !slices.Equal(got, want) {
			c.T.Errorf("got %v, want %v", got, want)
		}
	}
	return []requirement{
		{"in order, without regard to case", func(c *Client) {
			c = tagged(c, "order", "b", "C", "a", "B", "1.10.0", "1.9.0", "_x")
			all, _ := list(c, "")
			want(c, all, "1.10.0", "1.9.0", "_x", "a", "B", "b", "C")
		}},
		{"by n and last, with a Link while there are more", func(c *Client) {
			c = tagged(c, "pages", "t0", "t1", "t2", "t3", "t4")
			got, _ := list(c, "?n=2")
			want(c, got, "t0", "t1")
			var a Answer
			var all []string
			for next := c.Repo("tags/list?n=2"); next != ""; next = c.next(a) {
				a = c.Expect(c.Do("GET", next, nil), 200)
				all = append(all, JSON[tagList](c.T, a).Tags...)
			}
			want(c, all, "t0", "t1", "t2", "t3", "t4")
			got, a = list(c, "?n=2&last=t2")
			want(c, got, "t3", "t4")
			if c.next(a) != "" {
				c.T.Error("there is a Link, and nothing behind it")
			}
			got, _ = list(c, "?last=t3")
			want(c, got, "t4")
			got, _ = list(c, "?last=t2a")
			want(c, got, "t3", "t4")
			got, _ = list(c, "?n=9")
			want(c, got, "t0", "t1", "t2", "t3", "t4")
		}},
		{"n of zero is an empty list without a Link", func(c *Client) {
			c = tagged(c, "zero", "t0")
			got, a := list(c, "?n=0")
			if len(got) != 0 || a.Header.Get("Link") != "" {
				c.T.Errorf("%v with %q", got, a.Header.Get("Link"))
			}
		}},
		{"a repository without tags has an empty list", func(c *Client) {
			c = tagged(c, "untagged")
			body := c.Manifest()
			c.Push(Sha256(body), body)
			got, _ := list(c, "")
			want(c, got)
		}},
		{"a number that is none is refused", func(c *Client) {
			c = tagged(c, "refused", "t0")
			for _, query := range []string{"?n=-1", "?n=x", "?n=1e9"} {
				c.Expect(c.Do("GET", c.Repo("tags/list"+query), nil), 400)
			}
		}},
		{"the catalog has the repositories, in pages", func(c *Client) {
			a, b := tagged(c, "catalog-a", "t"), tagged(c, "catalog-b", "t")
			var all []string
			for next := "/v2/_catalog?n=1"; next != ""; {
				page := c.Expect(c.Do("GET", next, nil), 200)
				l := JSON[struct{ Repositories []string }](c.T, page)
				if len(l.Repositories) > 1 {
					c.T.Fatalf("a page has %v", l.Repositories)
				}
				all = append(all, l.Repositories...)
				next = c.next(page)
			}
			if !slices.IsSorted(all) || !slices.Contains(all, a.Target.Repository) || !slices.Contains(all, b.Target.Repository) {
				c.T.Errorf("the catalog is %v", all)
			}
		}},
	}
}

type indexDoc struct {
	SchemaVersion int                          `json:"schemaVersion"`
	MediaType     string                       `json:"mediaType"`
	Manifests     []map[string]json.RawMessage `json:"manifests"`
}

// referrersOf lists what is about a subject, following Links.
func (c *Client) referrersOf(subject, query string) (map[string]string, Answer) {
	c.T.Helper()
	all := map[string]string{}
	var a Answer
	for next := c.Repo("referrers/" + subject + query); next != ""; next = c.next(a) {
		a = c.Expect(c.Do("GET", next, nil), 200)
		if a.Header.Get("Content-Type") != TypeIndex {
			c.T.Errorf("the type is %q", a.Header.Get("Content-Type"))
		}
		l := JSON[indexDoc](c.T, a)
		if l.SchemaVersion != 2 || l.MediaType != TypeIndex || l.Manifests == nil {
			c.T.Errorf("the index is %s", a.Body)
		}
		for _, m := range l.Manifests {
			var d string
			if err := json.Unmarshal(m["digest"], &d); err != nil {
				c.T.Fatal(err)
			}
			if all[d] != "" {
				c.T.Errorf("%s is there twice", d)
			}
			delete(m, "digest")
			text, _ := json.Marshal(m)
			all[d] = string(text)
		}
	}
	return all, a
}

func listReferrers() []requirement {
	return []requirement{
		{"have type, size, artifact type and annotations", func(c *Client) {
			subject := c.Manifest()
			d := c.Push("subject", subject)
			notes := Object{"annotations": Object{"org.example": "a note"}}
			typed := c.Attach("application/vnd.example.sbom", d, len(subject), notes)
			byConfig := c.Manifest(Object{"subject": Describe(TypeManifest, "sha256", subject)})
			index := c.indexOf("sha256", nil, notes, Object{"artifactType": "application/vnd.example.index", "subject": Describe(TypeManifest, "sha256", subject)})
			plain := c.indexOf("sha256", nil, Object{"subject": Describe(TypeManifest, "sha256", subject), "org.example": "plain"})
			for _, m := range [][]byte{typed, byConfig, index, plain} {
				contentType := TypeManifest
				if strings.Contains(string(m), `"mediaType":"`+TypeIndex) {
					contentType = TypeIndex
				}
				a := c.Expect(c.Do("PUT", c.Repo("manifests/"+Sha256(m)), m, "Content-Type", contentType), 201)
				if a.Header.Get("OCI-Subject") != d {
					c.T.Errorf("OCI-Subject is %q", a.Header.Get("OCI-Subject"))
				}
			}
			got, a := c.referrersOf(d, "")
			if a.Header.Get("OCI-Filters-Applied") != "" {
				c.T.Error("a filter was applied that nobody asked for")
			}
			for m, want := range map[string]string{
				string(typed):    `{"annotations":{"org.example":"a note"},"artifactType":"application/vnd.example.sbom","mediaType":"` + TypeManifest + `","size":%d}`,
				string(byConfig): `{"artifactType":"application/vnd.oci.image.config.v1+json","mediaType":"` + TypeManifest + `","size":%d}`,
				string(index):    `{"annotations":{"org.example":"a note"},"artifactType":"application/vnd.example.index","mediaType":"` + TypeIndex + `","size":%d}`,
				string(plain):    `{"mediaType":"` + TypeIndex + `","size":%d}`,
			} {
				if want := fmt.Sprintf(want, len(m)); got[Sha256([]byte(m))] != want {
					c.T.Errorf("got %s, want %s", got[Sha256([]byte(m))], want)
				}
			}
			if len(got) != 4 {
				c.T.Errorf("there are %d", len(got))
			}
		}},
		{"are filtered by artifact type", func(c *Client) {
			subject := c.Manifest()
			d := c.Push("filtered", subject)
			one := c.Attach("application/vnd.example.one", d, len(subject))
			two := c.Attach("application/vnd.example.two+json", d, len(subject))
			c.Push(Sha256(one), one)
			c.Push(Sha256(two), two)
			got, a := c.referrersOf(d, "?artifactType=application%2Fvnd.example.two%2Bjson")
			if len(got) != 1 || got[Sha256(two)] == "" || a.Header.Get("OCI-Filters-Applied") != "artifactType" {
				c.T.Errorf("got %v with %v", got, a.Header)
			}
			got, a = c.referrersOf(d, "?artifactType=none")
			if len(got) != 0 || a.Header.Get("OCI-Filters-Applied") != "artifactType" {
				c.T.Errorf("got %v with %v", got, a.Header)
			}
		}},
		{"may come before their subject", func(c *Client) {
			subject := c.Manifest()
			d := Sha256(subject)
			about := c.Attach("application/vnd.example", d, len(subject))
			a := c.Expect(c.Do("PUT", c.Repo("manifests/about"), about, "Content-Type", TypeManifest), 201)
			if a.Header.Get("OCI-Subject") != d {
				c.T.Errorf("OCI-Subject is %q", a.Header.Get("OCI-Subject"))
			}
			if got, _ := c.referrersOf(d, ""); len(got) != 1 {
				c.T.Errorf("got %v", got)
			}
			c.Push("late", subject)
			if got, _ := c.referrersOf(d, ""); len(got) != 1 {
				c.T.Errorf("got %v", got)
			}
		}},
		{"of a subject by sha512", func(c *Client) {
			d := Digest("sha512", Random(8))
			m := c.Attach("application/vnd.example", d, 8)
			c.Push(Sha256(m), m)
			if got, _ := c.referrersOf(d, ""); len(got) != 1 {
				c.T.Errorf("got %v", got)
			}
		}},
		{"of nothing are an empty index, never 404", func(c *Client) {
			c.PushBlob(Random(8))
			for _, repo := range []string{c.Target.Repository, c.Target.Repository + "/not/there"} {
				sub := *c
				sub.Target.Repository = repo
				if got, _ := sub.referrersOf(Sha256(Random(8)), ""); len(got) != 0 {
					c.T.Errorf("got %v", got)
				}
			}
		}},
		{"of a digest that is none are 400", func(c *Client) {
			c.ExpectCode(c.Do("GET", c.Repo("referrers/sha256:abc"), nil), 400, "DIGEST_INVALID")
			c.ExpectCode(c.Do("GET", c.Repo("referrers/latest"), nil), 400, "DIGEST_INVALID")
		}},
		{"that are too many for one answer come in pages", func(c *Client) {
			d := Sha256(Random(8))
			want := map[string]bool{}
			for i := range 4 {
				m := c.Attach("application/vnd.example", d, 8, Object{"annotations": Object{"n": fmt.Sprint(i), "long": strings.Repeat("A", 1_500_000)}})
				want[c.Push(Sha256(m), m)] = true
			}
			for _, query := range []string{"", "?artifactType=application/vnd.example"} {
				first := c.Expect(c.Do("GET", c.Repo("referrers/"+d+query), nil), 200)
				if c.next(first) == "" || len(first.Body) > 4<<20 {
					c.T.Errorf("%d bytes came at once", len(first.Body))
				}
				got, a := c.referrersOf(d, query)
				if len(got) != len(want) {
					c.T.Errorf("got %d, want %d", len(got), len(want))
				}
				if query != "" && a.Header.Get("OCI-Filters-Applied") == "" {
					c.T.Error("the last page says nothing of the filter")
				}
			}
		}},
		{"are gone when they are deleted", func(c *Client) {
			d := Sha256(Random(8))
			m := c.Attach("application/vnd.example", d, 8)
			c.Push(Sha256(m), m)
			c.Expect(c.Do("DELETE", c.Repo("manifests/"+Sha256(m)), nil), 202)
			if got, _ := c.referrersOf(d, ""); len(got) != 0 {
				c.T.Errorf("got %v", got)
			}
		}},
	}
}
