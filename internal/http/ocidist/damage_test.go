package ocidist_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// TestDamage flips a bit of what is stored: whatever is asked for, nobody gets
// the whole of it as if it were right.
func TestDamage(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	c := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	path := func(digest string) string {
		d := towpath.Digest(digest)
		return filepath.Join(r.data, "blobs", d.Algorithm(), d.Encoded()[:2], d.Encoded())
	}
	damage := func(digest string, at int) {
		t.Helper()
		b, err := os.ReadFile(path(digest))
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		if err := errors.Join(os.Chmod(path(digest), 0o600), os.WriteFile(path(digest), b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	small, large := ocitest.Random(5000), ocitest.Random(3<<20)
	for _, tt := range []struct {
		name    string
		content []byte
		at      int
		ranged  string
		status  int // 0: the connection is cut
	}{
		{"a small blob", small, 0, "", 500},
		{"a part of a small blob that is sound itself", small, 4999, "bytes=0-9", 500},
		{"a large blob at its beginning", large, 0, "", 0},
		{"a large blob at its end", large, len(large) - 1, "", 0},
		{"a part of a large blob that is sound itself", large, len(large) - 1, "bytes=100-200", 500},
		{"a large part before the damage", large, len(large) - 1, "bytes=0-2000000", 0},
		{"a part after the damage", large, 0, "bytes=-1", 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := c.PushBlob(tt.content)
			damage(d, tt.at)
			var headers []string
			if tt.ranged != "" {
				headers = []string{"Range", tt.ranged}
			}
			a, err := c.Try("GET", c.Repo("blobs/"+d), bytes.NewReader(nil), headers...)
			if tt.status == 0 && err == nil && a.Status < 400 { // Go's client may ask again
				t.Errorf("%d with %d bytes, as if nothing was wrong", a.Status, len(a.Body))
			}
			if tt.status != 0 && (err != nil || a.Status != tt.status) {
				t.Errorf("got %d, %v", a.Status, err)
			}
			c.ExpectCode(c.Do("GET", c.Repo("blobs/"+d), nil), 404, "BLOB_UNKNOWN") // it was put aside
		})
	}
	t.Run("a manifest", func(t *testing.T) {
		body := c.Manifest()
		d := c.Push("latest", body)
		damage(d, 3)
		c.Expect(c.Do("GET", c.Repo("manifests/latest"), nil), 500)
		c.Push("latest", body) // heals it
		c.Expect(c.Do("GET", c.Repo("manifests/latest"), nil), 200)
	})
}
