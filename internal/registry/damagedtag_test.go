package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestService_DamagedTag_KeepsWhatItNamed does what the collection of garbage says when
// the record of a tag is damaged: a scrub, and then the same again. What the tag named
// stays.
func TestService_DamagedTag_KeepsWhatItNamed(t *testing.T) {
	const other = towpath.RepositoryName("shop/apq") // one bit beside shop/app
	for name, tt := range map[string]struct {
		change   string
		repaired bool
	}{
		"its name":                     {`UPDATE registry_tag SET tag = 'v3', folded = 'v3'`, true},
		"its digest":                   {`UPDATE registry_tag SET digest = (SELECT MIN(digest) FROM registry_artifact a WHERE a.repository = registry_tag.repository AND a.digest <> registry_tag.digest)`, true},
		"its repository":               {`UPDATE registry_tag SET repository = 'shop/apq'`, true},
		"its sum":                      {`UPDATE registry_tag SET sum = 'x' || substr(sum, 2)`, true},
		"its order":                    {`UPDATE registry_tag SET folded = 'V1'`, true},
		"its name, in two bits":        {`UPDATE registry_tag SET tag = 'v2', folded = 'v2'`, false},
		"its digest and its sum":       {`UPDATE registry_tag SET sum = 'x', digest = (SELECT MIN(digest) FROM registry_artifact a WHERE a.repository = registry_tag.repository AND a.digest <> registry_tag.digest)`, false},
		"its order, and it has no sum": {`UPDATE registry_tag SET folded = 'x', sum = ''`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				w := newWorld(t, db, registry.Config{})
				ctx := t.Context()
				image, alike := about("", "a", "b"), about("", "c", "d")
				if err := errors.Join(w.push(image), w.push(alike)); err != nil {
					t.Fatal(err)
				}
				if err := w.PutBlob(ctx, w.ana, other, towpath.DigestOf([]byte("{}")), strings.NewReader("{}")); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Push(ctx, w.ana, registry.PushRequest{Repository: other, Reference: string(towpath.DigestOf(image)), Manifest: image}); err != nil {
					t.Fatal(err)
				}
				w.tag(repo, "v1", image)
				w.changed(db, tt.change)
				collect := func() error {
					_, err := w.CollectGarbage(ctx, root, registry.Garbage{UntaggedAge: time.Minute})
					return err
				}
				there := func(m []byte) bool {
					_, err := w.Manifest(ctx, w.ana, repo, string(towpath.DigestOf(m)))
					return err == nil
				}
				w.now = w.now.Add(time.Hour)
				if err := collect(); towpath.KindOf(err) != towpath.KindInternal {
					t.Fatalf("garbage was collected by it: %v", err)
				}
				if f := w.found(); f.Repaired != tt.repaired || !tt.repaired && !strings.Contains(f.Why, "2026-12-20") {
					t.Errorf("%+v", f)
				}
				for _, later := range []time.Duration{0, time.Hour, 29 * 24 * time.Hour} {
					w.now = w.now.Add(later)
					if err := collect(); err != nil || !there(image) {
						t.Fatalf("after %s the image is lost: %v", later, err)
					}
				}
				a, err := w.Manifest(ctx, w.ana, repo, "v1")
				if (err == nil && a.Digest == towpath.DigestOf(image)) != tt.repaired {
					t.Errorf("v1 is %+v, %v", a, err)
				}
				if there(alike) == tt.repaired {
					t.Error("what has no tag stays while a tag is aside, and only then")
				}
				w.now = w.now.Add(3 * 24 * time.Hour)
				if err := collect(); err != nil || there(image) != tt.repaired || there(alike) {
					t.Errorf("in the end the image is there: %v, and the other: %v; %v", there(image), there(alike), err)
				}
			})
		})
	}
}
