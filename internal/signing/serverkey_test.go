package signing_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.key")
	t.Run("several at once have one key", func(t *testing.T) {
		var wg sync.WaitGroup
		ids := make([]signing.KeyID, 8)
		for i := range ids {
			wg.Go(func() {
				k, err := signing.LoadOrCreate(path)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = k.ID()
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("got %q", ids)
			}
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("its owner alone reads it", func(t *testing.T) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := signing.LoadOrCreate(path)
		if towpath.KindOf(err) != towpath.KindForbidden || !strings.Contains(err.Error(), "others can read") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that is no key is left alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "server.key")
		for _, text := range []string{"", "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := signing.LoadOrCreate(path); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%q: got %v", text, err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != text {
				t.Errorf("%q became %q, %v", text, b, err)
			}
		}
	})
}
