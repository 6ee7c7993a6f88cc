package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// shelf is a client that has blobs, of the digests that it is asked for.
type shelf struct {
	Client
	blobs   map[towpath.Digest][]byte
	end     error // instead of the end of a blob
	fetched int
}

func (s *shelf) Blob(_ context.Context, d towpath.Digest) (io.ReadCloser, error) {
	s.fetched++
	r := io.Reader(bytes.NewReader(s.blobs[d]))
	if s.end != nil {
		r = io.MultiReader(r, failing{s.end})
	}
	return io.NopCloser(r), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// halves writes the first half of a layer to one file and leaves the rest
// unread, as an extractor may.
func halves(_ context.Context, r io.Reader, dest *os.Root) error {
	f, err := dest.OpenFile("half", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(f, r, 50)
	return errors.Join(err, dest.Mkdir("folder", 0o755))
}

func TestFiles(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 100)
	layer := towpath.DigestOf(content)
	say := func(string) {}
	setup := func(t *testing.T) (*files, *shelf, string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "files")
		s := &shelf{blobs: map[towpath.Digest][]byte{layer: content}}
		f, err := openFiles(dir, s, halves, time.Now)
		must(t, err)
		t.Cleanup(func() { _ = removeTree(dir) })
		return f, s, dir
	}
	entries := func(t *testing.T, dir string) int {
		t.Helper()
		list, err := os.ReadDir(dir)
		must(t, err)
		return len(list)
	}
	t.Run("puts the files of a layer in place once, read-only", func(t *testing.T) {
		f, s, dir := setup(t)
		for range 2 {
			got, err := f.fetch(t.Context(), layer, 100, say)
			must(t, err)
			fi, err := os.Stat(filepath.Join(got, "half"))
			must(t, err)
			if fi.Size() != 50 || fi.Mode().Perm() != 0o555 {
				t.Errorf("%d bytes, %s", fi.Size(), fi.Mode())
			}
		}
		if s.fetched != 1 || entries(t, dir) != 1 {
			t.Errorf("fetched %d times, %d entries", s.fetched, entries(t, dir))
		}
	})
	t.Run("leaves nothing behind when the bytes are wrong at their very end", func(t *testing.T) {
		f, s, dir := setup(t)
		s.end = towpath.E(towpath.KindConflict, "test", "other bytes")
		if _, err := f.fetch(t.Context(), layer, 100, say); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("got %v", err)
		}
		if n := entries(t, dir); n != 0 {
			t.Errorf("left %d entries", n)
		}
	})
	t.Run("refuses more bytes than the release says", func(t *testing.T) {
		f, _, dir := setup(t)
		if _, err := f.fetch(t.Context(), layer, 99, say); towpath.KindOf(err) != towpath.KindExhausted {
			t.Errorf("got %v", err)
		}
		if n := entries(t, dir); n != 0 {
			t.Errorf("left %d entries", n)
		}
	})
	t.Run("takes nothing without its marker for complete", func(t *testing.T) {
		f, s, dir := setup(t)
		got, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		must(t, os.Chmod(filepath.Dir(got), 0o755), os.Remove(filepath.Join(filepath.Dir(got), markerFile)))
		if _, err := f.fetch(t.Context(), layer, 100, say); err != nil || s.fetched != 2 {
			t.Errorf("fetched %d times, %v", s.fetched, err)
		}
		if n := entries(t, dir); n != 2 {
			t.Errorf("%d entries: something may run from what lost its marker", n)
		}
	})
	t.Run("removes what nothing uses, and what a crash left half done", func(t *testing.T) {
		f, s, dir := setup(t)
		other := towpath.DigestOf([]byte("other"))
		s.blobs[other] = content
		for _, l := range []towpath.Digest{layer, other} {
			_, err := f.fetch(t.Context(), l, 100, say)
			must(t, err)
		}
		must(t, os.Mkdir(filepath.Join(dir, ".tmp-1"), 0o500))
		must(t, f.collect(map[towpath.Digest]bool{other: true}, nil))
		if n := entries(t, dir); n != 3 {
			t.Errorf("%d entries, while nobody can tell what runs", n)
		}
		must(t, f.collect(map[towpath.Digest]bool{other: true}, map[string]bool{}))
		if n := entries(t, dir); n != 2 || !f.holds(filepath.Join(dir, other.Hex()), other) {
			t.Errorf("%d entries", n)
		}
		_, err := openFiles(dir, s, halves, time.Now)
		must(t, err)
		if n := entries(t, dir); n != 1 {
			t.Errorf("after the next start: %d entries", n)
		}
	})
	t.Run("starts nothing from files that somebody changed", func(t *testing.T) {
		f, s, dir := setup(t)
		first, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		must(t, os.Chmod(filepath.Join(first, "half"), 0o777))
		f.watch = newWatch(time.Now)
		got, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		if got == first || s.fetched != 2 {
			t.Errorf("%s is given again, fetched %d times", got, s.fetched)
		}
		again, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		if again != got || s.fetched != 2 {
			t.Errorf("then %s, fetched %d times", again, s.fetched)
		}
		used := map[towpath.Digest]bool{layer: true}
		must(t, f.collect(used, map[string]bool{first: true}))
		if n := entries(t, dir); n != 2 {
			t.Errorf("%d entries while something runs from the first", n)
		}
		must(t, f.collect(used, map[string]bool{}))
		if _, err := os.Stat(got); err != nil || entries(t, dir) != 1 {
			t.Errorf("%d entries, %v", entries(t, dir), err)
		}
		must(t, os.Chmod(filepath.Join(got, "half"), 0o777))
		f.watch = newWatch(time.Now)
		third, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		if _, err := os.Stat(got); err != nil || third == got {
			t.Errorf("%s, which something runs from, gave way to %s: %v", got, third, err)
		}
	})
	t.Run("puts files in place once more for each purpose", func(t *testing.T) {
		f, s, dir := setup(t)
		first, err := f.fetch(t.Context(), layer, 100, say)
		must(t, err)
		folders := map[string]bool{first: true}
		for _, purpose := range []string{"op_1", "op_1", "op_2"} {
			got, err := f.fresh(t.Context(), layer, 100, purpose, say)
			must(t, err)
			folders[got] = true
		}
		if len(folders) != 3 || s.fetched != 3 {
			t.Errorf("%d folders, fetched %d times", len(folders), s.fetched)
		}
		runs := filepath.Join(dir, layer.Hex()+copyMark+"op_2", "root")
		must(t, os.Chmod(filepath.Join(runs, "half"), 0o777))
		f.watch = newWatch(time.Now)
		for range 2 { // a repair that is resumed, and what it has started runs from there
			got, err := f.fresh(t.Context(), layer, 100, "op_2", say)
			must(t, err)
			folders[got] = true
		}
		if _, err := os.Stat(filepath.Join(runs, "half")); err != nil || len(folders) != 4 || s.fetched != 4 {
			t.Errorf("%v, %d folders, fetched %d times", err, len(folders), s.fetched)
		}
	})
}

// A folder that can't be looked at ends the fetch with that, and not with one
// look after another for ever.
func TestFiles_FolderThatCanNotBeLookedAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	f, err := openFiles(dir, nil, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.free("x"); towpath.KindOf(err) != towpath.KindUnavailable {
		t.Errorf("got %v", err)
	}
}
