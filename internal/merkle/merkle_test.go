package merkle_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// memory is stored hashes in memory.
type memory []merkle.Hash

func (m memory) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	out := make([]merkle.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m)) {
			return nil, errors.New("not stored")
		}
		out[i] = m[index]
	}
	return out, nil
}

func leaf(i int64) merkle.Hash { return merkle.LeafHash(fmt.Append(nil, "leaf ", i)) }

// grow is the stored hashes and the root of a tree of size leaves, by the
// reference implementation.
func grow(t testing.TB, size int64) (memory, merkle.Hash) {
	t.Helper()
	var stored memory
	for i := range size {
		more, err := tlog.StoredHashesForRecordHash(i, leaf(i), stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		t.Fatal(err)
	}
	return stored, root
}

func TestBuilder(t *testing.T) {
	t.Run("builds the tree of the reference, continued at any size", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			size := rapid.Int64Range(0, 300).Draw(rt, "size")
			from := rapid.Int64Range(0, size).Draw(rt, "from")
			want, root := grow(t, size)
			b, err := merkle.NewBuilder(from, want)
			if err != nil {
				rt.Fatal(err)
			}
			stored := append(memory(nil), want[:merkle.StoredCount(from)]...)
			for i := from; i < size; i++ {
				stored = b.Append(leaf(i), stored)
			}
			if b.Size() != size || b.Root() != root || fmt.Sprint(stored) != fmt.Sprint(want) {
				rt.Fatalf("at %d from %d: another tree", size, from)
			}
			if got, err := merkle.Root(size, stored); err != nil || got != root {
				rt.Fatal(got, err)
			}
		})
	})
	t.Run("says when the edge can't be read", func(t *testing.T) {
		if _, err := merkle.NewBuilder(5, memory{}); err == nil {
			t.Fatal("no error")
		}
	})
}

func TestSpan(t *testing.T) {
	// The stored order of four leaves: 0, 1, (0–1), 2, 3, (2–3), (0–3).
	for index, want := range [][2]int64{{0, 0}, {1, 1}, {0, 1}, {2, 2}, {3, 3}, {2, 3}, {0, 3}} {
		if first, last := merkle.Span(int64(index)); [2]int64{first, last} != want {
			t.Errorf("index %d: %d–%d, want %v", index, first, last, want)
		}
	}
}

func TestProofs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(2, 200).Draw(rt, "size")
		older := rapid.Int64Range(0, size).Draw(rt, "older")
		n := rapid.Int64Range(0, size-1).Draw(rt, "leaf")
		stored, root := grow(t, size)
		p, err := merkle.ProveInclusion(size, n, stored)
		if err != nil {
			rt.Fatal(err)
		}
		if err := merkle.CheckInclusion(p, size, root, n, leaf(n)); err != nil {
			rt.Fatal(err)
		}
		if err := merkle.CheckInclusion(p, size, root, n, leaf(n+1)); towpath.KindOf(err) != towpath.KindConflict {
			rt.Fatalf("a proof of another leaf: %v", err)
		}
		oldRoot, err := merkle.Root(older, stored)
		if err != nil {
			rt.Fatal(err)
		}
		a, b := merkle.Checkpoint{Size: older, Root: oldRoot}, merkle.Checkpoint{Size: size, Root: root}
		p, err = merkle.ProveConsistency(older, size, stored)
		if err != nil {
			rt.Fatal(err)
		}
		if err := merkle.CheckConsistency(p, a, b); err != nil {
			rt.Fatal(err)
		}
		if older == 0 {
			return
		}
		a.Root[3] ^= 1
		if err := merkle.CheckConsistency(p, a, b); towpath.KindOf(err) != towpath.KindConflict {
			rt.Fatalf("an altered log is consistent: %v", err)
		}
	})
	t.Run("outside of the log are invalid", func(t *testing.T) {
		stored, _ := grow(t, 3)
		_, e1 := merkle.ProveInclusion(3, 3, stored)
		_, e2 := merkle.ProveConsistency(4, 3, stored)
		if towpath.KindOf(e1) != towpath.KindInvalid || towpath.KindOf(e2) != towpath.KindInvalid {
			t.Fatal(e1, e2)
		}
	})
	t.Run("a log that shrank is in conflict", func(t *testing.T) {
		if err := merkle.CheckConsistency(nil, merkle.Checkpoint{Size: 5}, merkle.Checkpoint{Size: 3}); towpath.KindOf(err) != towpath.KindConflict {
			t.Fatal(err)
		}
	})
}

func TestKey(t *testing.T) {
	key, err := merkle.GenerateKey("towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	v, err := key.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	_, root := grow(t, 7)
	cp := merkle.Checkpoint{Origin: "towpath.test", Size: 7, Root: root, Epoch: 2}
	signed, err := key.Sign(cp)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("signs what its verifier opens", func(t *testing.T) {
		if got, err := v.Open(signed); err != nil || got != cp {
			t.Fatal(got, err)
		}
	})
	t.Run("is the same key when it is read back", func(t *testing.T) {
		again, err := merkle.ParseKey(key.Secret() + "\n")
		if err != nil || again.Public() != key.Public() {
			t.Fatal(err)
		}
	})
	t.Run("a checkpoint with any byte changed is refused", func(t *testing.T) {
		for i := range signed {
			b := []byte(signed)
			b[i] ^= 1
			if got, err := v.Open(string(b)); err == nil && got != cp {
				t.Fatalf("byte %d: accepted as %+v", i, got)
			}
		}
	})
	t.Run("another key of the same name is refused", func(t *testing.T) {
		other, err := merkle.GenerateKey("towpath.test")
		if err != nil {
			t.Fatal(err)
		}
		forged, err := other.Sign(cp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Open(forged); towpath.KindOf(err) != towpath.KindConflict {
			t.Fatal(err)
		}
	})
	t.Run("statements and checkpoints are never taken for each other", func(t *testing.T) {
		s, err := key.SignStatement("towpath approval v1", `{"a":1}`)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := v.OpenStatement("towpath approval v1", s); err != nil || body != `{"a":1}` {
			t.Fatal(body, err)
		}
		_, e1 := v.Open(s)
		_, e2 := v.OpenStatement("another kind", s)
		_, e3 := v.OpenStatement("towpath.test", signed)
		_, e4 := key.SignStatement("towpath.test", cp.Text())
		if e1 == nil || e2 == nil || e3 == nil || e4 == nil {
			t.Fatal(e1, e2, e3, e4)
		}
	})
	t.Run("never shows its secret", func(t *testing.T) {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
		for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v %s", key, key, key), log.String()} {
			if strings.Contains(s, "PRIVATE") || strings.Contains(s, strings.Split(key.Secret(), "+")[4]) {
				t.Fatalf("shown: %s", s)
			}
		}
	})
	t.Run("what is no key is invalid", func(t *testing.T) {
		for _, s := range []string{"", "PRIVATE+KEY+a+b+c", key.Public()} {
			if _, err := merkle.ParseKey(s); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%q: %v", s, err)
			}
		}
		if _, err := merkle.NewVerifier("x"); towpath.KindOf(err) != towpath.KindInvalid {
			t.Error(err)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(merkle.Checkpoint{Origin: "a", Size: 1, Epoch: 1}.Text())
	f.Add("a\n-1\n\nepoch 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := merkle.ParseCheckpoint(text)
		if err == nil && c.Text() != text {
			t.Fatalf("%q reads as %q", text, c.Text())
		}
	})
}
