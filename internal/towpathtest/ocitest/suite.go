package ocitest

import (
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
