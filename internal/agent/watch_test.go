package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// described is a folder as the agent puts them in place.
func described(t *testing.T) (root string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "root")
	must(t, os.MkdirAll(filepath.Join(root, "lib", "deep"), 0o755))
	for _, name := range []string{"serve", "lib/a", "lib/deep/b"} {
		must(t, os.WriteFile(filepath.Join(root, name), []byte("as deployed"), 0o444))
	}
	must(t, os.Symlink("serve", filepath.Join(root, "link")))
	must(t, writeManifest(t.Context(), dir))
	return root
}

func TestWatch(t *testing.T) {
	at := func(root, name string) string { return filepath.Join(root, name) }
	edit := func(t *testing.T, path, content string) {
		t.Helper()
		must(t, os.Chmod(path, 0o644), os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o444))
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		want   []towpath.FileChange
	}{
		"says nothing of a folder that nobody touched": {func(*testing.T, string) {}, nil},
		"finds an edited file": {
			func(t *testing.T, root string) { edit(t, at(root, "lib/a"), "edited by hand") },
			[]towpath.FileChange{{Path: "lib/a", How: towpath.FileWasEdited}},
		},
		"finds one edited to the same length, and its time set back": {
			func(t *testing.T, root string) {
				fi, err := os.Stat(at(root, "lib/a"))
				must(t, err)
				edit(t, at(root, "lib/a"), "AS DEPLOYED")
				must(t, os.Chtimes(at(root, "lib/a"), fi.ModTime(), fi.ModTime()))
			},
			[]towpath.FileChange{{Path: "lib/a", How: towpath.FileWasEdited}},
		},
		"does not mind a file that was written with the same content": {
			func(t *testing.T, root string) { edit(t, at(root, "lib/a"), "as deployed") }, nil,
		},
		"finds added and removed files, and what stands in place of another": {
			func(t *testing.T, root string) {
				must(t, os.WriteFile(at(root, "lib/new"), nil, 0o644), os.Remove(at(root, "serve")))
				must(t, os.Remove(at(root, "lib/a")), os.Symlink("/etc/passwd", at(root, "lib/a")))
			},
			[]towpath.FileChange{{Path: "lib/a", How: towpath.FileWasEdited}, {Path: "lib/new", How: towpath.FileWasAdded}, {Path: "serve", How: towpath.FileWasRemoved}},
		},
		"names a folder that came or went once, not all that is in it": {
			func(t *testing.T, root string) {
				must(t, os.RemoveAll(at(root, "lib")), os.MkdirAll(at(root, "tmp/x"), 0o755))
			},
			[]towpath.FileChange{{Path: "lib", How: towpath.FileWasRemoved}, {Path: "tmp", How: towpath.FileWasAdded}},
		},
		"finds other permissions, and a link that leads elsewhere": {
			func(t *testing.T, root string) {
				must(t, os.Chmod(at(root, "serve"), 0o777), os.Remove(at(root, "link")), os.Symlink("lib/a", at(root, "link")))
			},
			[]towpath.FileChange{{Path: "link", How: towpath.FileWasEdited}, {Path: "serve", How: towpath.FileModeChanged}},
		},
		"says that all of it is gone": {
			func(t *testing.T, root string) { must(t, os.RemoveAll(root)) },
			[]towpath.FileChange{{Path: ".", How: towpath.FileWasRemoved}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := described(t)
			now := time.Now()
			w := newWatch(func() time.Time { return now })
			if changes, n := w.look(root); n > 0 {
				t.Fatalf("before anything happened: %v", changes)
			}
			tt.change(t, root)
			now = now.Add(watchEvery)
			for range 2 { // what was found stays found
				got, n := w.look(root)
				if diff := cmp.Diff(tt.want, got, cmp.Transformer("none", func(c []towpath.FileChange) []towpath.FileChange { return append([]towpath.FileChange{}, c...) })); diff != "" || n != len(tt.want) {
					t.Errorf("%d changes: %s", n, diff)
				}
				now = now.Add(watchEvery)
			}
		})
	}
}

func TestWatch_ReadsEverythingAgain(t *testing.T) {
	root := described(t)
	now := time.Now()
	w := newWatch(func() time.Time { return now })
	w.look(root)
	// A disk that gives other bytes than were written, and says nothing: here, a
	// stamp that is that of the edited file.
	path := filepath.Join(root, "serve")
	must(t, os.Chmod(path, 0o644), os.WriteFile(path, []byte("AS DEPLOYED"), 0o644), os.Chmod(path, 0o444))
	fi, err := os.Stat(path)
	must(t, err)
	w.folders[root].want["serve"].Stamp = stampOf(fi)
	now = now.Add(watchEvery)
	if changes, n := w.look(root); n > 0 {
		t.Fatalf("found without reading: %v", changes)
	}
	now = now.Add(watchReread)
	if changes, n := w.look(root); n != 1 || changes[0].Path != "serve" {
		t.Errorf("after %s: %v", watchReread, changes)
	}
}

func TestWatch_IsBounded(t *testing.T) {
	root := described(t)
	for i := range 3 * towpath.MaxFileChanges {
		must(t, os.WriteFile(filepath.Join(root, "new"+string(rune('a'+i))), nil, 0o644))
	}
	now := time.Now()
	w := newWatch(func() time.Time { return now })
	if changes, n := w.look(root); len(changes) != towpath.MaxFileChanges || n != 3*towpath.MaxFileChanges {
		t.Errorf("%d changes of %d", len(changes), n)
	}
	must(t, os.RemoveAll(root))
	if _, n := w.look(root); n != 3*towpath.MaxFileChanges {
		t.Errorf("looked again at once: %d changes", n)
	}
}
