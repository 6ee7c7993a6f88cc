package blob_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultfs"
)

func newStaging(t *testing.T, dir string, fs blob.FS) *blob.Staging {
	t.Helper()
	s, err := blob.NewStaging(blob.DiskConfig{Dir: dir, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// staging is what both kinds of it can do.
type staging interface {
	Add(ctx context.Context, upload string, r io.Reader, limit int64) (blob.Piece, error)
	Open(ctx context.Context, pieces []blob.Piece) io.ReadCloser
	Remove(ctx context.Context, pieces []blob.Piece) error
	Sweep(ctx context.Context, before time.Time, known func(upload string) (bool, error)) (int, error)
}

func whole(t *testing.T, s staging, pieces []blob.Piece) string {
	t.Helper()
	r := s.Open(t.Context(), pieces)
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStaging(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "uploads")
	conformsToStaging(t, dir, func() staging { return newStaging(t, dir, nil) })
}

// conformsToStaging holds a staging area, whose pieces are files in dir, against
// what both kinds promise. open opens it as after a restart.
func conformsToStaging(t *testing.T, dir string, open func() staging) {
	s := open()
	add := func(upload, content string) blob.Piece {
		t.Helper()
		p, err := s.Add(t.Context(), upload, strings.NewReader(content), 100)
		if err != nil || p.Size != int64(len(content)) {
			t.Fatalf("add = %v, %v", p, err)
		}
		return p
	}
	files := func() int {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return len(entries)
	}
	t.Run("pieces are read in their order, also by who comes after a restart", func(t *testing.T) {
		pieces := []blob.Piece{add("u1", "one "), add("u1", "two "), add("u1", "three")}
		if got := whole(t, open(), pieces); got != "one two three" {
			t.Errorf("got %q", got)
		}
		if err := s.Remove(t.Context(), append(pieces, blob.Piece{Name: "u1.gone"})); err != nil || files() != 0 {
			t.Errorf("%v, and %d files are left", err, files())
		}
	})
	t.Run("nothing is no piece", func(t *testing.T) {
		if p, err := s.Add(t.Context(), "u2", strings.NewReader(""), 100); err != nil || p != (blob.Piece{}) || files() != 0 {
			t.Errorf("%v, %v, %d files", p, err, files())
		}
	})
	t.Run("what is over the limit is no piece", func(t *testing.T) {
		if p, err := s.Add(t.Context(), "u2", strings.NewReader("12345"), 4); !errors.Is(err, blob.ErrLimit) || p.Size != 0 || files() != 0 {
			t.Errorf("%v, %v, %d files", p, err, files())
		}
	})
	t.Run("what came before a connection broke is kept, also when its request has ended", func(t *testing.T) {
		broken := errors.New("connection reset")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p, err := s.Add(ctx, "u3", io.MultiReader(strings.NewReader("begun"), breaksOff{cancel, broken}), 100)
		if !errors.Is(err, broken) || p.Size != 5 || whole(t, s, []blob.Piece{p}) != "begun" {
			t.Errorf("%v, %v", p, err)
		}
		if err := s.Remove(t.Context(), []blob.Piece{p}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a piece that is lost fails the reading", func(t *testing.T) {
		_, err := io.ReadAll(s.Open(t.Context(), []blob.Piece{{Name: "u4.none", Size: 3}}))
		if towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a sweep takes old pieces of uploads that nobody knows", func(t *testing.T) {
		old, fresh, used := add("old", "x"), add("fresh", "x"), add("used", "x")
		past := time.Now().Add(-time.Hour)
		for _, p := range []blob.Piece{old, used} {
			if err := os.Chtimes(filepath.Join(dir, p.Name), past, past); err != nil {
				t.Fatal(err)
			}
		}
		n, err := s.Sweep(t.Context(), past.Add(time.Minute), func(upload string) (bool, error) { return upload == "used", nil })
		if err != nil || n != 1 || whole(t, s, []blob.Piece{fresh, used}) != "xx" {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// breaksOff is a connection that breaks, which ends its request.
type breaksOff struct {
	cancel func()
	err    error
}

func (b breaksOff) Read([]byte) (int, error) {
	b.cancel()
	return 0, b.err
}

// TestStaging_crash: whatever the operation before which the machine goes down,
// a piece that was acknowledged is whole.
func TestStaging_crash(t *testing.T) {
	contents := []string{"first", strings.Repeat("second", 3000), "third"}
	upload := func(fs *faultfs.FS) (got []blob.Piece, err error) {
		s, err := blob.NewStaging(blob.DiskConfig{Dir: "/uploads", FS: fs})
		for _, c := range contents {
			if err != nil {
				return got, err
			}
			var p blob.Piece
			if p, err = s.Add(t.Context(), "u", strings.NewReader(c), 1<<20); err == nil {
				got = append(got, p)
			}
		}
		return got, err
	}
	healthy := faultfs.New()
	if all, err := upload(healthy); err != nil || len(all) != len(contents) {
		t.Fatal(all, err)
	}
	for at := 1; at <= healthy.Ops()+1; at++ {
		for seed := range uint64(20) {
			fs := faultfs.New()
			fs.CrashAt(at)
			got, _ := upload(fs)
			after := fs.Reboot(rand.New(rand.NewPCG(uint64(at), seed)))
			s := newStaging(t, "/uploads", after)
			if text := whole(t, s, got); text != strings.Join(slices.Concat(contents[:len(got)]), "") {
				t.Fatalf("crash before operation %d: %d bytes of %d pieces are left", at, len(text), len(got))
			}
		}
	}
}
