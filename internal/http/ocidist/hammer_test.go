package ocidist_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// TestDelete_BreaksNothing pushes and deletes the same few things from all
// sides at once: whatever a tag names in the end is whole.
func TestDelete_BreaksNothing(t *testing.T) {
	each(t, func(t *testing.T, r *running) {
		target := r.target("ana", towpath.RoleReleaser, towpath.RoleViewer)
		c := ocitest.NewClient(t, target)
		blobs := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
		var manifests [][]byte
		for i := range blobs {
			manifests = append(manifests, ocitest.Encode(t, ocitest.Object{
				"schemaVersion": 2, "mediaType": ocitest.TypeManifest, "config": ocitest.Describe("application/x", "sha256", blobs[i]),
				"layers": []any{ocitest.Describe("application/x", "sha256", blobs[(i+1)%len(blobs)])},
			}))
		}
		index := ocitest.Encode(t, ocitest.Object{"schemaVersion": 2, "mediaType": ocitest.TypeIndex, "manifests": []any{
			ocitest.Describe(ocitest.TypeManifest, "sha256", manifests[0]), ocitest.Describe(ocitest.TypeManifest, "sha256", manifests[1]),
		}})
		all := [][]byte{manifests[0], manifests[1], manifests[2], index}
		tags := []string{"a", "b", "c"}
		one := func() ocitest.Answer {
			i, tag := rand.IntN(3), tags[rand.IntN(3)]
			switch rand.IntN(9) {
			case 0, 1, 2:
				return c.Do("POST", c.Repo("blobs/uploads/?digest="+ocitest.Sha256(blobs[i])), blobs[i])
			case 3, 4:
				return c.Do("PUT", c.Repo("manifests/"+tag), manifests[i], "Content-Type", ocitest.TypeManifest)
			case 5:
				return c.Do("PUT", c.Repo("manifests/"+tag), index, "Content-Type", ocitest.TypeIndex)
			case 6:
				return c.Do("DELETE", c.Repo("blobs/"+ocitest.Sha256(blobs[i])), nil)
			case 7:
				return c.Do("DELETE", c.Repo("manifests/"+ocitest.Sha256(all[rand.IntN(4)])), nil)
			default:
				return c.Do("DELETE", c.Repo("manifests/"+tag), nil)
			}
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 150 {
					if a := one(); a.Status >= 500 {
						t.Errorf("%d %s", a.Status, a.Body)
					}
				}
			})
		}
		wg.Wait()
		var whole func(ref string)
		whole = func(ref string) {
			a := c.Do("GET", c.Repo("manifests/"+ref), nil)
			if a.Status != 200 {
				t.Errorf("manifest %s is %d", ref, a.Status)
				return
			}
			type named struct{ Digest string }
			m := ocitest.JSON[struct {
				Config    *named
				Layers    []named
				Manifests []named
			}](t, a)
			if m.Config != nil {
				m.Layers = append(m.Layers, *m.Config)
			}
			for _, l := range m.Layers {
				if got := c.Do("GET", c.Repo("blobs/"+l.Digest), nil); got.Status != 200 {
					t.Errorf("blob %s of %s is %d", l.Digest, ref, got.Status)
				}
			}
			for _, child := range m.Manifests {
				whole(child.Digest)
			}
		}
		list := c.Expect(c.Do("GET", c.Repo("tags/list"), nil), 200)
		for _, tag := range ocitest.JSON[struct{ Tags []string }](t, list).Tags {
			whole(tag)
		}
	})
}
