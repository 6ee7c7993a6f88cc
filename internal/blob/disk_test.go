package blob_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/blobtest"
	"github.com/towpath/towpath/internal/towpathtest/faultfs"
)

func newDisk(t *testing.T, dir string, fs blob.FS) *blob.Disk {
	t.Helper()
	d, err := blob.NewDisk(blob.DiskConfig{Dir: dir, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pathOf(dir string, d towpath.Digest) string {
	return filepath.Join(dir, d.Algorithm(), d.Encoded()[:2], d.Encoded())
}

func TestDisk_conformance(t *testing.T) {
	dirs := map[blob.Store]string{}
	blobtest.Run(t, blobtest.Subject{
		New: func(t *testing.T) blob.Store {
			dir := t.TempDir()
			d := newDisk(t, dir, nil)
			dirs[d] = dir
			return d
		},
		Damage: func(t *testing.T, s blob.Store, d towpath.Digest) {
			path := pathOf(dirs[s], d)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestDisk_conformanceInMemory(t *testing.T) {
	disks := map[blob.Store]*faultfs.FS{}
	blobtest.Run(t, blobtest.Subject{
		New: func(t *testing.T) blob.Store {
			fs := faultfs.New()
			d := newDisk(t, "/blobs", fs)
			disks[d] = fs
			return d
		},
		Damage: func(t *testing.T, s blob.Store, d towpath.Digest) {
			if err := disks[s].Corrupt(pathOf("/blobs", d), 0); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestDisk_Put(t *testing.T) {
	t.Run("leaves a read-only file and nothing in tmp", func(t *testing.T) {
		dir := t.TempDir()
		d, _, err := newDisk(t, dir, nil).Put(t.Context(), "", strings.NewReader("content"), 100)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(pathOf(dir, d))
		if err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Fatalf("mode %v, %v", info.Mode(), err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Fatalf("left %v, %v", left, err)
		}
	})
	t.Run("says that the disk is full, and what to do", func(t *testing.T) {
		for n := 1; n <= 6; n++ { // create, write, sync, …
			fs := faultfs.New()
			s := newDisk(t, "/blobs", fs)
			fs.FailAt(n, syscall.ENOSPC)
			_, _, err := s.Put(t.Context(), "", strings.NewReader("content"), 100)
			var e *towpath.Error
			if !errors.As(err, &e) || e.Kind != towpath.KindExhausted || !strings.Contains(e.Hint, "make room") {
				t.Fatalf("operation %d (%v): %v", n, fs.Journal(), err)
			}
		}
	})
	t.Run("needs a limit", func(t *testing.T) {
		if _, _, err := newDisk(t, t.TempDir(), nil).Put(t.Context(), "", strings.NewReader(""), 0); err == nil {
			t.Fatal("no error")
		}
	})
}

func TestDisk_Sweep(t *testing.T) {
	dir := t.TempDir()
	s := newDisk(t, dir, nil)
	old, fresh := filepath.Join(dir, "tmp", "old"), filepath.Join(dir, "tmp", "fresh")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for path, age := range map[string]time.Duration{old: -time.Hour, fresh: time.Hour} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at.Add(age), at.Add(age))); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Sweep(t.Context(), at); n != 1 || err != nil {
		t.Fatalf("sweep = %d, %v", n, err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Fatal("swept what is still being written")
	}
}

func TestDisk_truncated(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when+" it was opened is damage, and the blob is put aside", func(t *testing.T) {
			dir := t.TempDir()
			s := newDisk(t, dir, nil)
			d, _, err := s.Put(t.Context(), "", strings.NewReader("content"), 100)
			if err != nil {
				t.Fatal(err)
			}
			cut := func() {
				if err := errors.Join(os.Chmod(pathOf(dir, d), 0o600), os.Truncate(pathOf(dir, d), 3)); err != nil {
					t.Fatal(err)
				}
			}
			if when == "before" {
				cut()
			}
			r, _, err := s.Open(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if when == "after" {
				cut()
			}
			if b, err := io.ReadAll(r); towpath.KindOf(err) != towpath.KindInternal {
				t.Fatalf("read %q, %v", b, err)
			}
			if _, err := os.Stat(pathOf(dir, d) + ".corrupt"); err != nil {
				t.Fatalf("the damaged blob was not put aside: %v", err)
			}
		})
	}
}

func TestNewDisk(t *testing.T) {
	t.Run("makes every directory above it durable", func(t *testing.T) {
		fs := faultfs.New()
		s := newDisk(t, "/var/lib/towpath/blobs", fs)
		d, _, err := s.Put(t.Context(), "", strings.NewReader("content"), 100)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			again := newDisk(t, "/var/lib/towpath/blobs", fs.Reboot(rand.New(rand.NewPCG(seed, 0))))
			if _, err := again.Stat(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	})
}
