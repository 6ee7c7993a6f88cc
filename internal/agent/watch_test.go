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
			[]towpath.FileChange{{Path: "lib/a", How: towpath.FileWasReplaced}, {Path: "lib/new", How: towpath.FileWasAdded}, {Path: "serve", How: towpath.FileWasRemoved}},
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
			if s := w.look(root, nil); s.changed > 0 {
				t.Fatalf("before anything happened: %v", s.changes)
			}
			tt.change(t, root)
			now = now.Add(watchEvery)
			for range 2 { // what was found stays found
				s := w.look(root, nil)
				got, n := s.changes, s.changed
				if diff := cmp.Diff(tt.want, got, cmp.Transformer("none", none)); diff != "" || n != len(tt.want) {
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
	w.look(root, nil)
	// A disk that gives other bytes than were written, and says nothing: here, a
	// stamp that is that of the edited file.
	path := filepath.Join(root, "serve")
	must(t, os.Chmod(path, 0o644), os.WriteFile(path, []byte("AS DEPLOYED"), 0o644), os.Chmod(path, 0o444))
	fi, err := os.Stat(path)
	must(t, err)
	w.folders[root].want["serve"].Stamp = stampOf(fi)
	now = now.Add(watchEvery)
	if s := w.look(root, nil); s.changed > 0 {
		t.Fatalf("found without reading: %v", s.changes)
	}
	now = now.Add(watchReread)
	if s := w.look(root, nil); s.changed != 1 || s.changes[0].Path != "serve" {
		t.Errorf("after %s: %v", watchReread, s.changes)
	}
}

// TestWatch_IntactLooksNow: a program that edits its file and dies is not started
// from that, however soon after a look.
func TestWatch_IntactLooksNow(t *testing.T) {
	root := described(t)
	now := time.Now()
	w := newWatch(func() time.Time { return now })
	if !w.look(root, nil).intact() || !w.intact(root) {
		t.Fatal("before anything happened")
	}
	path := filepath.Join(root, "serve")
	must(t, os.Chmod(path, 0o644), os.WriteFile(path, []byte("edited by itself"), 0o644), os.Chmod(path, 0o444))
	if w.intact(root) {
		t.Error("what was edited since the last look is taken for intact")
	}
	must(t, os.Chmod(path, 0o644), os.WriteFile(path, []byte("as deployed"), 0o644), os.Chmod(path, 0o444))
	if !w.intact(root) {
		t.Error("what was put right since the last look is not intact")
	}
}

func TestWatch_IsBounded(t *testing.T) {
	root := described(t)
	for i := range 3 * towpath.MaxFileChanges {
		must(t, os.WriteFile(filepath.Join(root, "new"+string(rune('a'+i))), nil, 0o644))
	}
	now := time.Now()
	w := newWatch(func() time.Time { return now })
	if s := w.look(root, nil); len(s.changes) != towpath.MaxFileChanges || s.changed != 3*towpath.MaxFileChanges {
		t.Errorf("%d changes of %d", len(s.changes), s.changed)
	}
	must(t, os.RemoveAll(root))
	if s := w.look(root, nil); s.changed != 3*towpath.MaxFileChanges {
		t.Errorf("looked again at once: %d changes", s.changed)
	}
}

// TestWatch_Ignores: what a program writes into its own folder is no drift, and
// whoever edits the release can't hide behind it.
func TestWatch_Ignores(t *testing.T) {
	patterns := []string{"*.log", "lib/cache/**", "lib/deep/**", "var/*.db"}
	at := func(root, name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	write := func(t *testing.T, root, name string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(at(root, name)), 0o755), os.WriteFile(at(root, name), []byte("by the program"), 0o644))
	}
	for name, tt := range map[string]struct {
		change        func(t *testing.T, root string)
		want, ignored []towpath.FileChange
	}{
		"what the program writes, and the folders it makes for it": {
			func(t *testing.T, root string) {
				write(t, root, "out.log")
				write(t, root, "lib/cache/a/b")
				write(t, root, "var/one.db")
			}, nil, []towpath.FileChange{
				{Path: "lib/cache", How: towpath.FileWasAdded}, {Path: "out.log", How: towpath.FileWasAdded}, {Path: "var/one.db", How: towpath.FileWasAdded},
			},
		},
		"what is of the release and covered, which is told first": {
			func(t *testing.T, root string) {
				write(t, root, "a.log")
				must(t, os.Chmod(at(root, "lib/deep/b"), 0o644), os.WriteFile(at(root, "lib/deep/b"), []byte("AS DEPLOYED"), 0o644))
			}, nil, []towpath.FileChange{{Path: "lib/deep/b", How: towpath.FileWasEdited}, {Path: "a.log", How: towpath.FileWasAdded}},
		},
		"a folder of the release that is gone, with what is in it": {
			func(t *testing.T, root string) { must(t, os.RemoveAll(at(root, "lib/deep"))) },
			nil, []towpath.FileChange{{Path: "lib/deep", How: towpath.FileWasRemoved}, {Path: "lib/deep/b", How: towpath.FileWasRemoved}},
		},
		"but nothing beside it": {
			func(t *testing.T, root string) {
				write(t, root, "lib/out.log")
				write(t, root, "var/one.db/code.py")
				write(t, root, "hidden.log/code.py")
				write(t, root, "tmp/one.db")
			}, []towpath.FileChange{
				{Path: "hidden.log/code.py", How: towpath.FileWasAdded}, {Path: "lib/out.log", How: towpath.FileWasAdded},
				{Path: "tmp", How: towpath.FileWasAdded}, {Path: "var/one.db/code.py", How: towpath.FileWasAdded},
			}, nil,
		},
		"but no link in place of a folder": {
			func(t *testing.T, root string) {
				same := t.TempDir() // which is not looked through
				must(t, os.Rename(at(root, "lib/deep/b"), filepath.Join(same, "b")), os.Remove(at(root, "lib/deep")))
				must(t, os.Symlink(same, at(root, "lib/deep")), os.Symlink("/tmp", at(root, "lib/cache")))
			}, []towpath.FileChange{{Path: "lib/cache", How: towpath.FileWasAdded}, {Path: "lib/deep", How: towpath.FileWasReplaced}},
			[]towpath.FileChange{{Path: "lib/deep/b", How: towpath.FileWasRemoved}},
		},
		"but no edited file, however much else there is": {
			func(t *testing.T, root string) {
				for i := range 3 * towpath.MaxFileChanges {
					write(t, root, "lib/cache/"+string(rune('a'+i)))
				}
				must(t, os.Chmod(at(root, "serve"), 0o755), os.WriteFile(at(root, "serve"), []byte("AS DEPLOYED"), 0o555))
			}, []towpath.FileChange{{Path: "serve", How: towpath.FileWasEdited}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := described(t)
			now := time.Now()
			w := newWatch(func() time.Time { return now })
			w.look(root, patterns)
			tt.change(t, root)
			now = now.Add(watchEvery)
			var o towpath.Observation
			w.look(root, patterns).into(&o)
			if diff := cmp.Diff(tt.want, o.Files, cmp.Transformer("none", none)); diff != "" || o.FilesChanged != len(tt.want) {
				t.Errorf("%d changes: %s", o.FilesChanged, diff)
			}
			if diff := cmp.Diff(tt.ignored, o.Ignored, cmp.Transformer("none", none)); tt.ignored != nil && diff != "" {
				t.Errorf("%d ignored: %s", o.FilesIgnored, diff)
			}
			if len(o.Ignored) > towpath.MaxFilesIgnored {
				t.Errorf("%d are named", len(o.Ignored))
			}
			if strict := w.look(root, nil); strict.changed == 0 {
				t.Error("whoever starts from the folder is not told")
			}
		})
	}
}

func none(c []towpath.FileChange) []towpath.FileChange { return append([]towpath.FileChange{}, c...) }
