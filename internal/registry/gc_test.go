package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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

// clocked is the real file system with the test's clock.
type clocked struct {
	blob.OS
	now func() time.Time
}

func (c clocked) Rename(from, to string) error {
	return errors.Join(os.Rename(from, to), os.Chtimes(to, c.now(), c.now()))
}

var root = towpath.Actor{Account: "root", Token: "t", Grants: []towpath.Grant{{Role: towpath.RoleAdmin}, {Role: towpath.RoleReleaser}}}

const grace = 24 * time.Hour

// yard is a registry with a model of what a collection of garbage must leave:
// everything that can be reached from a tag, or was pushed or asked for within
// the time of grace.
type yard struct {
	*registry.Service
	db      *sqldb.DB
	blobs   *blob.Disk
	now     time.Time
	project towpath.ProjectName
	at      func(now func() time.Time, blobs blob.Store) *registry.Service
	model   map[towpath.RepositoryName]*shed
	bytes   map[towpath.Digest]time.Time // of the store
}

type shed struct {
	artifacts map[towpath.Digest]*item
	tags      map[string]towpath.Digest
	blobs     map[towpath.Digest]time.Time
}

type item struct {
	subject towpath.Digest
	refs    []towpath.Digest
	pushed  time.Time
	raw     []byte
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newYard(t fataler, db *sqldb.DB, dir string, n int, collector registry.Collector) *yard {
	t.Helper()
	y := &yard{
		db: db, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), project: towpath.ProjectName(fmt.Sprintf("shop%d", n)),
		model: map[towpath.RepositoryName]*shed{}, bytes: map[towpath.Digest]time.Time{},
	}
	var err error
	fs := clocked{now: y.clock}
	if y.blobs, err = blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(dir, "blobs"), FS: fs}); err != nil {
		t.Fatal(err)
	}
	staging, err := blob.NewStaging(blob.DiskConfig{Dir: filepath.Join(dir, "uploads")})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(db, ledgerless{}, nil)
	err = s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertProject(ctx, towpath.Project{Name: y.project, CreatedAt: y.now})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		y.model[towpath.RepositoryName(string(y.project)+"/"+name)] = &shed{
			artifacts: map[towpath.Digest]*item{}, tags: map[string]towpath.Digest{}, blobs: map[towpath.Digest]time.Time{},
		}
	}
	y.at = func(now func() time.Time, blobs blob.Store) *registry.Service {
		return registry.New(registry.Config{Grace: grace, Now: now}, store.For[registry.Tx](s), blobs, staging, nothing{}, collector)
	}
	y.Service = y.at(y.clock, y.blobs)
	return y
}

func (y *yard) clock() time.Time { return y.now }

func (y *yard) content(i int) []byte {
	return fmt.Appendf(nil, "%s: the content of blob %d", y.project, i)
}

func (y *yard) put(t fataler, r towpath.RepositoryName, i int) {
	b := y.content(i)
	d := towpath.DigestOf(b)
	if err := y.PutBlob(context.Background(), root, r, d, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	y.model[r].blobs[d], y.bytes[d] = y.now, y.now
}

type desc map[string]any

// manifest is an image of some blobs, or an index of some manifests.
func manifest(refs []towpath.Digest, size func(towpath.Digest) int, index bool, subject towpath.Digest, salt string) []byte {
	list := []desc{}
	for _, d := range refs {
		list = append(list, desc{"mediaType": "application/x", "digest": d, "size": size(d)})
	}
	m := desc{"schemaVersion": 2, "annotations": desc{"salt": salt}}
	if index {
		m["mediaType"], m["manifests"] = "application/vnd.oci.image.index.v1+json", list
	} else {
		m["mediaType"], m["config"], m["layers"] = "application/vnd.oci.image.manifest.v1+json", list[0], list[1:]
	}
	if subject != "" {
		m["subject"] = desc{"mediaType": "application/x", "digest": subject, "size": 1}
	}
	raw, _ := json.Marshal(m)
	return raw
}

func sorted[V any](m map[towpath.Digest]V) []towpath.Digest { return slices.Sorted(maps.Keys(m)) }

// push pushes something made of what the repository has.
func (y *yard) push(t *rapid.T, r towpath.RepositoryName) {
	s := y.model[r]
	it := item{pushed: y.now}
	index := len(s.artifacts) > 0 && rapid.IntRange(0, 3).Draw(t, "index") == 0
	from := sorted(s.blobs)
	if index {
		from = sorted(s.artifacts)
	}
	if len(from) == 0 {
		return
	}
	it.refs = rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 3, rapid.ID).Draw(t, "refs")
	if len(s.artifacts) > 0 && rapid.Bool().Draw(t, "about something") {
		it.subject = rapid.SampledFrom(sorted(s.artifacts)).Draw(t, "subject")
	} else if rapid.IntRange(0, 5).Draw(t, "about nothing known") == 0 {
		it.subject = towpath.DigestOf([]byte("nobody has this"))
	}
	it.raw = manifest(it.refs, func(d towpath.Digest) int {
		if a := s.artifacts[d]; index && a != nil {
			return len(a.raw)
		}
		return len(y.content(0)) // all have the same size: i has one digit
	}, index, it.subject, rapid.StringMatching(`[ab]`).Draw(t, "salt"))
	d := towpath.DigestOf(it.raw)
	ref := string(d)
	if rapid.Bool().Draw(t, "tagged") {
		ref = rapid.SampledFrom([]string{"one", "two"}).Draw(t, "tag")
		s.tags[ref] = d
	}
	if _, err := y.Push(context.Background(), root, registry.PushRequest{Repository: r, Reference: ref, Manifest: it.raw}); err != nil {
		t.Fatal(err)
	}
	s.artifacts[d], y.bytes[d] = &it, y.now
}

// named reports whether a tag or an artifact of a shed names a digest.
func (s *shed) named(d towpath.Digest, tags bool) bool {
	if tags {
		for _, tagged := range s.tags {
			if tagged == d {
				return true
			}
		}
	}
	for _, a := range s.artifacts {
		if slices.Contains(a.refs, d) {
			return true
		}
	}
	return false
}

// collect is what a collection has to do, said as simply as it can be.
func (y *yard) collect(untagged time.Duration) (given registry.GivenUp, deleted int) {
	before := y.now.Add(-grace)
	given.Project = y.project
	for _, s := range y.model {
		for again := true; again; {
			again = false
			for d, a := range s.artifacts {
				if s.named(d, true) {
					continue
				}
				_, has := s.artifacts[a.subject]
				switch {
				case a.subject != "" && !has && a.pushed.Before(before):
					given.Dangling++
				case a.subject == "" && untagged > 0 && a.pushed.Before(y.now.Add(-untagged)):
					given.Untagged++
				default:
					continue
				}
				delete(s.artifacts, d)
				again = true
			}
		}
		for d, linked := range s.blobs {
			if linked.Before(before) && !s.named(d, false) {
				delete(s.blobs, d)
				given.Unused++
			}
		}
	}
	for d, written := range y.bytes {
		held := false
		for _, s := range y.model {
			_, blob := s.blobs[d]
			held = held || blob || s.artifacts[d] != nil
		}
		if written.Before(before) && !held {
			delete(y.bytes, d)
			deleted++
		}
	}
	return given, deleted
}

// compare makes sure that the registry has what the model has.
func (y *yard) compare(t fataler) {
	t.Helper()
	for r, s := range y.model {
		if got, want := y.column(t, "registry_artifact", r), sorted(s.artifacts); !slices.Equal(got, want) {
			t.Fatalf("%s has the artifacts %v, want %v", r, got, want)
		}
		if got, want := y.column(t, "registry_blob", r), sorted(s.blobs); !slices.Equal(got, want) {
			t.Fatalf("%s has the blobs %v, want %v", r, got, want)
		}
	}
	var got []towpath.Digest
	err := y.blobs.Walk(context.Background(), func(i blob.Info) error { got = append(got, i.Digest); return nil })
	if want := sorted(y.bytes); err != nil || !slices.Equal(got, want) {
		t.Fatalf("the store has %v, want %v (%v)", got, want, err)
	}
}

func (y *yard) column(t fataler, table string, r towpath.RepositoryName) []towpath.Digest {
	rows, err := y.db.Query(context.Background(), "SELECT digest FROM "+table+" WHERE repository = $1", r)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []towpath.Digest
	for rows.Next() {
		var d towpath.Digest
		if err := rows.Scan(&d); err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

func (y *yard) gc(t fataler, g registry.Garbage) (registry.GivenUp, int) {
	t.Helper()
	out, err := y.CollectGarbage(context.Background(), root, g)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range out.Projects {
		if p.Project == y.project {
			return p, out.Deleted.Blobs
		}
	}
	return registry.GivenUp{Project: y.project}, out.Deleted.Blobs
}

// dying is a store whose server dies when records are given up and bytes are
// not yet.
type dying struct{ *blob.Disk }

var errDied = errors.New("died")

func (dying) Walk(context.Context, func(blob.Info) error) error { return errDied }

func (y *yard) clear(t fataler) {
	for _, table := range []string{"registry_tag", "registry_artifact", "registry_blob"} {
		if _, err := y.db.Exec(context.Background(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := y.db.Exec(context.Background(), "DELETE FROM registry_repository"); err != nil {
		t.Fatal(err)
	}
}

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

// shared is a blob of an artifact: the first is its own, and every fifth
// artifact of all pushers has the same second one.
func shared(p, i, k int) []byte {
	if k == 1 {
		return fmt.Appendf(nil, "the same for %d", i%5)
	}
	return fmt.Appendf(nil, "own %d %d", p, i)
}

// pushWhole pushes an artifact as clients do: blobs that are not there, then the
// manifest with its tag.
func (y *yard) pushWhole(r towpath.RepositoryName, p, i int) error {
	ctx := context.Background()
	var refs []towpath.Digest
	sizes := map[towpath.Digest]int{}
	for k := range 2 {
		b := shared(p, i, k)
		d := towpath.DigestOf(b)
		refs, sizes[d] = append(refs, d), len(b)
		if _, err := y.Blob(ctx, root, r, d); err == nil {
			continue
		}
		if err := y.PutBlob(ctx, root, r, d, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	raw := manifest(refs, func(d towpath.Digest) int { return sizes[d] }, false, "", "")
	_, err := y.Push(ctx, root, registry.PushRequest{Repository: r, Reference: fmt.Sprintf("t%d-%d", p, i), Manifest: raw})
	return err
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
