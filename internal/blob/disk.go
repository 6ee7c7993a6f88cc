package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// DiskConfig says where a [Disk] keeps its blobs.
type DiskConfig struct {
	Dir string
	FS  FS // nil: [OS]
}

// Disk is a [Store] in one directory of one file system:
//
//	sha256/ab/abcdef…          blobs, read-only; beside it sha512/
//	sha256/ab/abcdef….corrupt  blobs that were found damaged
//	tmp/                       what is being written
//
// Several processes may share it.
type Disk struct {
	dir string
	fs  FS
	// names is held while a name is given to a blob or taken from it, so that
	// a healed blob is not put aside for the damaged one it replaced.
	names sync.Mutex
	// shards are the directories whose own names are durable; guarded by names.
	shards  map[string]bool
	buffers buffers
}

var _ Store = (*Disk)(nil)

// NewDisk makes the store's directory, and those above it, durably.
func NewDisk(cfg DiskConfig) (*Disk, error) {
	const op = "blob.open-store"
	if cfg.Dir == "" {
		return nil, towpath.E(towpath.KindInvalid, op, "the blob store has no directory").
			WithHint("set the directory of the blob store")
	}
	d := &Disk{dir: filepath.Clean(cfg.Dir), fs: cfg.FS, shards: map[string]bool{}}
	if d.fs == nil {
		d.fs = OS{}
	}
	there := filepath.Dir(d.dir) // the lowest directory above that exists
	for there != filepath.Dir(there) {
		if _, err := d.fs.Stat(there); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		there = filepath.Dir(there)
	}
	for _, dir := range []string{d.tmp(), d.root(towpath.SHA256), d.root(towpath.SHA512)} {
		if err := d.fs.MkdirAll(dir); err != nil {
			return nil, diskError(op, "the directory "+dir+" can't be made", err)
		}
	}
	for dir := d.dir; ; dir = filepath.Dir(dir) {
		if err := d.fs.SyncDir(dir); err != nil {
			return nil, diskError(op, "the directory "+dir+" can't be synced", err)
		}
		if dir == there || dir == filepath.Dir(dir) {
			return d, nil
		}
	}
}

func (d *Disk) tmp() string                  { return filepath.Join(d.dir, "tmp") }
func (d *Disk) root(algorithm string) string { return filepath.Join(d.dir, algorithm) }

// place is the directory of a blob and its path.
func (d *Disk) place(dg towpath.Digest) (shard, path string) {
	shard = filepath.Join(d.root(dg.Algorithm()), dg.Encoded()[:2])
	return shard, filepath.Join(shard, dg.Encoded())
}

func valid(op string, dg towpath.Digest) error {
	if dg.Algorithm() == "" {
		return towpath.E(towpath.KindInvalid, op, "%q is not a digest", dg).
			WithHint("a digest is sha256: and 64 hex digits, or sha512: and 128")
	}
	return nil
}

// Open opens a blob; its reader verifies and, on damage, puts the blob aside.
func (d *Disk) Open(ctx context.Context, dg towpath.Digest) (io.ReadCloser, int64, error) {
	const op = "blob.open"
	if err := valid(op, dg); err != nil {
		return nil, 0, err
	}
	_, path := d.place(dg)
	f, err := d.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, notFound(op, dg)
	} else if err != nil {
		return nil, 0, readError(op, dg, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, readError(op, dg, errors.Join(err, f.Close()))
	}
	return newVerifier(ctx, f, dg, info.Size(), func() error { return d.quarantine(op, dg) }), info.Size(), nil
}

// Stat describes a blob.
func (d *Disk) Stat(_ context.Context, dg towpath.Digest) (Info, error) {
	const op = "blob.stat"
	if err := valid(op, dg); err != nil {
		return Info{}, err
	}
	_, path := d.place(dg)
	info, err := d.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, notFound(op, dg)
	} else if err != nil {
		return Info{}, readError(op, dg, err)
	}
	return Info{Digest: dg, Size: info.Size(), Written: info.ModTime()}, nil
}

// Touch makes a blob young again.
func (d *Disk) Touch(_ context.Context, dg towpath.Digest, now time.Time) error {
	const op = "blob.touch"
	if err := valid(op, dg); err != nil {
		return err
	}
	_, path := d.place(dg)
	d.names.Lock()
	defer d.names.Unlock()
	switch err := d.fs.Chtimes(path, now); {
	case errors.Is(err, fs.ErrNotExist):
		return notFound(op, dg)
	case err != nil:
		return diskError(op, "blob "+string(dg)+" can't be marked as used", err)
	}
	return nil
}

// Delete removes a blob durably.
func (d *Disk) Delete(_ context.Context, dg towpath.Digest) error {
	const op = "blob.delete"
	if err := valid(op, dg); err != nil {
		return err
	}
	d.names.Lock()
	defer d.names.Unlock()
	return d.remove(op, dg)
}

// DeleteOlder removes a blob durably that was last put or touched before a
// time.
func (d *Disk) DeleteOlder(_ context.Context, dg towpath.Digest, before time.Time) (bool, error) {
	const op = "blob.delete"
	if err := valid(op, dg); err != nil {
		return false, err
	}
	_, path := d.place(dg)
	d.names.Lock()
	defer d.names.Unlock()
	switch info, err := d.fs.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, readError(op, dg, err)
	case !info.ModTime().Before(before):
		return false, nil
	}
	return true, d.remove(op, dg)
}

// remove removes a blob; the caller holds names.
func (d *Disk) remove(op string, dg towpath.Digest) error {
	shard, path := d.place(dg)
	switch err := d.fs.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return diskError(op, "blob "+string(dg)+" can't be deleted", err)
	}
	if err := d.fs.SyncDir(shard); err != nil {
		return diskError(op, "blob "+string(dg)+" can't be deleted durably", err)
	}
	return nil
}

// Walk lists the blobs.
func (d *Disk) Walk(ctx context.Context, visit func(Info) error) error {
	for _, algorithm := range []string{towpath.SHA256, towpath.SHA512} {
		if err := d.walk(ctx, algorithm, visit); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) walk(ctx context.Context, algorithm string, visit func(Info) error) error {
	const op = "blob.walk"
	shards, err := d.fs.ReadDir(d.root(algorithm))
	if err != nil {
		return diskError(op, "the store can't be listed", err)
	}
	for _, shard := range shards {
		entries, err := d.fs.ReadDir(filepath.Join(d.root(algorithm), shard.Name()))
		if err != nil {
			return diskError(op, "the store can't be listed", err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			dg := towpath.Digest(algorithm + ":" + e.Name())
			if dg.Algorithm() == "" || !strings.HasPrefix(e.Name(), shard.Name()) {
				continue // put aside, or not ours
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return diskError(op, "the store can't be listed", err)
			}
			if err := visit(Info{Digest: dg, Size: info.Size(), Written: info.ModTime()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sweep removes what writers that died before a time left behind, and says how
// many files that were. Nothing in it was ever acknowledged.
func (d *Disk) Sweep(_ context.Context, before time.Time) (int, error) {
	const op = "blob.sweep"
	entries, err := d.fs.ReadDir(d.tmp())
	if err != nil {
		return 0, diskError(op, "the store can't be listed", err)
	}
	n := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue
		}
		if err := d.fs.Remove(filepath.Join(d.tmp(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, diskError(op, "a left-over file can't be removed", err)
		}
		n++
	}
	return n, nil
}
