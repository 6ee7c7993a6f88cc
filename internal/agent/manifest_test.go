package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestFiles_DescriptionThatIsLost: an agent that starts again knows what a folder held
// from its description only. Where that is damaged nobody knows whether the folder is.
func TestFiles_DescriptionThatIsLost(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 100)
	layer := towpath.DigestOf(content)
	write := func(t *testing.T, path, text string) {
		t.Helper()
		must(t, os.Remove(path), os.WriteFile(path, []byte(text), 0o444))
	}
	old := `{"layer":"` + string(layer) + `","size":100}`
	for name, tt := range map[string]struct {
		change func(t *testing.T, description, marker string)
		known  bool // as of a version that described nothing
	}{
		"it is gone":           {change: func(t *testing.T, description, _ string) { t.Helper(); must(t, os.Remove(description)) }},
		"it is cut off":        {change: func(t *testing.T, description, _ string) { t.Helper(); must(t, os.Truncate(description, 20)) }},
		"it is empty":          {change: func(t *testing.T, description, _ string) { t.Helper(); write(t, description, "") }},
		"it is something else": {change: func(t *testing.T, description, _ string) { t.Helper(); write(t, description, `{"path":"half"}`) }},
		"it is broken, and of a version that did not say in its marker that there is one": {change: func(t *testing.T, description, marker string) {
			t.Helper()
			write(t, description, `[{"path":"ha`)
			write(t, marker, old)
		}},
		"there never was one": {known: true, change: func(t *testing.T, description, marker string) {
			t.Helper()
			must(t, os.Remove(description))
			write(t, marker, old)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "files")
			s := &shelf{blobs: map[towpath.Digest][]byte{layer: content}}
			f, err := openFiles(dir, s, halves, time.Now)
			must(t, err)
			t.Cleanup(func() { _ = removeTree(dir) })
			for _, who := range []string{"a start", "a repair"} {
				get := func() (string, error) {
					if who == "a repair" {
						return f.fresh(t.Context(), layer, 100, "op_1", func(string) {})
					}
					return f.fetch(t.Context(), layer, 100, func(string) {})
				}
				first, err := get()
				must(t, err)
				description := filepath.Join(filepath.Dir(first), manifestFile)
				was, err := os.ReadFile(description)
				must(t, err)
				tt.change(t, description, filepath.Join(filepath.Dir(first), markerFile))
				must(t, os.Chmod(filepath.Join(first, "half"), 0o777))
				now := time.Now()
				f.watch = newWatch(func() time.Time { return now }) // the agent starts again
				if seen := f.watch.look(first, nil); seen.intact() != tt.known || strings.Contains(seen.partly, "files.json beside them, can't be read: ") == tt.known || seen.at.IsZero() != tt.known {
					t.Errorf("a look before %s says %+v", who, seen)
				}
				for range 2 {
					if got, err := get(); err != nil || (got == first) != tt.known {
						t.Errorf("%s is given %s, %v", who, got, err)
					}
				}
				if tt.known {
					continue
				}
				if seen := f.watch.look(first, nil); seen.partly == "" || seen.changed > 0 {
					t.Errorf("after %s a look says what nobody can know: %+v", who, seen)
				}
				must(t, os.RemoveAll(description), os.WriteFile(description, was, 0o444))
				now = now.Add(watchEvery)
				if seen := f.watch.look(first, nil); seen.partly != "" || seen.changed != 1 {
					t.Errorf("once it is back: %+v", seen)
				}
			}
		})
	}
}
