package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestService_CollectGarbage(t *testing.T) {
	dbtest.Each(t, func(outer *testing.T, db *sqldb.DB) {
		n := 0
		rapid.Check(outer, func(t *rapid.T) {
			n++
			y := newYard(t, db, outer.TempDir(), n, nothing{})
			defer y.clear(t) // or the next one collects it too
			repository := rapid.SampledFrom(slices.Sorted(maps.Keys(y.model)))
			ctx := context.Background()
			t.Repeat(map[string]func(*rapid.T){
				"put a blob": func(t *rapid.T) { y.put(t, repository.Draw(t, "repository"), rapid.IntRange(0, 5).Draw(t, "blob")) },
				"push":       func(t *rapid.T) { y.push(t, repository.Draw(t, "repository")) },
				"push again": func(t *rapid.T) {
					r := repository.Draw(t, "repository")
					s := y.model[r]
					if len(s.artifacts) == 0 {
						return
					}
					d := rapid.SampledFrom(sorted(s.artifacts)).Draw(t, "manifest")
					if _, err := y.Push(ctx, root, registry.PushRequest{Repository: r, Reference: string(d), Manifest: s.artifacts[d].raw}); err != nil {
						t.Fatal(err)
					}
					s.artifacts[d].pushed, y.bytes[d] = y.now, y.now
				},
				"ask for a blob": func(t *rapid.T) {
					r := repository.Draw(t, "repository")
					d := towpath.DigestOf(y.content(rapid.IntRange(0, 5).Draw(t, "blob")))
					_, err := y.Blob(ctx, root, r, d)
					linked, has := y.model[r].blobs[d]
					if has != (err == nil) {
						t.Fatalf("there is the blob: %v, and it was found with %v", has, err)
					}
					if has && y.now.Sub(linked) >= grace/2 {
						y.model[r].blobs[d] = y.now
					}
				},
				"mount": func(t *rapid.T) {
					r, from := repository.Draw(t, "repository"), repository.Draw(t, "from")
					d := towpath.DigestOf(y.content(rapid.IntRange(0, 5).Draw(t, "blob")))
					_, has := y.model[from].blobs[d]
					if done, err := y.Mount(ctx, root, r, d, from); err != nil || done != has {
						t.Fatalf("mounted = %v, %v, want %v", done, err, has)
					}
					if has {
						y.model[r].blobs[d] = y.now
					}
				},
				"delete a tag": func(t *rapid.T) {
					r := repository.Draw(t, "repository")
					tag := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "tag")
					_, has := y.model[r].tags[tag]
					if err := y.Delete(ctx, root, r, tag); has != (err == nil) {
						t.Fatalf("deleted = %v", err)
					}
					delete(y.model[r].tags, tag)
				},
				"delete a manifest": func(t *rapid.T) {
					r := repository.Draw(t, "repository")
					s := y.model[r]
					if len(s.artifacts) == 0 {
						return
					}
					d := rapid.SampledFrom(sorted(s.artifacts)).Draw(t, "manifest")
					if err := y.Delete(ctx, root, r, string(d)); s.named(d, false) == (err == nil) {
						t.Fatalf("deleted = %v", err)
					} else if err != nil {
						return
					}
					delete(s.artifacts, d)
					maps.DeleteFunc(s.tags, func(_ string, tagged towpath.Digest) bool { return tagged == d })
				},
				"wait": func(t *rapid.T) { y.now = y.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour) },
				"collect": func(t *rapid.T) {
					g := registry.Garbage{UntaggedAge: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 100}).Draw(t, "untagged")) * time.Hour}
					dry := g
					dry.DryRun = true
					would, wouldDelete := y.gc(t, dry)
					y.compare(t)
					did, deleted := y.gc(t, g)
					want, wantDeleted := y.collect(g.UntaggedAge)
					if did != want || deleted != wantDeleted {
						t.Fatalf("it gave up %+v and deleted %d, want %+v and %d", did, deleted, want, wantDeleted)
					}
					if would != did || wouldDelete != deleted {
						t.Fatalf("the dry run said %+v and %d, and it gave up %+v and %d", would, wouldDelete, did, deleted)
					}
				},
				"collect and die": func(t *rapid.T) {
					_, err := y.at(y.clock, dying{y.blobs}).CollectGarbage(ctx, root, registry.Garbage{})
					if !errors.Is(err, errDied) {
						t.Fatal(err)
					}
					was := maps.Clone(y.bytes)
					y.collect(0)
					y.bytes = was
				},
				"": func(t *rapid.T) { y.compare(t) },
			})
		})
	})
}

// latched is the real thing in one process: who pushes shares it, who collects
// has it alone.
type latched struct {
	sync.RWMutex
	lost atomic.Bool
}

func (l *latched) Hold(context.Context) (func(context.Context) error, func(), error) {
	l.RLock()
	return l.check, l.RUnlock, nil
}

func (l *latched) Alone(context.Context) (func(context.Context) error, func(), error) {
	l.Lock()
	return l.check, l.Unlock, nil
}

func (l *latched) check(context.Context) error {
	if l.lost.Load() {
		return towpath.E(towpath.KindLocked, "test", "the lock was lost")
	}
	return nil
}

// What is acknowledged was found to be there while nobody could delete it: who
// lost the right to say so acknowledges nothing.
func TestService_Push_LatchLost(t *testing.T) {
	latch := new(latched)
	y := newYard(t, dbtest.SQLite(t), t.TempDir(), 0, latch)
	r := towpath.RepositoryName(y.project + "/a")
	if err := y.pushWhole(r, 0, 0); err != nil {
		t.Fatal(err)
	}
	latch.lost.Store(true)
	d := towpath.DigestOf(shared(0, 0, 0))
	if err := y.PutBlob(t.Context(), root, r, d, bytes.NewReader(shared(0, 0, 0))); towpath.KindOf(err) != towpath.KindLocked {
		t.Errorf("a blob: %v", err)
	}
	if _, err := y.Mount(t.Context(), root, towpath.RepositoryName(y.project+"/b"), d, r); towpath.KindOf(err) != towpath.KindLocked {
		t.Errorf("a blob from another repository: %v", err)
	}
	a, err := y.Manifest(t.Context(), root, r, "t0-0")
	if err != nil {
		t.Fatal(err)
	}
	content, err := y.Content(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.Push(t.Context(), root, registry.PushRequest{Repository: r, Reference: "again", ContentType: a.MediaType, Manifest: content})
	if towpath.KindOf(err) != towpath.KindLocked {
		t.Errorf("a manifest: %v", err)
	}
}

// Everything is older than the time of grace at once, so that nothing but the
// order of its steps protects who pushes from who collects.
func TestService_CollectGarbage_WhilePushing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		y := newYard(t, db, t.TempDir(), 0, new(latched))
		late := y.now.Add(2 * grace)
		collector := y.at(func() time.Time { return late }, y.blobs)
		r := towpath.RepositoryName(y.project + "/a")
		done, rounds := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			defer func() { rounds <- n }()
			for ; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := collector.CollectGarbage(context.Background(), root, registry.Garbage{}); err != nil {
					t.Error(err)
				}
			}
		}()
		var pushers sync.WaitGroup
		var retried atomic.Int64
		for p := range 4 {
			pushers.Go(func() {
				for i := range 15 {
					for tries := 0; ; tries++ {
						err := y.pushWhole(r, p, i)
						if err == nil {
							break
						}
						code := registry.CodeOf(err)
						if code != registry.ManifestBlobUnknown && towpath.KindOf(err) != towpath.KindUnavailable && towpath.KindOf(err) != towpath.KindNotFound {
							t.Errorf("a push failed: %v", err)
							return
						}
						retried.Add(1)
					}
				}
			})
		}
		pushers.Wait()
		close(done)
		if n := <-rounds; n == 0 {
			t.Error("nothing was collected while somebody pushed")
		}
		t.Logf("%d pushes were tried again", retried.Load())
		if _, err := collector.CollectGarbage(t.Context(), root, registry.Garbage{}); err != nil {
			t.Fatal(err)
		}
		for p := range 4 {
			for i := range 15 {
				a, err := y.Manifest(t.Context(), root, r, fmt.Sprintf("t%d-%d", p, i))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := y.Content(t.Context(), a); err != nil {
					t.Error(err)
				}
				for k := range 2 {
					d := towpath.DigestOf(shared(p, i, k))
					if _, err := y.Blob(t.Context(), root, r, d); err != nil {
						t.Errorf("%d-%d lacks a blob: %v", p, i, err)
					}
					if _, err := blob.ReadAll(t.Context(), y.blobs, d, 1000); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

// pushing pushes again what was listed to be given up, before that is done.
type pushing struct {
	registry.Store
	again func()
}

func (p pushing) Update(ctx context.Context, f func(context.Context, registry.Tx) error) error {
	return p.Store.Update(ctx, func(ctx context.Context, tx registry.Tx) error { return f(ctx, pushingTx{tx, p.again}) })
}

type pushingTx struct {
	registry.Tx
	again func()
}

func (p pushingTx) Untagged(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	all, err := p.Tx.Untagged(ctx, r, before, limit)
	if len(all) > 0 {
		p.again()
	}
	return all, err
}

func (p pushingTx) Dangling(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]registry.Bytes, error) {
	all, err := p.Tx.Dangling(ctx, r, before, limit)
	if len(all) > 0 {
		p.again()
	}
	return all, err
}

// What is pushed again between being listed and being deleted is not given up. SQLite
// has one writer; only PostgreSQL lets anybody do so.
func TestService_CollectGarbage_PushedAgain(t *testing.T) {
	db := dbtest.Postgres(t)
	for name, subject := range map[string]towpath.Digest{"untagged": "", "dangling": towpath.DigestOf([]byte("nobody has this"))} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, db, t.TempDir(), len(subject), nothing{})
			r := towpath.RepositoryName(y.project + "/a")
			y.put(t, r, 1)
			raw := manifest([]towpath.Digest{towpath.DigestOf(y.content(1))}, func(towpath.Digest) int { return len(y.content(1)) }, false, subject, name)
			pushes := 0
			push := func() {
				pushes++
				if _, err := y.Push(t.Context(), root, registry.PushRequest{Repository: r, Reference: string(towpath.DigestOf(raw)), Manifest: raw}); err != nil {
					t.Error(err)
				}
			}
			push()
			y.now = y.now.Add(2 * grace)
			collector := registry.New(registry.Config{Grace: grace, Now: y.clock}, pushing{store.For[registry.Tx](store.New(db, ledgerless{}, nil)), push}, y.blobs, nil, nothing{}, nothing{})
			out, err := collector.CollectGarbage(t.Context(), root, registry.Garbage{UntaggedAge: grace})
			if err != nil || len(out.Projects) != 0 || pushes != 2 {
				t.Errorf("it gave up %+v after %d pushes: %v", out.Projects, pushes, err)
			}
			a, err := y.Manifest(t.Context(), root, r, string(towpath.DigestOf(raw)))
			if err == nil {
				_, err = y.Content(t.Context(), a)
			}
			if err != nil {
				t.Errorf("what was acknowledged is gone: %v", err)
			}
		})
	}
}

func TestService_CollectGarbage_Refuses(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		_, err := w.CollectGarbage(t.Context(), w.ana, registry.Garbage{})
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("a releaser may collect: %v", err)
		}
		_, err = w.CollectGarbage(t.Context(), root, registry.Garbage{UntaggedAge: time.Second})
		if towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("a second was taken: %v", err)
		}
	})
}

func TestService_Usage(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		y := newYard(t, db, t.TempDir(), 1, nothing{})
		a, b := y.project+"/a", y.project+"/b"
		y.put(t, towpath.RepositoryName(a), 1)
		y.put(t, towpath.RepositoryName(a), 2)
		y.put(t, towpath.RepositoryName(b), 2) // once in the project
		size := int64(len(y.content(1)))
		y.now = y.now.Add(2 * grace)
		got, err := y.Usage(t.Context(), root, "")
		want := registry.ProjectUsage{Project: y.project, Repositories: 2, Blobs: 2, Bytes: 2 * size}
		if err != nil || len(got.Projects) != 1 || got.Projects[0] != want {
			t.Fatalf("usage = %+v, %v, want %+v", got, err, want)
		}
		if got.Store == nil || *got.Store != (registry.Size{Blobs: 2, Bytes: 2 * size}) || got.Reclaimable == nil || *got.Reclaimable != *got.Store {
			t.Errorf("the store has %+v, of which %+v can be reclaimed", got.Store, got.Reclaimable)
		}
		viewer := towpath.Actor{Account: "v", Token: "t", Grants: []towpath.Grant{{Role: towpath.RoleViewer, Project: y.project}}}
		if got, err := y.Usage(t.Context(), viewer, ""); err != nil || len(got.Projects) != 1 || got.Store != nil || got.Reclaimable != nil {
			t.Errorf("a viewer sees %+v, %v", got, err)
		}
		if _, err := y.Usage(t.Context(), viewer, "other"); towpath.KindOf(err) == "" {
			t.Error("a viewer sees another project")
		}
	})
}
