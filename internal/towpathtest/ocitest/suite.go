package ocitest

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// requirement is a sentence of the specification, and how it is tried out.
type requirement struct {
	name string
	try  func(c *Client)
}

// Run runs the suite.
func Run(t *testing.T, target Target) {
	for _, section := range []struct {
		name         string
		requirements []requirement
	}{
		{"support", support()},
		{"pull", pull()},
		{"ranges", ranges()},
		{"blobs by sha256", pushBlobs(towpath.SHA256)},
		{"blobs by sha512", pushBlobs(towpath.SHA512)},
		{"chunks", chunks()},
		{"mount", mount()},
		{"manifests", pushManifests()},
		{"tags", listTags()},
		{"referrers", listReferrers()},
		{"management", management()},
	} {
		t.Run(section.name, func(t *testing.T) {
			for _, r := range section.requirements {
				t.Run(r.name, func(t *testing.T) { r.try(NewClient(t, target)) })
			}
		})
	}
}

func support() []requirement {
	return []requirement{
		{"GET /v2/ is 200", func(c *Client) {
			a := c.Expect(c.Do("GET", "/v2/", nil), 200)
			if a.Header.Get("Docker-Distribution-API-Version") != "registry/2.0" {
				c.T.Errorf("clients that are older look for the version")
			}
		}},
		{"an error has a code", func(c *Client) {
			c.ExpectCode(c.Do("GET", c.Repo("manifests/none"), nil), 404, c.unknownName("MANIFEST_UNKNOWN"))
		}},
		{"a name that is none is refused", func(c *Client) {
			for _, name := range []string{"UPPER", "a..b", "-a", "a_-b"} {
				c.ExpectCode(c.Do("GET", "/v2/"+name+"/tags/list", nil), 400, "NAME_INVALID")
				c.ExpectCode(c.Do("POST", "/v2/"+name+"/blobs/uploads/", nil), 400, "NAME_INVALID")
			}
		}},
		{"nonsense is the client's error", func(c *Client) {
			c.PushBlob(Random(9))
			for _, part := range []string{"%00", "%ff", "%F0%9F%98%80", "..%2f..%2fx", strings.Repeat("a", 3000), "%22%3E"} {
				for _, try := range [][2]string{
					{"GET", c.Repo("manifests/" + part)}, {"PUT", c.Repo("manifests/" + part)}, {"DELETE", c.Repo("manifests/" + part)},
					{"GET", c.Repo("blobs/" + part)}, {"DELETE", c.Repo("blobs/" + part)}, {"GET", c.Repo("referrers/" + part)},
					{"GET", c.Repo("blobs/uploads/" + part)}, {"PATCH", c.Repo("blobs/uploads/" + part)}, {"DELETE", c.Repo("blobs/uploads/" + part)},
					{"POST", c.Repo("blobs/uploads/?mount=" + part)}, {"POST", c.Repo("blobs/uploads/?digest=" + part)},
					{"GET", "/v2/" + part + "/tags/list"}, {"GET", c.Repo("tags/list?n=" + part)}, {"GET", c.Repo("tags/list?n=2&last=" + part)},
					{"GET", c.Repo("referrers/" + Sha256(nil) + "?last=" + part)}, {"GET", c.Repo("referrers/" + Sha256(nil) + "?artifactType=" + part)},
					{"GET", "/v2/_catalog?last=" + part}, {"POST", c.Repo("blobs/uploads/?mount=" + Sha256(Random(8)) + "&from=" + part)},
				} {
					if a := c.Do(try[0], try[1], nil); a.Status >= 500 {
						c.T.Errorf("%s %.200s is %d: %s", try[0], try[1], a.Status, a.Body)
					}
				}
			}
		}},
		{"pulling from a repository that does not exist is 404", func(c *Client) {
			none := "/v2/" + c.Target.Repository + "/does/not/exist/"
			c.ExpectCode(c.Do("GET", none+"manifests/latest", nil), 404, "NAME_UNKNOWN")
			c.ExpectCode(c.Do("GET", none+"tags/list", nil), 404, "NAME_UNKNOWN")
			c.ExpectCode(c.Do("GET", none+"blobs/"+Sha256(nil), nil), 404, "NAME_UNKNOWN")
		}},
	}
}

// unknownName is a code, or the one of a repository that nothing was pushed to.
func (c *Client) unknownName(code string) string {
	if c.Do("GET", c.Repo("tags/list"), nil).Status == 404 {
		return "NAME_UNKNOWN"
	}
	return code
}
