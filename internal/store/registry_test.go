package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

const app = towpath.RepositoryName("shop/app")

// artifact adds an artifact to the repository app.
func artifact(t *testing.T, s *store.Store, name string, change func(*towpath.Artifact)) towpath.Artifact {
	t.Helper()
	a := towpath.Artifact{Repository: app, Digest: towpath.HashOf(name), MediaType: "application/x", Size: 7, Pushed: noon, ByClient: true}
	if change != nil {
		change(&a)
	}
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.OpenRepository(ctx, a.Repository, noon); err != nil {
			return err
		}
		return tx.SaveArtifact(ctx, a)
	})
	return a
}

func TestStore_Artifacts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		one := artifact(t, s, "one", func(a *towpath.Artifact) {
			a.Annotations, a.ArtifactType, a.Subject = map[string]string{"k": "v\u0000ü"}, "t", towpath.HashOf("subject")
			a.References = []towpath.Reference{{Digest: towpath.HashOf("blob"), Size: 3}, {Digest: towpath.HashOf("blob"), Size: 3}}
		})
		artifact(t, s, "one", func(a *towpath.Artifact) { a.Size = 9; a.ByClient = false }) // stays as it was
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.LockArtifact(ctx, app, one.Digest)
			if err != nil {
				return err
			}
			one.References, one.ByClient = nil, false // are not read
			equal(t, got, one)
			by, err := tx.ReferencedBy(ctx, app, towpath.HashOf("blob"))
			equal(t, by, one.Digest)
			if err != nil {
				return err
			}
			by, err = tx.ReferencedBy(ctx, "shop/else", towpath.HashOf("blob"))
			equal(t, by, "")
			return err
		})
		t.Run("one that a tag names is not deleted", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SetTag(ctx, app, "v1", one.Digest, noon) })
			err := s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.DeleteArtifact(ctx, app, one.Digest) })
			if err == nil {
				t.Error("it was")
			}
		})
		t.Run("with it go its references", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.DeleteTag(ctx, app, "v1"); err != nil {
					return err
				}
				if err := tx.DeleteArtifact(ctx, app, one.Digest); err != nil {
					return err
				}
				by, err := tx.ReferencedBy(ctx, app, towpath.HashOf("blob"))
				equal(t, by, "")
				if err != nil {
					return err
				}
				_, err = tx.Artifact(ctx, app, one.Digest)
				wantKind(t, err, towpath.KindNotFound)
				return nil
			})
		})
		t.Run("one of a repository that is not there is refused", func(t *testing.T) {
			err := s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				return tx.SaveArtifact(ctx, towpath.Artifact{Repository: "shop/none", Digest: "d"})
			})
			if err == nil {
				t.Error("it was taken")
			}
		})
	})
}

// TestStore_DeletesUnused: what was listed may be named or young when it is deleted; on
// PostgreSQL it is pushed again in the middle of it.
func TestStore_DeletesUnused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := store.New(db, events{}, nil)
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: shop, CreatedAt: noon})
		})
		young, old := artifact(t, s, "young", nil), artifact(t, s, "old", nil)
		named, tagged := artifact(t, s, "named", nil), artifact(t, s, "tagged", nil)
		later := noon.Add(time.Hour)
		artifact(t, s, "index", func(a *towpath.Artifact) {
			a.Pushed, a.References = later, []towpath.Reference{{Digest: named.Digest, Size: 3, Manifest: true}}
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.SetTag(ctx, app, "v1", tagged.Digest, noon) })
		young.Pushed = later
		again := func(ctx context.Context, tx *store.Tx) error { return tx.SaveArtifact(ctx, young) }
		if db.Dialect() == sqldb.SQLite { // which has one writer
			update(t, s, again)
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if db.Dialect() == sqldb.Postgres {
				if err := tx.LockRepository(ctx, app); err != nil {
					return err
				}
				unused, err := tx.Untagged(ctx, app, later, 9)
				equal(t, len(unused), 2)
				if err != nil {
					return err
				}
				update(t, s, again)
			}
			for d, want := range map[towpath.Digest]bool{young.Digest: false, old.Digest: true, named.Digest: false, tagged.Digest: false} {
				got, err := tx.DeleteUnused(ctx, app, d, later)
				equal(t, got, want)
				if err != nil {
					return err
				}
			}
			return nil
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			for d, want := range map[towpath.Digest]towpath.Kind{young.Digest: "", old.Digest: towpath.KindNotFound, named.Digest: "", tagged.Digest: ""} {
				_, err := tx.Artifact(ctx, app, d)
				equal(t, towpath.KindOf(err), want)
			}
			return nil
		})
	})
}

func TestStore_Referrers(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		subject := towpath.HashOf("subject")
		for i := range 5 {
			artifact(t, s, fmt.Sprint(i), func(a *towpath.Artifact) { a.Subject, a.ArtifactType = subject, fmt.Sprint("t", i%2) })
		}
		artifact(t, s, "another", func(a *towpath.Artifact) { a.Subject = towpath.HashOf("other") })
		artifact(t, s, "elsewhere", func(a *towpath.Artifact) { a.Subject, a.Repository = subject, "shop/else" })
		count := func(artifactType string) int {
			t.Helper()
			seen, last := 0, towpath.Digest("")
			for {
				var page []towpath.Artifact
				update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
					page, err = tx.Referrers(ctx, app, subject, artifactType, last, 2)
					return err
				})
				if len(page) == 0 {
					return seen
				}
				for _, a := range page {
					if a.Digest <= last || a.Subject != subject {
						t.Fatalf("after %s comes %+v", last, a)
					}
					last = a.Digest
				}
				seen += len(page)
			}
		}
		equal(t, []int{count(""), count("t0"), count("t1"), count("none")}, []int{5, 3, 2, 0})
	})
}

func TestStore_AnnotatedReferrers(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		subject := towpath.HashOf("subject")
		for i := range 5 {
			artifact(t, s, fmt.Sprint(i), func(a *towpath.Artifact) {
				a.Subject, a.Annotations = subject, map[string]string{"k": strings.Repeat("v", 1000)}
			})
		}
		page := func(limit, bytes int) (n int, more bool) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				all, rest, err := tx.AnnotatedReferrers(ctx, app, subject, "", "", limit, bytes)
				for _, a := range all {
					equal(t, len(a.Annotations["k"]), 1000)
				}
				n, more = len(all), rest
				return err
			})
			return n, more
		}
		for _, c := range []struct {
			limit, bytes, n int
			more            bool
		}{{5, 1 << 20, 5, false}, {4, 1 << 20, 4, true}, {5, 3000, 2, true}, {5, 1, 1, true}} {
			n, more := page(c.limit, c.bytes)
			equal(t, []any{c.limit, c.bytes, n, more}, []any{c.limit, c.bytes, c.n, c.more})
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			all, err := tx.Referrers(ctx, app, subject, "", "", 9)
			equal(t, len(all), 5)
			for _, a := range all {
				equal(t, a.Annotations, nil)
			}
			return err
		})
	})
}

func TestStore_Tags(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a, b := artifact(t, s, "a", nil), artifact(t, s, "b", nil)
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, tag := range []string{"b", "B", "a", "C", "_", "1.10", "1.9", "z"} {
				if created, err := tx.NewTag(ctx, app, tag, a.Digest, noon); err != nil || !created {
					return fmt.Errorf("%s: %v, %w", tag, created, err)
				}
			}
			created, err := tx.NewTag(ctx, app, "a", b.Digest, noon)
			equal(t, created, false)
			return err
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			all, err := tx.Tags(ctx, app, "", 100)
			equal(t, all, []string{"1.10", "1.9", "_", "a", "B", "b", "C", "z"})
			if err != nil {
				return err
			}
			page, err := tx.Tags(ctx, app, "B", 2)
			equal(t, page, []string{"b", "C"})
			if err != nil {
				return err
			}
			if err := tx.MoveTag(ctx, app, "a", b.Digest, noon); err != nil {
				return err
			}
			of, err := tx.TagsOf(ctx, app, b.Digest)
			equal(t, of, []string{"a"})
			if err != nil {
				return err
			}
			d, err := tx.LockTag(ctx, app, "a")
			equal(t, d, b.Digest)
			if err != nil {
				return err
			}
			_, err = tx.Tag(ctx, app, "none")
			wantKind(t, err, towpath.KindNotFound)
			return nil
		})
		t.Run("a tag names what is there", func(t *testing.T) {
			err := s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.SetTag(ctx, app, "x", "sha256:none", noon) })
			if err == nil {
				t.Error("a tag of nothing was set")
			}
		})
		t.Run("rules are kept", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				none, err := tx.TagRules(ctx, shop)
				equal(t, len(none), 0)
				if err != nil {
					return err
				}
				for _, patterns := range [][]string{{"^v"}, {"^v", "x"}} {
					if err := tx.SaveTagRules(ctx, shop, patterns); err != nil {
						return err
					}
					got, err := tx.TagRules(ctx, shop)
					equal(t, got, patterns)
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
}

func TestStore_RepositoryNames(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertProject(ctx, towpath.Project{Name: "depot", CreatedAt: noon}); err != nil {
				return err
			}
			for _, r := range []towpath.RepositoryName{"shop/b", "shop", "depot/x", "shop/a-1", "shop/a.1", "shop"} {
				if err := tx.OpenRepository(ctx, r, noon); err != nil {
					return err
				}
			}
			all, err := tx.RepositoryNames(ctx, registry.Projects{All: true}, "", 10)
			equal(t, all, []string{"depot/x", "shop", "shop/a-1", "shop/a.1", "shop/b"})
			if err != nil {
				return err
			}
			some, err := tx.RepositoryNames(ctx, registry.Projects{Names: []towpath.ProjectName{shop}}, "shop", 2)
			equal(t, some, []string{"shop/a-1", "shop/a.1"})
			if err != nil {
				return err
			}
			none, err := tx.RepositoryNames(ctx, registry.Projects{}, "", 10)
			equal(t, len(none), 0)
			return err
		})
	})
}

func TestStore_Uploads(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		u := registry.Upload{ID: "u1", Repository: app, Expires: noon.Add(time.Hour)}
		update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUpload(ctx, u) })
		u.Size, u.Pieces = 5, []blob.Piece{{Name: "u1.x", Size: 5}}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SaveUpload(ctx, u, 0); err != nil {
				return err
			}
			wantKind(t, tx.SaveUpload(ctx, u, 0), towpath.KindConflict)
			got, err := tx.Upload(ctx, "u1")
			equal(t, got, u)
			if err != nil {
				return err
			}
			n, err := tx.CountUploads(ctx, shop)
			equal(t, n, 1)
			if err != nil {
				return err
			}
			for at, want := range map[time.Time]int{noon: 0, noon.Add(2 * time.Hour): 1} {
				old, err := tx.ExpiredUploads(ctx, at, 10)
				equal(t, len(old), want)
				if err != nil {
					return err
				}
			}
			for _, want := range []bool{true, false} {
				was, err := tx.DeleteUpload(ctx, "u1")
				equal(t, was, want)
				if err != nil {
					return err
				}
			}
			_, err = tx.Upload(ctx, "u1")
			wantKind(t, err, towpath.KindNotFound)
			return nil
		})
	})
}

func TestStore_Unshelved(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		a, b, c := publish(t, s, "1.0.0", noon), publish(t, s, "1.1.0", noon.Add(time.Minute)), publish(t, s, "1.2.0", noon.Add(time.Hour))
		artifact(t, s, "x", func(x *towpath.Artifact) { x.Repository, x.Digest = "shop", b.Release })
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.MarkCollected(ctx, shop, c.Release, noon); err != nil {
				return err
			}
			all, err := tx.Unshelved(ctx, 10)
			equal(t, all, []towpath.Release{{Project: shop, Digest: a.Release}})
			return err
		})
	})
}
