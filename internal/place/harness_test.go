package place_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// ledgerless records nothing.
type ledgerless struct{}

func (ledgerless) Append(context.Context, *sqldb.Tx, towpath.Event) error { return nil }

// latched is the real thing in one process: who relies on a blob shares it, who
// deletes has it alone.
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

// clocked is the real file system with the test's clock.
type clocked struct {
	blob.OS
	now func() time.Time
}

func (c clocked) Rename(from, to string) error {
	return errors.Join(os.Rename(from, to), os.Chtimes(to, c.now(), c.now()))
}

// far is a registry in memory.
type far struct {
	mu    sync.Mutex
	has   map[towpath.Digest][]byte
	down  bool
	reads int
}

func (f *far) ask(d v1.Descriptor) ([]byte, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, false, towpath.E(towpath.KindUnavailable, "far", "it is down")
	}
	b, ok := f.has[towpath.Digest(d.Digest)]
	return b, ok, nil
}

// HasBlob implements [place.Registry].
func (f *far) HasBlob(_ context.Context, d v1.Descriptor) (bool, error) {
	_, ok, err := f.ask(d)
	return ok, err
}

// Blob implements [place.Registry].
func (f *far) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	b, ok, err := f.ask(d)
	if err == nil && !ok {
		err = towpath.E(towpath.KindNotFound, "far", "it is not there")
	}
	f.mu.Lock()
	f.reads++
	f.mu.Unlock()
	return io.NopCloser(bytes.NewReader(b)), err
}

func (f *far) put(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.has[towpath.DigestOf(b)] = b
}

func (f *far) lose(d towpath.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.has, d)
}

func (f *far) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// using are the layers in use.
type using struct {
	mu     sync.Mutex
	layers map[towpath.Digest]bool
}

func (u *using) InUse(context.Context, place.Tx, towpath.ProjectName) (map[towpath.Digest]bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.layers), nil
}

const (
	shop  = towpath.ProjectName("shop")
	other = towpath.ProjectName("other") // which has no place at first
	fresh = 10 * time.Minute
	keep  = 24 * time.Hour
)

// yard is two servers over one store and one database.
type yard struct {
	t       fataler
	records *store.Store
	local   *blob.Disk
	far     *far
	using   *using
	latch   *latched
	servers [2]*place.Keeper
	mu      sync.Mutex
	at      time.Time
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newYard(t fataler, db *sqldb.DB, dir string, freshness time.Duration) *yard {
	t.Helper()
	y := &yard{
		t: t, far: &far{has: map[towpath.Digest][]byte{}}, using: &using{layers: map[towpath.Digest]bool{}}, latch: new(latched),
		at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), records: store.New(db, ledgerless{}, nil),
	}
	for i := range y.servers {
		local, err := blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(dir, "blobs"), FS: clocked{now: y.now}})
		if err != nil {
			t.Fatal(err)
		}
		y.local = local
		y.servers[i] = place.NewKeeper(place.New(place.Config{
			Now: y.now, Fresh: freshness, Attempts: 3, Backoff: reconcile.Backoff{Base: time.Microsecond},
			Connect: func(towpath.ReplicationRule) (place.Registry, error) { return y.far, nil },
		}, store.For[place.Tx](y.records), local), y.using, y.latch)
	}
	return y
}

func (y *yard) now() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.at
}

func (y *yard) pass(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.at = y.at.Add(d)
}

func (y *yard) update(f func(ctx context.Context, tx *store.Tx) error) {
	y.t.Helper()
	if err := y.records.Update(context.Background(), f); err != nil {
		y.t.Fatal(err)
	}
}

// found makes the projects anew, without places.
func (y *yard) found() {
	y.t.Helper()
	y.update(func(ctx context.Context, tx *store.Tx) error {
		for _, q := range []string{"placed_layer", "replication_rule", "registry_blob", "registry_repository", "project"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+q); err != nil {
				return err
			}
		}
		for _, p := range []towpath.ProjectName{shop, other} {
			err := errors.Join(tx.InsertProject(ctx, towpath.Project{Name: p, CreatedAt: y.now()}), tx.OpenRepository(ctx, towpath.ReleaseRepository(p), y.now()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func ruleOf(p towpath.ProjectName) towpath.ReplicationRule {
	return towpath.ReplicationRule{Project: p, Name: "home", To: "far.example/" + string(p), Place: &towpath.PlaceRule{Keep: keep}}
}

func content(i int) []byte          { return fmt.Appendf(nil, "the content of layer %03d", i) }
func digestOf(i int) towpath.Digest { return towpath.DigestOf(content(i)) }
func size() int64                   { return int64(len(content(0))) }
func kind(err error) towpath.Kind   { return towpath.KindOf(err) }

func placed(p towpath.ProjectName, i int) towpath.Placed {
	return towpath.Placed{Project: p, Rule: "home", Digest: digestOf(i), Size: size()}
}

// put stores a layer, as a builder does that does not find it.
func (y *yard) put(s *place.Keeper, i int) error {
	_, _, err := s.Put(context.Background(), digestOf(i), bytes.NewReader(content(i)), 100)
	return err
}

// link records that a project has a layer, as publishing does: it looks whether
// it is there while nobody deletes.
func (y *yard) link(s *place.Keeper, p towpath.ProjectName, i int) error {
	ctx := context.Background()
	_, release, _ := y.latch.Hold(ctx)
	defer release()
	if _, err := s.Stat(ctx, digestOf(i)); err != nil {
		return err
	}
	return y.records.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.LinkBlob(ctx, towpath.ReleaseRepository(p), digestOf(i), size(), false, y.now())
	})
}

// copied is what replication does: it brings a layer there, compares it, and
// says so unless the place is ending.
func (y *yard) copied(p towpath.ProjectName, i int) error {
	y.far.put(content(i))
	return y.records.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		rule, err := tx.ReplicationRule(ctx, p, "home")
		if err != nil || !rule.IsPlace() {
			return err
		}
		return tx.PlaceLayer(ctx, placed(p, i))
	})
}

func (y *yard) here(i int) bool {
	_, err := y.local.Stat(context.Background(), digestOf(i))
	return err == nil
}

func (y *yard) read(s *place.Keeper, i int) error {
	r, n, err := s.Open(context.Background(), digestOf(i))
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && (string(b) != string(content(i)) || n != size()) {
		y.t.Fatalf("layer %d is %q, of %d bytes", i, b, n)
	}
	return err
}

func says(err error, what string) bool {
	message, _ := towpath.PublicMessage(err)
	return strings.Contains(message, what)
}
