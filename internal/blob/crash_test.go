package blob_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultfs"
)

// contents are put, deleted and put again in this order; the second "two" and
// blobs of one shard make names share a directory.
func contents() []string {
	out := []string{"one", "two", strings.Repeat("three", 2000), "two", ""}
	for i := range 3 {
		out = append(out, fmt.Sprint("more ", i))
	}
	return out
}

// script puts and deletes until an error, and says what was acknowledged.
func script(t *testing.T, s blob.Store) (acknowledged map[towpath.Digest]string, deleting towpath.Digest, err error) {
	acknowledged = map[towpath.Digest]string{}
	for i, c := range contents() {
		d, _, err := s.Put(t.Context(), "", strings.NewReader(c), 1<<20)
		if err != nil {
			return acknowledged, "", err
		}
		acknowledged[d] = c
		if i == 1 {
			first := towpath.DigestOf([]byte("one"))
			delete(acknowledged, first)
			if err := s.Delete(t.Context(), first); err != nil {
				return acknowledged, first, err
			}
		}
	}
	return acknowledged, "", nil
}

// check asserts the contract of a store after a crash.
func check(t *testing.T, fs *faultfs.FS, acknowledged map[towpath.Digest]string) {
	t.Helper()
	s := newDisk(t, "/blobs", fs)
	for d, want := range acknowledged {
		if got, err := blob.ReadAll(t.Context(), s, d, 1<<20); err != nil || string(got) != want {
			t.Fatalf("acknowledged blob %s: %d bytes, %v", towpath.Short(d), len(got), err)
		}
	}
	err := s.Walk(t.Context(), func(i blob.Info) error {
		_, err := blob.ReadAll(t.Context(), s, i.Digest, 1<<20)
		return err
	})
	if err != nil {
		t.Fatalf("a broken blob has a name: %v", err)
	}
}

func TestDisk_crash(t *testing.T) {
	whole := faultfs.New()
	if _, _, err := script(t, newDisk(t, "/blobs", whole)); err != nil {
		t.Fatal(err)
	}
	total := whole.Ops()
	if total < 50 {
		t.Fatalf("the script has only %d operations", total)
	}
	t.Run("before any operation loses nothing acknowledged and breaks nothing", func(t *testing.T) {
		for at := 1; at <= total+1; at++ {
			for seed := range uint64(25) {
				fs := faultfs.New()
				s, err := blob.NewDisk(blob.DiskConfig{Dir: "/blobs", FS: crashing(fs, at)})
				var acknowledged map[towpath.Digest]string
				if err == nil {
					acknowledged, _, err = script(t, s)
				}
				if at <= total && !errors.Is(err, faultfs.ErrCrashed) {
					t.Fatalf("operation %d did not crash: %v", at, err)
				}
				check(t, fs.Reboot(rand.New(rand.NewPCG(uint64(at), seed))), acknowledged)
			}
		}
	})
	t.Run("and the script runs to its end after the reboot", func(t *testing.T) {
		for at := 1; at <= total; at += 3 {
			fs := faultfs.New()
			if s, err := blob.NewDisk(blob.DiskConfig{Dir: "/blobs", FS: crashing(fs, at)}); err == nil {
				_, _, _ = script(t, s)
			}
			fs = fs.Reboot(rand.New(rand.NewPCG(uint64(at), 7)))
			acknowledged, _, err := script(t, newDisk(t, "/blobs", fs))
			if err != nil {
				t.Fatal(err)
			}
			check(t, fs.Reboot(rand.New(rand.NewPCG(uint64(at), 8))), acknowledged)
		}
	})
}

func crashing(fs *faultfs.FS, at int) *faultfs.FS { fs.CrashAt(at); return fs }

func TestDisk_failure(t *testing.T) {
	t.Run("of any single operation is reported, and breaks nothing", func(t *testing.T) {
		broken := errors.New("input/output error")
		for at := 1; ; at++ {
			fs := faultfs.New()
			s := newDisk(t, "/blobs", fs)
			before := fs.Ops()
			fs.FailAt(at, broken)
			acknowledged, deleting, err := script(t, s)
			if fs.Ops()-before < at {
				return // past the end of the script
			}
			if !errors.Is(err, broken) {
				t.Fatalf("operation %d (%s) failed in silence: %v", at, fs.Journal()[before+at-1], err)
			}
			if deleting == "" && towpath.KindOf(err) != towpath.KindUnavailable {
				t.Fatalf("operation %d: %v", at, err)
			}
			check(t, fs.Reboot(rand.New(rand.NewPCG(uint64(at), 1))), acknowledged)
		}
	})
}
