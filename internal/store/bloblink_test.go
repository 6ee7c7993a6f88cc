package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestStore_BlobLinks(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		d := towpath.HashOf
		client := artifact(t, s, "client's", func(a *towpath.Artifact) { a.References = []towpath.Reference{{Digest: d("named")}} })
		released(t, s, shop, "release", true, "layer", "named")
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.LinkBlob(ctx, app, d("pushed"), 3, true, noon), tx.LinkBlob(ctx, app, d("named"), 3, false, noon),
				tx.LinkBlob(ctx, app, d("pushed"), 3, false, noon)) // a release has it too
		})
		names := []towpath.Digest{d("pushed"), d("named"), d("layer"), client.Digest, d("none")}
		t.Run("what clients brought or need is held", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				held, err := tx.HeldBlobs(ctx, names)
				equal(t, set(held), set([]towpath.Digest{d("pushed"), d("named"), client.Digest}))
				return err
			})
		})
		t.Run("the rest can be given up", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				held, err := tx.UnlinkGivenUp(ctx, names)
				equal(t, set(held), set([]towpath.Digest{d("pushed"), d("named"), client.Digest}))
				if err != nil {
					return err
				}
				_, err = tx.KeepBlob(ctx, towpath.ReleaseRepository(shop), d("layer"))
				wantKind(t, err, towpath.KindNotFound)
				size, err := tx.KeepBlob(ctx, app, d("named"))
				equal(t, size, 3)
				return err
			})
		})
		t.Run("more than one statement takes", func(t *testing.T) {
			var many []towpath.Digest
			for i := range 1000 {
				many = append(many, d(fmt.Sprint(i)))
			}
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				held, err := tx.HeldBlobs(ctx, append(many, d("pushed")))
				equal(t, held, []towpath.Digest{d("pushed")})
				return err
			})
		})
		t.Run("a blob is found in the projects that one may see", func(t *testing.T) {
			for want, in := range map[towpath.RepositoryName][]registry.Projects{
				app: {{All: true}, {Names: []towpath.ProjectName{"other", shop}}},
				"":  {{}, {Names: []towpath.ProjectName{"other"}}},
			} {
				for _, p := range in {
					update(t, s, func(ctx context.Context, tx *store.Tx) error {
						got, err := tx.RepositoryWithBlob(ctx, p, d("pushed"))
						equal(t, got, want)
						return err
					})
				}
			}
		})
	})
}

// released adds a release with its layers, as publishing does, and gives it up.
func released(t *testing.T, s *store.Store, p towpath.ProjectName, name string, givenUp bool, layers ...string) {
	t.Helper()
	r, content := towpath.Release{Project: p, Digest: towpath.HashOf(name), Published: noon}, towpath.HashOf("content of "+name)
	refs := []towpath.Reference{{Digest: content, Size: 3}}
	for _, l := range layers {
		refs = append(refs, towpath.Reference{Digest: towpath.HashOf(l), Size: 3})
	}
	update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRelease(ctx, r, content) })
	a := artifact(t, s, name, func(a *towpath.Artifact) {
		a.Repository, a.ByClient, a.References = towpath.ReleaseRepository(p), false, refs
	})
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		for _, ref := range refs {
			if err := tx.LinkBlob(ctx, a.Repository, ref.Digest, ref.Size, false, noon); err != nil {
				return err
			}
		}
		if !givenUp {
			return nil
		}
		return tx.MarkCollected(ctx, p, r.Digest, noon)
	})
}

// TestStore_HeldBlobs: a layer of a release that is given up may be anything else
// besides, of any project.
func TestStore_HeldBlobs(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		d, other := towpath.HashOf, towpath.ProjectName("other")
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: other, CreatedAt: noon})
		})
		released(t, s, other, "kept", false, "layer of both")
		released(t, s, other, "theirs", true, "layer of two that are given up")
		released(t, s, other, "client's", true, "layer that a client needs")
		artifact(t, s, "client's", func(a *towpath.Artifact) { a.Repository = towpath.ReleaseRepository(other) })
		named := []string{
			"layer of both", "content of kept", "content of theirs", "kept", "provenance", "bundle", "upload", "mirrored", "content of ours", "layer that a client needs",
		}
		released(t, s, shop, "ours", true, append([]string{"layer of two that are given up", "layer"}, named...)...)
		artifact(t, s, "evidence", func(a *towpath.Artifact) {
			a.Repository, a.ByClient, a.Subject = towpath.ReleaseRepository(other), false, d("kept")
			a.References = []towpath.Reference{{Digest: d("bundle"), Size: 3}}
		})
		artifact(t, s, "image", func(a *towpath.Artifact) {
			a.Repository, a.ByClient, a.References = "other/images", false, []towpath.Reference{{Digest: d("mirrored"), Size: 3}}
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.InsertCandidate(ctx, towpath.Candidate{ID: "c1", Project: other, Release: d("theirs"), Provenance: d("provenance"), Published: noon})
			return errors.Join(err, tx.LinkBlob(ctx, "other/images", d("upload"), 3, false, noon))
		})
		want := map[towpath.Digest]bool{}
		for _, n := range named {
			want[d(n)] = true
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			held, err := tx.UnlinkGivenUp(ctx, append(slices.Collect(maps.Keys(want)), d("layer"), d("layer of two that are given up")))
			if err != nil {
				return err
			}
			equal(t, set(held), want)
			for digest := range want {
				if _, err := tx.BlobSize(ctx, towpath.ReleaseRepository(shop), digest); err != nil {
					return err
				}
			}
			// No repository says that it has what is gone.
			left, err := tx.Holders(ctx, []towpath.Digest{d("layer"), d("layer of two that are given up")})
			equal(t, len(left), 0)
			return err
		})
	})
}

// TestStore_Brought: what was published before there was a registry is as old as its
// record, the rest as its artifact.
func TestStore_Brought(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		later, old := noon.Add(time.Hour), towpath.HashOf("old")
		released(t, s, shop, "again", false)
		released(t, s, shop, "gone", true)
		for _, r := range []towpath.RepositoryName{towpath.ReleaseRepository(shop), app} {
			artifact(t, s, "again", func(a *towpath.Artifact) { a.Repository, a.Pushed = r, later })
			later = later.Add(time.Hour) // elsewhere, which says nothing
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertRelease(ctx, towpath.Release{Project: shop, Digest: old, Published: noon}, old); err != nil {
				return err
			}
			got, err := tx.Brought(ctx, shop)
			equal(t, got, map[towpath.Digest]time.Time{towpath.HashOf("again"): noon.Add(time.Hour), old: noon})
			return err
		})
	})
}

// TestStore_UnlinksUnused: what was listed as unused may be linked again, or
// named, before it is unlinked; on PostgreSQL in the middle of it.
func TestStore_UnlinksUnused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := store.New(db, events{}, nil)
		young, old, named := towpath.HashOf("young"), towpath.HashOf("old"), towpath.HashOf("named")
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(
				tx.InsertProject(ctx, towpath.Project{Name: shop, CreatedAt: noon}), tx.OpenRepository(ctx, app, noon),
				tx.LinkBlob(ctx, app, young, 3, true, noon), tx.LinkBlob(ctx, app, old, 3, true, noon), tx.LinkBlob(ctx, app, named, 3, true, noon),
			)
		})
		artifact(t, s, "needs", func(a *towpath.Artifact) { a.References = []towpath.Reference{{Digest: named, Size: 3}} })
		later := noon.Add(time.Hour)
		again := func(ctx context.Context, tx *store.Tx) error { return tx.LinkBlob(ctx, app, young, 3, true, later) }
		if db.Dialect() == sqldb.SQLite { // which has one writer
			update(t, s, again)
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			if db.Dialect() == sqldb.Postgres {
				unused, err := tx.Unreferenced(ctx, app, later, 9)
				equal(t, len(unused), 2)
				if err != nil {
					return err
				}
				update(t, s, again)
			}
			for d, want := range map[towpath.Digest]bool{young: false, old: true, named: false} {
				got, err := tx.UnlinkUnused(ctx, app, d, later)
				equal(t, got, want)
				if err != nil {
					return err
				}
			}
			return nil
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.BlobSize(ctx, app, old)
			wantKind(t, err, towpath.KindNotFound)
			_, err = tx.BlobSize(ctx, app, named)
			if err == nil {
				_, err = tx.BlobSize(ctx, app, young)
			}
			return err
		})
	})
}

// TestStore_KeptBlobs: who wants to unlink a blob waits for those who keep it,
// and then sees what they needed it for. SQLite has one writer; only PostgreSQL
// has locks to get wrong.
func TestStore_KeptBlobs(t *testing.T) {
	db := dbtest.Postgres(t)
	s := store.New(db, events{}, nil)
	d := towpath.HashOf("kept")
	needed := errors.New("it is needed")
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertProject(ctx, towpath.Project{Name: shop, CreatedAt: noon}); err != nil {
			return err
		}
		if err := tx.OpenRepository(ctx, app, noon); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, app, d, 3, true, noon)
	})
	unlinked := make(chan error, 1)
	unlink := func() {
		unlinked <- s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.LockBlob(ctx, app, d); err != nil {
				return err
			}
			if by, err := tx.ReferencedBy(ctx, app, d); err != nil || by != "" {
				return errors.Join(err, needed)
			}
			return tx.UnlinkBlob(ctx, app, d)
		})
	}
	update(t, s, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.KeepBlob(ctx, app, d); err != nil {
			return err
		}
		go unlink()
		for waiting := 0; waiting == 0; {
			select {
			case err := <-unlinked:
				t.Fatalf("it was unlinked (%v) while it was kept", err)
			default:
			}
			if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting); err != nil {
				return err
			}
		}
		return tx.SaveArtifact(ctx, towpath.Artifact{
			Repository: app, Digest: towpath.HashOf("new"), MediaType: "application/x", Pushed: noon, References: []towpath.Reference{{Digest: d, Size: 3}},
		})
	})
	if err := <-unlinked; !errors.Is(err, needed) {
		t.Fatalf("it was unlinked though an artifact needs it: %v", err)
	}
}

func set(all []towpath.Digest) map[towpath.Digest]bool {
	out := map[towpath.Digest]bool{}
	for _, d := range all {
		out[d] = true
	}
	return out
}
