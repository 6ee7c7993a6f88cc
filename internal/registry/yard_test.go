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
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
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
