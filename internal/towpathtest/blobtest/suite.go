// Package blobtest is the conformance suite of blob stores: whatever passes it
// may stand behind blob.Store. It must not know any implementation; those that
// can be crashed have tests of their own for what a crash leaves.
//
// Start reading at [Run].
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

const limit = 1 << 20

// Subject is an implementation under test.
type Subject struct {
	// New is an empty store.
	New func(t *testing.T) blob.Store
	// Damage changes a byte of a stored blob behind the store's back; nil when
	// the implementation gives no way to do that.
	Damage func(t *testing.T, s blob.Store, d towpath.Digest)
}

// Run runs the suite.
func Run(t *testing.T, subject Subject) {
	tests := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"gives back what was put, of any size", givesBack},
		{"refuses content that has not the expected digest", refusesOther},
		{"refuses more than the limit and keeps nothing", refusesLarge},
		{"keeps nothing of a content that could not be read", refusesBroken},
		{"puts the same content twice", putsTwice},
		{"keeps what is named by SHA-512 beside the rest", bySHA512},
		{"does not know what was not put", notThere},
		{"refuses a digest that is none", badDigest},
		{"deletes, also what is not there", deletes},
		{"says how old a blob is, and deletes only what is old", deletesOlder},
		{"walks in the order of digests and stops when told", walks},
		{"reads all only within the limit", readAll},
		{"stops when the context ends", stops},
		{"takes the same blob from many writers at once", concurrent},
		{"never yields the last bytes of a damaged blob", damaged},
		{"is healed by putting the content again", heals},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, subject) })
	}
}

func put(t *testing.T, s blob.Store, content string) towpath.Digest {
	t.Helper()
	d, size, err := s.Put(t.Context(), "", strings.NewReader(content), limit)
	if err != nil || size != int64(len(content)) || d != towpath.DigestOf([]byte(content)) {
		t.Fatalf("put = %s, %d, %v", d, size, err)
	}
	return d
}

func wantKind(t *testing.T, err error, want towpath.Kind) {
	t.Helper()
	if towpath.KindOf(err) != want {
		t.Fatalf("error %v has kind %q, want %q", err, towpath.KindOf(err), want)
	}
}

func stored(t *testing.T, s blob.Store) []towpath.Digest {
	t.Helper()
	var all []towpath.Digest
	err := s.Walk(t.Context(), func(i blob.Info) error { all = append(all, i.Digest); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func givesBack(t *testing.T, subject Subject) {
	s := subject.New(t)
	for _, n := range []int{0, 1, 511, 512, 70_000, limit} {
		content := strings.Repeat("a", n)
		d := put(t, s, content)
		r, size, err := s.Open(t.Context(), d)
		if err != nil || size != int64(n) {
			t.Fatalf("open = %d, %v", size, err)
		}
		got, err := io.ReadAll(iotest.HalfReader(r))
		if err != nil || string(got) != content {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if i, err := s.Stat(t.Context(), d); err != nil || i.Digest != d || i.Size != int64(n) {
			t.Fatalf("stat = %v, %v", i, err)
		}
		v, _, err := blob.OpenVerified(t.Context(), s, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(v, []byte(content)); err != nil && n < 100_000 {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func refusesOther(t *testing.T, subject Subject) {
	s := subject.New(t)
	_, _, err := s.Put(t.Context(), towpath.DigestOf([]byte("one")), strings.NewReader("other"), limit)
	wantKind(t, err, towpath.KindInvalid)
	if all := stored(t, s); len(all) != 0 {
		t.Fatalf("the store has %v", all)
	}
	want := towpath.DigestOf([]byte("one"))
	if d, _, err := s.Put(t.Context(), want, strings.NewReader("one"), limit); err != nil || d != want {
		t.Fatalf("put = %s, %v", d, err)
	}
}

func refusesLarge(t *testing.T, subject Subject) {
	s := subject.New(t)
	_, _, err := s.Put(t.Context(), "", strings.NewReader("12345"), 4)
	wantKind(t, err, towpath.KindExhausted)
	if all := stored(t, s); len(all) != 0 {
		t.Fatalf("the store has %v", all)
	}
	if _, _, err := s.Put(t.Context(), "", strings.NewReader("1234"), 4); err != nil {
		t.Fatalf("exactly the limit: %v", err)
	}
}

func refusesBroken(t *testing.T, subject Subject) {
	s := subject.New(t)
	broken := errors.New("the network went away")
	r := io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(broken))
	if _, _, err := s.Put(t.Context(), "", r, limit); !errors.Is(err, broken) {
		t.Fatalf("put = %v", err)
	}
	if all := stored(t, s); len(all) != 0 {
		t.Fatalf("the store has %v", all)
	}
}

func putsTwice(t *testing.T, subject Subject) {
	s := subject.New(t)
	d := put(t, s, "twice")
	put(t, s, "twice")
	if got, err := blob.ReadAll(t.Context(), s, d, limit); err != nil || string(got) != "twice" {
		t.Fatalf("read %q, %v", got, err)
	}
	if all := stored(t, s); len(all) != 1 {
		t.Fatalf("the store has %v", all)
	}
}

func sha512Of(content string) towpath.Digest {
	h := towpath.NewHash(towpath.SHA512)
	h.Write([]byte(content))
	return towpath.DigestSum(towpath.SHA512, h)
}

func bySHA512(t *testing.T, subject Subject) {
	s := subject.New(t)
	content := strings.Repeat("long ", 1000)
	short, d := put(t, s, content), sha512Of(content)
	_, _, err := s.Put(t.Context(), d, strings.NewReader("other"), limit)
	wantKind(t, err, towpath.KindInvalid)
	for range 2 {
		if got, size, err := s.Put(t.Context(), d, strings.NewReader(content), limit); err != nil || got != d || size != int64(len(content)) {
			t.Fatalf("put = %s, %d, %v", got, size, err)
		}
	}
	if got, err := blob.ReadAll(t.Context(), s, d, limit); err != nil || string(got) != content {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if i, err := s.Stat(t.Context(), d); err != nil || i.Digest != d || i.Size != int64(len(content)) {
		t.Fatalf("stat = %v, %v", i, err)
	}
	if all := stored(t, s); !slices.Equal(all, []towpath.Digest{short, d}) {
		t.Fatalf("the store has %v", all)
	}
	if subject.Damage != nil {
		subject.Damage(t, s, d)
		_, err := blob.ReadAll(t.Context(), s, d, limit)
		wantKind(t, err, towpath.KindInternal)
		_, err = s.Stat(t.Context(), d)
		wantKind(t, err, towpath.KindNotFound)
	}
	if err := s.Delete(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	if all := stored(t, s); subject.Damage == nil && !slices.Equal(all, []towpath.Digest{d}) {
		t.Fatalf("the store has %v", all)
	}
}

func notThere(t *testing.T, subject Subject) {
	s := subject.New(t)
	d := towpath.DigestOf([]byte("never"))
	_, _, err := s.Open(t.Context(), d)
	wantKind(t, err, towpath.KindNotFound)
	_, err = s.Stat(t.Context(), d)
	wantKind(t, err, towpath.KindNotFound)
	_, err = blob.ReadAll(t.Context(), s, d, limit)
	wantKind(t, err, towpath.KindNotFound)
	_, _, err = blob.OpenVerified(t.Context(), s, d)
	wantKind(t, err, towpath.KindNotFound)
}

func badDigest(t *testing.T, subject Subject) {
	s := subject.New(t)
	for _, d := range []towpath.Digest{"sha256:abc", "../../etc/passwd", "sha256:" + towpath.Digest(strings.Repeat("A", 64)), "sha512:" + towpath.Digest(strings.Repeat("a", 64))} {
		_, _, err := s.Open(t.Context(), d)
		wantKind(t, err, towpath.KindInvalid)
		_, err = s.Stat(t.Context(), d)
		wantKind(t, err, towpath.KindInvalid)
		wantKind(t, s.Delete(t.Context(), d), towpath.KindInvalid)
		_, _, err = s.Put(t.Context(), d, strings.NewReader("x"), limit)
		wantKind(t, err, towpath.KindInvalid)
	}
}

func deletes(t *testing.T, subject Subject) {
	s := subject.New(t)
	d, kept := put(t, s, "gone"), put(t, s, "kept")
	for range 2 {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		_, err := s.Stat(t.Context(), d)
		wantKind(t, err, towpath.KindNotFound)
	}
	if all := stored(t, s); !slices.Equal(all, []towpath.Digest{kept}) {
		t.Fatalf("the store has %v", all)
	}
}

func deletesOlder(t *testing.T, subject Subject) {
	s := subject.New(t)
	began := time.Now().Add(-time.Minute) // clocks of stores are not this one
	d := put(t, s, "once")
	first, err := s.Stat(t.Context(), d)
	if err != nil || first.Written.Before(began) {
		t.Fatalf("stat = %v, %v", first, err)
	}
	if done, err := s.DeleteOlder(t.Context(), d, first.Written); done || err != nil {
		t.Fatalf("deleted what is not older: %v, %v", done, err)
	}
	for name, again := range map[string]func() error{
		"touched":   func() error { return s.Touch(t.Context(), d, time.Now()) },
		"put again": func() error { put(t, s, "once"); return nil },
	} {
		was, err := s.Stat(t.Context(), d)
		end := time.Now().Add(10 * time.Second)
		for now := was; err == nil && !now.Written.After(was.Written); now, err = s.Stat(t.Context(), d) {
			if err := again(); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(end) {
				t.Fatalf("it is no younger when it was %s", name)
			}
		}
		if done, err := s.DeleteOlder(t.Context(), d, was.Written.Add(1)); done || err != nil {
			t.Fatalf("deleted what was %s: %v, %v", name, done, err)
		}
		err = s.Walk(t.Context(), func(i blob.Info) error {
			if !i.Written.After(was.Written) {
				t.Errorf("a walk takes what was %s for as old as before", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	last, err := s.Stat(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.DeleteOlder(t.Context(), d, last.Written.Add(1)); !done || err != nil {
		t.Fatalf("deleted = %v, %v", done, err)
	}
	if done, err := s.DeleteOlder(t.Context(), d, last.Written.Add(1)); done || err != nil {
		t.Fatalf("deleted again = %v, %v", done, err)
	}
	wantKind(t, s.Touch(t.Context(), d, time.Now()), towpath.KindNotFound)
}

func walks(t *testing.T, subject Subject) {
	s := subject.New(t)
	var want []towpath.Digest
	for i := range 40 {
		want = append(want, put(t, s, fmt.Sprint(i)))
	}
	slices.Sort(want)
	if got := stored(t, s); !slices.Equal(got, want) {
		t.Fatalf("walked %v, want %v", got, want)
	}
	enough := errors.New("enough")
	n := 0
	if err := s.Walk(t.Context(), func(blob.Info) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Fatalf("walk = %v after %d", err, n)
	}
}

func readAll(t *testing.T, subject Subject) {
	s := subject.New(t)
	d := put(t, s, "12345")
	_, err := blob.ReadAll(t.Context(), s, d, 4)
	wantKind(t, err, towpath.KindExhausted)
	if b, err := blob.ReadAll(t.Context(), s, d, 5); err != nil || string(b) != "12345" {
		t.Fatalf("read %q, %v", b, err)
	}
	empty := put(t, s, "")
	if b, err := blob.ReadAll(t.Context(), s, empty, 0); err != nil || len(b) != 0 {
		t.Fatalf("read %q, %v", b, err)
	}
}

func stops(t *testing.T, subject Subject) {
	s := subject.New(t)
	d := put(t, s, "content")
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := s.Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("read = %v", err)
	}
	if _, _, err := s.Put(ctx, "", strings.NewReader("other"), limit); !errors.Is(err, context.Canceled) {
		t.Fatalf("put = %v", err)
	}
}

func concurrent(t *testing.T, subject Subject) {
	s := subject.New(t)
	content := bytes.Repeat([]byte("together"), 5000)
	d := towpath.DigestOf(content)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, _, err := s.Put(t.Context(), d, bytes.NewReader(content), limit); err != nil {
					t.Error(err)
				}
				if got, err := blob.ReadAll(t.Context(), s, d, limit); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func damaged(t *testing.T, subject Subject) {
	if subject.Damage == nil {
		return
	}
	for _, n := range []int{1, 700, 300_000} {
		s := subject.New(t)
		d := put(t, s, strings.Repeat("b", n))
		subject.Damage(t, s, d)
		r, size, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		wantKind(t, err, towpath.KindInternal)
		if int64(len(got)) >= size || !strings.Contains(err.Error(), string(d)) {
			t.Fatalf("read %d of %d bytes, and %v", len(got), size, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		// It is put aside: missing is better than wrong.
		_, err = s.Stat(t.Context(), d)
		wantKind(t, err, towpath.KindNotFound)
		if all := stored(t, s); len(all) != 0 {
			t.Fatalf("the store has %v", all)
		}
	}
}

func heals(t *testing.T, subject Subject) {
	if subject.Damage == nil {
		return
	}
	s := subject.New(t)
	d := put(t, s, "fragile")
	subject.Damage(t, s, d)
	r, _, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, s, "fragile") // while the damaged one is being read
	if _, err := io.ReadAll(r); towpath.KindOf(err) != towpath.KindInternal {
		t.Fatalf("the damaged copy was read: %v", err)
	}
	if got, err := blob.ReadAll(t.Context(), s, d, limit); err != nil || string(got) != "fragile" {
		t.Fatalf("the healed copy: %q, %v", got, err)
	}
}
