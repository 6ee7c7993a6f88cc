package registry_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// ledgerless keeps no events: the ledger has a suite of its own.
type ledgerless struct{}

func (ledgerless) Append(context.Context, *sqldb.Tx, towpath.Event) error { return nil }

// counted keeps how often each action was recorded, and how last.
type counted struct {
	mu   sync.Mutex
	of   map[string]int
	last map[string]towpath.Event
}

func (c *counted) Append(_ context.Context, _ *sqldb.Tx, ev towpath.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[ev.Action]++
	c.last[ev.Action] = ev
	return nil
}

type nothing struct{}

func (nothing) Protected(context.Context, registry.Tx, towpath.ProjectName, towpath.Digest) (string, error) {
	return "", nil
}
func (nothing) Hold(context.Context) (func(context.Context) error, func(), error) {
	return func(context.Context) error { return nil }, func() {}, nil
}

func (nothing) Alone(context.Context) (func(context.Context) error, func(), error) {
	return func(context.Context) error { return nil }, func() {}, nil
}

// world is the use case over a real database and a real disk.
type world struct {
	*registry.Service
	t     *testing.T
	count *counted
	dir   string
	blobs *blob.Disk
	store *store.Store
	now   time.Time
	ana   towpath.Actor
}

const repo = towpath.RepositoryName("shop/app")

func newWorld(t *testing.T, db *sqldb.DB, cfg registry.Config) *world {
	t.Helper()
	w := &world{t: t, count: &counted{of: map[string]int{}, last: map[string]towpath.Event{}}, dir: t.TempDir(), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	w.ana = towpath.Actor{Account: "ana", Token: "t", Grants: []towpath.Grant{{Role: towpath.RoleReleaser}}}
	var err error
	if w.blobs, err = blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(w.dir, "blobs")}); err != nil {
		t.Fatal(err)
	}
	staging, err := blob.NewStaging(blob.DiskConfig{Dir: filepath.Join(w.dir, "uploads")})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(db, w.count, nil)
	w.store = s
	err = s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: w.now})
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Now = func() time.Time { return w.now }
	w.Service = registry.New(cfg, store.For[registry.Tx](s), w.blobs, staging, nothing{}, nothing{})
	return w
}

func each(t *testing.T, cfg registry.Config, f func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) { f(t, newWorld(t, db, cfg)) })
}

func (w *world) begin() registry.Upload {
	w.t.Helper()
	u, err := w.Begin(w.t.Context(), w.ana, repo)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) files() int {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "uploads"))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(entries)
}

func wantCode(t *testing.T, err error, want registry.Code) {
	t.Helper()
	if registry.CodeOf(err) != want {
		t.Fatalf("error %v has the code %q, want %q", err, registry.CodeOf(err), want)
	}
}

func TestService_Expire(t *testing.T) {
	each(t, registry.Config{UploadTTL: time.Hour}, func(t *testing.T, w *world) {
		old, fresh := w.begin(), w.begin()
		for _, u := range []registry.Upload{old, fresh} {
			if _, err := w.Append(t.Context(), w.ana, repo, u.ID, registry.Span{}, strings.NewReader("piece")); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(50 * time.Minute)
		}
		if again, err := w.Expire(t.Context()); again || err != nil {
			t.Fatal(again, err)
		}
		if n := w.files(); n != 1 {
			t.Errorf("%d files are left, want that of the fresh one", n)
		}
		_, err := w.Status(t.Context(), w.ana, repo, old.ID)
		wantCode(t, err, registry.BlobUploadUnknown)
		if _, err := w.Status(t.Context(), w.ana, repo, fresh.ID); err != nil {
			t.Error(err)
		}
		t.Run("and what nobody recorded goes too", func(t *testing.T) {
			orphan := filepath.Join(w.dir, "uploads", "00000000-0000-4000-8000-000000000000.X")
			if err := os.WriteFile(orphan, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			past := w.now.Add(-2 * time.Hour)
			if err := os.Chtimes(orphan, past, past); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Expire(t.Context()); err != nil || w.files() != 1 {
				t.Errorf("%d files are left, %v", w.files(), err)
			}
		})
	})
}

func TestService_Limits(t *testing.T) {
	each(t, registry.Config{MaxBlob: 100, MaxUploads: 3, MaxPieces: 2, MaxManifest: 500}, func(t *testing.T, w *world) {
		ctx := t.Context()
		big := bytes.Repeat([]byte("a"), 101)
		t.Run("of a blob, however it comes", func(t *testing.T) {
			wantCode(t, w.PutBlob(ctx, w.ana, repo, towpath.DigestOf(big), bytes.NewReader(big)), registry.TooLarge)
			u := w.begin()
			wantCode(t, w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf(big), registry.Span{}, bytes.NewReader(big)), registry.TooLarge)
			_, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, bytes.NewReader(big))
			wantCode(t, err, registry.TooLarge)
			if _, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, bytes.NewReader(big[:60])); err != nil {
				t.Fatal(err)
			}
			_, err = w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, bytes.NewReader(big[:41]))
			wantCode(t, err, registry.TooLarge)
			wantCode(t, w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf(big), registry.Span{}, bytes.NewReader(big[60:])), registry.TooLarge)
			_, err = w.Append(ctx, w.ana, repo, u.ID, registry.Span{Given: true, From: 60, To: 200}, bytes.NewReader(big[60:]))
			wantCode(t, err, registry.TooLarge)
			if err := w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf(big[:100]), registry.Span{}, bytes.NewReader(big[60:100])); err != nil {
				t.Errorf("exactly the limit: %v", err)
			}
			if n := w.files(); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
		t.Run("of pieces", func(t *testing.T) {
			u := w.begin()
			for range 2 {
				if _, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, strings.NewReader("x")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, strings.NewReader("x"))
			wantCode(t, err, registry.TooManyRequests)
			if err := w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf([]byte("xx")), registry.Span{}, strings.NewReader("")); err != nil {
				t.Errorf("an upload with all of its pieces can't be ended: %v", err)
			}
		})
		t.Run("of uploads at once", func(t *testing.T) {
			for range 3 {
				w.begin()
			}
			_, err := w.Begin(ctx, w.ana, repo)
			wantCode(t, err, registry.TooManyRequests)
			w.now = w.now.Add(25 * time.Hour)
			if _, err := w.Expire(ctx); err != nil {
				t.Fatal(err)
			}
			w.begin()
		})
		t.Run("of a manifest", func(t *testing.T) {
			_, err := w.Push(ctx, w.ana, registry.PushRequest{Repository: repo, Reference: "big", Manifest: make([]byte, 501)})
			wantCode(t, err, registry.TooLarge)
		})
	})
}

func TestService_Append(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		broken := errors.New("connection reset")
		u := w.begin()
		u, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, iotest.DataErrReader(&cut{left: 7, err: broken}))
		wantCode(t, err, registry.BlobUploadInvalid)
		if u.Size != 7 {
			t.Errorf("%d bytes were kept, want what came before the connection broke", u.Size)
		}
		t.Run("also when the context has ended with the connection", func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			u, err := w.Append(ctx, w.ana, repo, u.ID, registry.Span{}, &cut{left: 5, err: broken, after: cancel})
			wantCode(t, err, registry.BlobUploadInvalid)
			if have, err := w.Status(t.Context(), w.ana, repo, u.ID); err != nil || have.Size != 12 {
				t.Errorf("%d bytes are there, want 12: %v", have.Size, err)
			}
		})
		t.Run("and a wrong digest leaves the upload as it was", func(t *testing.T) {
			wantCode(t, w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf([]byte("other")), registry.Span{}, strings.NewReader("")), registry.DigestInvalid)
			if err := w.Finish(ctx, w.ana, repo, u.ID, towpath.DigestOf(bytes.Repeat([]byte("x"), 12)), registry.Span{}, strings.NewReader("")); err != nil {
				t.Error(err)
			}
		})
	})
}

// cut yields some bytes, then an error.
type cut struct {
	left  int
	err   error
	after func()
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.after != nil {
			c.after()
		}
		return 0, c.err
	}
	n := min(c.left, len(p))
	for i := range n {
		p[i] = 'x'
	}
	c.left -= n
	return n, nil
}

func TestService_DamageIsFound(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		d := towpath.DigestOf([]byte("content"))
		if err := w.PutBlob(ctx, w.ana, repo, d, strings.NewReader("content")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(w.dir, "blobs", "sha256", d.Hex()[:2], d.Hex())
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("c0ntent"), 0o600)); err != nil {
			t.Fatal(err)
		}
		r, err := w.OpenBlob(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := new(bytes.Buffer).ReadFrom(r); towpath.KindOf(err) != towpath.KindInternal {
			t.Errorf("a damaged blob was read: %v", err)
		}
		_, err = w.Blob(ctx, w.ana, repo, d)
		wantCode(t, err, registry.BlobUnknown)
		t.Run("and pushing it again heals it", func(t *testing.T) {
			if err := w.PutBlob(ctx, w.ana, repo, d, strings.NewReader("content")); err != nil {
				t.Fatal(err)
			}
			if size, err := w.Blob(ctx, w.ana, repo, d); err != nil || size != 7 {
				t.Error(size, err)
			}
		})
	})
}

// TestService_MountOwn: what is mounted for a project comes from that project,
// whatever the one who does it may pull from.
func TestService_MountOwn(t *testing.T) {
	each(t, registry.Config{}, func(t *testing.T, w *world) {
		ctx, content := t.Context(), []byte("only others have it")
		d := towpath.DigestOf(content)
		if err := w.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: "billing", CreatedAt: w.now})
		}); err != nil {
			t.Fatal(err)
		}
		if err := w.PutBlob(ctx, towpath.System(), "billing/app", d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		mounts := func(want bool) {
			t.Helper()
			if got, err := w.MountOwn(ctx, towpath.System(), "shop/mirror", d); err != nil || got != want {
				t.Fatalf("mounted %v, %v, want %v", got, err, want)
			}
		}
		mounts(false)
		if _, err := w.Blob(ctx, w.ana, "shop/mirror", d); towpath.KindOf(err) != towpath.KindNotFound {
			t.Fatalf("got %v", err)
		}
		if err := w.PutBlob(ctx, w.ana, repo, d, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		mounts(true)
		if _, err := w.Blob(ctx, w.ana, "shop/mirror", d); err != nil {
			t.Fatal(err)
		}
	})
}
