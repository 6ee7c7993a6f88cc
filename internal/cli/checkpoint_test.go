package cli

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

func TestKept_accept(t *testing.T) {
	key, err := merkle.GenerateKey("log")
	if err != nil {
		t.Fatal(err)
	}
	other, err := merkle.GenerateKey("log")
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k *merkle.Key, size int64, root string, epoch int64) string {
		note, err := k.Sign(merkle.Checkpoint{Size: size, Root: merkle.LeafHash([]byte(root)), Epoch: epoch})
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
	have := kept{PublicKey: key.Public(), Checkpoint: sign(key, 5, "a", 1)}
	for _, tt := range []struct {
		name string
		kept kept
		note string
		key  *merkle.Key
		ok   bool
	}{
		{"takes the first that it sees", kept{}, sign(key, 5, "a", 1), key, true},
		{"takes a longer one", have, sign(key, 6, "b", 1), key, true},
		{"takes the same", have, have.Checkpoint, key, true},
		{"refuses a shorter one", have, sign(key, 4, "a", 1), key, false},
		{"refuses a shorter one of a later epoch", have, sign(key, 4, "a", 2), key, false},
		{"refuses another root at the same size", have, sign(key, 5, "b", 1), key, false},
		{"refuses none when there was one", have, "", key, false},
		{"refuses another key", have, sign(other, 6, "b", 1), other, false},
		{"refuses another signature under the known key", have, sign(other, 6, "b", 1), key, false},
		{"refuses what is no checkpoint", have, "hello", key, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.kept.accept(tt.note, tt.key.Public())
			if (err == nil) != tt.ok {
				t.Fatalf("got %v", err)
			}
			if tt.ok && got.Checkpoint != tt.note {
				t.Errorf("keeps %q", got.Checkpoint)
			}
			if err != nil && towpath.KindOf(err) == towpath.KindInternal {
				t.Errorf("it is no error for people: %v", err)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mred\x1b[0m\x1b[2J\x1b]0;t\x07\u009b1A")
	f.Fuzz(func(t *testing.T, text string) {
		st := newStyle(true)
		if got := st.clean(st.bad(text)); text != "" && (!strings.HasPrefix(got, "\x1b[") || strings.Count(got, "\x1b") != 2) {
			t.Errorf("%q is coloured as %q", text, got)
		}
		for _, s := range []style{newStyle(false), st} {
			for _, r := range s.clean(text) {
				if r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
					t.Fatalf("%q keeps %q", s.clean(text), r)
				}
			}
		}
	})
}
