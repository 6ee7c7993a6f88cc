package ocidist_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

// bucket starts an object store with a bucket, for servers that find its
// credentials where they would.
func bucket(t *testing.T) (store *s3test.Server, blobs string) {
	t.Helper()
	store = s3test.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	return store, store.Place(store.Bucket(t, "registry") + "/blobs")
}

// another is the data folder of a second server: it shares the keys of the
// first one and nothing else.
func another(t *testing.T, data string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ledger.key", "attestation.key"} {
		b, err := os.ReadFile(filepath.Join(data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestConformance_overAnObjectStore(t *testing.T) {
	_, blobs := bucket(t)
	r := startOver(t, t.TempDir(), pgtest.New(t), blobs, nil)
	ocitest.Run(t, r.target("ana", towpath.RoleReleaser, towpath.RoleViewer))
	t.Run("nothing but keys, what was signed last and samples of metrics is in the data folder", func(t *testing.T) {
		entries, err := os.ReadDir(r.data)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if n := e.Name(); n != "spool" && n != "metrics" && n != "metrics.lock" && n != "ledger.checkpoint" && !strings.HasSuffix(n, ".key") && !strings.HasPrefix(n, ".checkpoint-") { // while one is written
				t.Errorf("there is %s", n)
			}
		}
		if left, err := os.ReadDir(filepath.Join(r.data, "spool")); err != nil || len(left) > 0 {
			t.Errorf("what was sent is still there: %v, %v", left, err)
		}
	})
}

func TestReferrers_NoneIsLost_overAnObjectStore(t *testing.T) {
	_, blobs := bucket(t)
	data, database := t.TempDir(), pgtest.New(t)
	first := startOver(t, data, database, blobs, nil)
	noneIsLost(t, first, startOver(t, another(t, data), database, blobs, nil))
}

// TestTwoServers are processes of their own, over one database and one bucket.
// One of them is killed.
func TestTwoServers(t *testing.T) {
	store, blobs := bucket(t)
	data, database := t.TempDir(), pgtest.New(t)
	first := spawnOver(t, data, database, blobs, "")
	second := spawnOver(t, another(t, data), database, blobs, "")
	a, b := ocitest.NewClient(t, first.target), ocitest.NewClient(t, second.target)

	manifest := a.Manifest()
	d := a.Push("pushed-to-a", manifest)
	pullWhole(b, "pushed-to-a", d)
	pullWhole(a, "pushed-to-b", b.Push("pushed-to-b", b.Manifest()))

	content := ocitest.Random(3 << 20)
	part := func(from, to int) string { return string(content[from:to]) }
	patch := func(c *ocitest.Client, at string, from, to int) ocitest.Answer {
		t.Helper()
		answer, err := c.Try("PATCH", at, strings.NewReader(part(from, to)), "Content-Range", fmt.Sprintf("%d-%d", from, to-1))
		if err != nil {
			t.Fatal(err)
		}
		return c.Expect(answer, 202)
	}
	begun := a.Expect(a.Do("POST", a.Repo("blobs/uploads/"), nil), 202)
	begun = patch(a, a.Location(begun), 0, 1<<20)
	begun = patch(b, b.Location(begun), 1<<20, 2<<20)

	// It dies while it takes in the third piece.
	sent, gone := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		_, err := a.Try("PATCH", a.Location(begun), sent, "Content-Range", fmt.Sprintf("%d-%d", 2<<20, 3<<20-1))
		failed <- err
	}()
	if _, err := gone.Write([]byte(part(2<<20, 2<<20+300_000))); err != nil {
		t.Fatal(err)
	}
	first.kill()
	_ = gone.Close()
	if err := <-failed; err == nil {
		t.Error("the dead server answered")
	}

	status := b.Expect(b.Do("GET", b.Location(begun), nil), 204)
	if got := status.Header.Get("Range"); got != fmt.Sprintf("0-%d", 2<<20-1) {
		t.Errorf("what was acknowledged is %s", got)
	}
	done := patch(b, b.Location(status), 2<<20, 3<<20)
	whole := ocitest.Sha256(content)
	b.Expect(b.Do("PUT", b.Location(done, "digest", whole), nil), 201)
	if got := b.Expect(b.Do("GET", b.Repo("blobs/"+whole), nil), 200); ocitest.Sha256(got.Body) != whole {
		t.Errorf("the blob has %d bytes of another content", len(got.Body))
	}
	pullWhole(b, "pushed-to-a", d)
	b.Push("pushed-after", b.Manifest())
	if pieces, err := filepath.Glob(store.Path("registry", "blobs/uploads/*")); err != nil || len(pieces) > 0 {
		t.Errorf("pieces are left: %v, %v", pieces, err)
	}
	t.Run("a third one takes the place of the dead", func(t *testing.T) {
		c := ocitest.NewClient(t, spawnOver(t, data, database, blobs, "").target)
		pullWhole(c, "pushed-after", "")
	})
}

// pullWhole pulls a manifest and its blobs and compares their digests.
func pullWhole(c *ocitest.Client, ref, want string) {
	c.T.Helper()
	a := c.Expect(c.Do("GET", c.Repo("manifests/"+ref), nil), 200)
	if got := ocitest.Sha256(a.Body); got != a.Header.Get("Docker-Content-Digest") || want != "" && got != want {
		c.T.Errorf("%s is %s", ref, got)
	}
	m := ocitest.JSON[struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}](c.T, a)
	for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
		if got := c.Expect(c.Do("GET", c.Repo("blobs/"+d), nil), 200); ocitest.Sha256(got.Body) != d {
			c.T.Errorf("blob %s of %s has another content", d, ref)
		}
	}
}
