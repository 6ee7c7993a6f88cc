//go:build !race

// What dies here are processes of their own, which the race detector does not see.

package ocidist_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// books are what pushers were told.
type books struct {
	mu        sync.Mutex
	tags      map[string]string // acknowledged, with their digests
	referrers map[string]bool   // likewise
	subject   string
	n         int
}

// push pushes until the server is dead, in every way that there is: whole
// blobs, pieces, tags, referrers, the same tag again.
func (b *books) push(t *testing.T, target ocitest.Target, who int) {
	c := ocitest.NewClient(t, target)
	for i := 0; ; i++ {
		layer, config := ocitest.Random(2000+rand.IntN(50_000)), []byte("{}")
		for j, content := range [][]byte{layer, config} {
			d := ocitest.Sha256(content)
			if (i+j)%2 == 0 {
				if a, err := c.Try("POST", c.Repo("blobs/uploads/?digest="+d), strings.NewReader(string(content))); err != nil || a.Status != 201 {
					return
				}
				continue
			}
			a, err := c.Try("POST", c.Repo("blobs/uploads/"), strings.NewReader(""))
			if err != nil || a.Status != 202 {
				return
			}
			if a, err = c.Try("PATCH", c.Location(a), strings.NewReader(string(content[:len(content)/2]))); err != nil || a.Status != 202 {
				return
			}
			if a, err = c.Try("PUT", c.Location(a, "digest", d), strings.NewReader(string(content[len(content)/2:]))); err != nil || a.Status != 201 {
				return
			}
		}
		m := ocitest.Encode(t, ocitest.Object{
			"schemaVersion": 2, "mediaType": ocitest.TypeManifest, "artifactType": "application/vnd.example",
			"config": ocitest.Describe(ocitest.TypeEmpty, "sha256", config), "layers": []any{ocitest.Describe("application/x", "sha256", layer)},
			"subject": ocitest.Object{"mediaType": ocitest.TypeManifest, "digest": b.subject, "size": 1},
		})
		tag := fmt.Sprintf("t-%d-%d", who, i%5) // each moves now and then, and only by one
		a, err := c.Try("PUT", c.Repo("manifests/"+tag), strings.NewReader(string(m)), "Content-Type", ocitest.TypeManifest)
		if err != nil || a.Status != 201 {
			// Whether it moved is not known: both are right.
			b.mu.Lock()
			delete(b.tags, tag)
			b.mu.Unlock()
			return
		}
		b.mu.Lock()
		b.tags[tag], b.referrers[ocitest.Sha256(m)], b.n = ocitest.Sha256(m), true, b.n+1
		b.mu.Unlock()
	}
}

// check reads everything: what was acknowledged is there, and whatever is there
// is whole.
func (b *books) check(t *testing.T, target ocitest.Target) {
	t.Helper()
	c := ocitest.NewClient(t, target)
	for tag, want := range b.tags {
		if a := c.Do("HEAD", c.Repo("manifests/"+tag), nil); a.Status != 200 || a.Header.Get("Docker-Content-Digest") != want {
			t.Errorf("acknowledged tag %s is %d %s, want %s", tag, a.Status, a.Header.Get("Docker-Content-Digest"), want)
		}
	}
	whole := func(ref string) {
		a := c.Do("GET", c.Repo("manifests/"+ref), nil)
		if a.Status != 200 || ocitest.Sha256(a.Body) != a.Header.Get("Docker-Content-Digest") {
			t.Errorf("manifest %s is broken: %d", ref, a.Status)
			return
		}
		m := ocitest.JSON[struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}](t, a)
		for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
			if got := c.Do("GET", c.Repo("blobs/"+d), nil); got.Status != 200 || ocitest.Sha256(got.Body) != d {
				t.Errorf("blob %s of %s is broken: %d", d, ref, got.Status)
			}
		}
	}
	if list := c.Do("GET", c.Repo("tags/list"), nil); list.Status == 200 {
		for _, tag := range ocitest.JSON[struct{ Tags []string }](t, list).Tags {
			whole(tag)
		}
	}
	listed := map[string]bool{}
	next := c.Repo("referrers/" + b.subject)
	for next != "" {
		a := c.Do("GET", next, nil)
		for _, m := range ocitest.JSON[struct{ Manifests []struct{ Digest string } }](t, a).Manifests {
			listed[m.Digest] = true
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	}
	for d := range b.referrers {
		if !listed[d] {
			t.Errorf("acknowledged artifact %s is missing", d)
		}
	}
	for d := range listed {
		whole(d)
	}
}

// steps are the named steps of a push.
func steps() []string {
	return []string{
		"registry.blob.stored", "registry.blob.recorded", "registry.upload.stored", "registry.upload.recorded",
		"registry.manifest.stored", "registry.manifest.recorded",
	}
}

// TestCrash kills the server during pushes, at each of its named steps and at
// random: no acknowledged artifact is missing and no tag is broken.
func TestCrash(t *testing.T) {
	crash := func(t *testing.T, database, blobs string) {
		data := t.TempDir()
		b := &books{tags: map[string]string{}, referrers: map[string]bool{}, subject: ocitest.Sha256([]byte("subject"))}
		round := func(t *testing.T, failAt string) {
			c := spawnOver(t, data, database, blobs, failAt)
			b.check(t, c.target)
			before := b.n
			var wg sync.WaitGroup
			for who := range 8 {
				wg.Go(func() { b.push(t, c.target, who) })
			}
			if failAt == "" {
				eventually(t, "some pushes are acknowledged", func() bool {
					b.mu.Lock()
					defer b.mu.Unlock()
					return b.n >= before+10+rand.IntN(30)
				})
				c.kill()
			}
			wg.Wait()
			<-c.dead
		}
		for i, step := range steps() {
			for _, n := range []int{1, 7 + i*5} {
				t.Run(fmt.Sprintf("%s, time %d", step, n), func(t *testing.T) { round(t, fmt.Sprintf("%s:%d", step, n)) })
			}
		}
		t.Run("at random", func(t *testing.T) {
			for range 6 {
				round(t, "")
			}
		})
		t.Run("in the end", func(t *testing.T) {
			b.check(t, spawnOver(t, data, database, blobs, "").target)
			if b.n < 50 {
				t.Errorf("only %d pushes were acknowledged", b.n)
			}
		})
	}
	t.Run("on SQLite", func(t *testing.T) { crash(t, "", "") })
	t.Run("on PostgreSQL", func(t *testing.T) { crash(t, pgtest.New(t), "") })
	t.Run("on PostgreSQL and an object store", func(t *testing.T) {
		_, blobs := bucket(t)
		crash(t, pgtest.New(t), blobs)
	})
}
