package ocidist_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
		c.ExpectCode(c.Do("GET", c.Repo("manifests/latest"), nil), 500, "DAMAGED")
		a := c.ExpectCode(c.Do("GET", c.Repo("manifests/latest"), nil), 404, "MANIFEST_UNKNOWN") // it was put aside
		if !strings.Contains(string(a.Body), "is lost") || !strings.Contains(string(a.Body), "towpath registry scrub") {
			t.Errorf("it says %s", a.Body)
		}
		c.Push("latest", body) // heals it
		c.Expect(c.Do("GET", c.Repo("manifests/latest"), nil), 200)
	})
}

// TestDamage_anywhere flips a bit, at random, in every file that the server
// keeps: manifests, configurations, layers of all sizes. However such a file is
// asked for, nobody gets it as if it were right.
func TestDamage_anywhere(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	c := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	reads := everything(c)
	n := 0
	for _, path := range stored(t, filepath.Join(r.data, "blobs")) {
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ways := reads[filepath.Base(path)]
		if len(ways) == 0 {
			t.Errorf("nothing reads %s", path)
		}
		for _, way := range ways {
			for _, bit := range someBits(len(sound)) {
				n++
				overwrite(t, path, flipped(sound, bit))
				a, err := c.Try("GET", c.Repo(way.path), bytes.NewReader(nil), way.headers...)
				if err == nil && a.Status < 400 { // Go's client may ask again
					t.Errorf("%s %v with bit %d of %d flipped: %d and %d bytes, as if nothing was wrong",
						way.path, way.headers, bit, 8*len(sound), a.Status, len(a.Body))
				}
				overwrite(t, path, sound)
				if err := os.Remove(path + ".corrupt"); err != nil {
					t.Errorf("%s with bit %d flipped was not put aside: %v", way.path, bit, err)
				}
				c.Expect(c.Do("GET", c.Repo(way.path), nil, way.headers...), 200, 206) // nothing else kept it back
			}
		}
	}
	t.Logf("%d bits flipped in what is stored", n)
}

// way is a request that reads a file.
type way struct {
	path    string
	headers []string
}

// everything pushes one of each kind of what can be stored, and returns how each
// is read, by the name of its file.
func everything(c *ocitest.Client) map[string][]way {
	reads := map[string][]way{}
	blob := func(algorithm string, content []byte) string {
		d := c.PushBlobTo(c.Target.Repository, algorithm, content)
		name := towpath.Digest(d).Encoded()
		reads[name] = []way{{"blobs/" + d, nil}}
		if n := len(content); n > 1 {
			first, last := rand.IntN(n-1), n-1
			reads[name] = append(reads[name],
				way{"blobs/" + d, []string{"Range", "bytes=0-0"}},
				way{"blobs/" + d, []string{"Range", fmt.Sprintf("bytes=%d-%d", first, first+rand.IntN(n-first))}},
				way{"blobs/" + d, []string{"Range", fmt.Sprintf("bytes=%d-", last)}})
		}
		return d
	}
	manifest := func(tag string, body []byte, mediaType string) string {
		d := c.Push(tag, body, "Content-Type", mediaType)
		reads[towpath.Digest(d).Encoded()] = []way{{"manifests/" + tag, nil}, {"manifests/" + d, nil}, {"blobs/" + d, nil}}
		return d
	}
	blob(towpath.SHA256, []byte("{}"))
	config, small, large, long := ocitest.Random(300), ocitest.Random(4<<10), ocitest.Random(1<<20+1), ocitest.Random(70_000)
	for _, content := range [][]byte{config, small, large, ocitest.Random(1), ocitest.Random(1 << 20)} {
		blob(towpath.SHA256, content)
	}
	blob(towpath.SHA512, long)
	image := ocitest.Encode(c.T, ocitest.Object{
		"schemaVersion": 2, "mediaType": ocitest.TypeManifest, "config": ocitest.Describe("application/x", towpath.SHA256, config),
		"layers": []any{
			ocitest.Describe("application/x", towpath.SHA256, small), ocitest.Describe("application/x", towpath.SHA256, large),
			ocitest.Describe("application/x", towpath.SHA512, long),
		},
	})
	d := manifest("image", image, ocitest.TypeManifest)
	manifest("evidence", c.Attach("application/vnd.example", d, len(image)), ocitest.TypeManifest)
	manifest("index", ocitest.Encode(c.T, ocitest.Object{
		"schemaVersion": 2, "mediaType": ocitest.TypeIndex, "manifests": []any{ocitest.Describe(ocitest.TypeManifest, towpath.SHA256, image)},
	}), ocitest.TypeIndex)
	return reads
}

// TestDamage_ofUploads flips bits of what came of uploads: they can't be
// finished, and what they were to become is not there.
func TestDamage_ofUploads(t *testing.T) {
	r := start(t, t.TempDir(), "", nil)
	c := ocitest.NewClient(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	for _, size := range []int{1, 4 << 10, 3 << 20} {
		content := ocitest.Random(size + 1)
		d := ocitest.Sha256(content)
		a := c.Expect(c.Do("POST", c.Repo("blobs/uploads/"), nil), 202)
		a = c.Expect(c.Do("PATCH", c.Location(a), content[:(size+1)/2]), 202)
		a = c.Expect(c.Do("PATCH", c.Location(a), content[(size+1)/2:size]), 202)
		pieces := stored(t, filepath.Join(r.data, "uploads"))
		if len(pieces) == 0 {
			t.Fatal("no piece of the upload is stored")
		}
		for _, path := range pieces {
			sound, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, bit := range someBits(len(sound)) {
				overwrite(t, path, flipped(sound, bit))
				c.ExpectCode(c.Do("PUT", c.Location(a, "digest", d), content[size:]), 400, "DIGEST_INVALID")
				c.ExpectCode(c.Do("GET", c.Repo("blobs/"+d), nil), 404, "BLOB_UNKNOWN")
			}
			overwrite(t, path, sound)
		}
		c.Expect(c.Do("PUT", c.Location(a, "digest", d), content[size:]), 201) // it stayed as it was
	}
}

// stored lists the files below a folder.
func stored(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// someBits are the first and the last bit of so many bytes, and some of those
// between, at random.
func someBits(bytes int) []int {
	bits := []int{0, 8*bytes - 1}
	for range 4 {
		bits = append(bits, rand.IntN(8*bytes))
	}
	return bits
}

func flipped(sound []byte, bit int) []byte {
	b := bytes.Clone(sound)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// overwrite replaces a file that may be read-only, or gone.
func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
