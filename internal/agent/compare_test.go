package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/towpath"
)

// TestWatch_KnowsFilesFromOtherThings: whatever comes in a file's place is found,
// and nothing of it is opened that nobody may wait for.
func TestWatch_KnowsFilesFromOtherThings(t *testing.T) {
	at := func(root, name string) string { return filepath.Join(root, name) }
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		want   []towpath.FileChange
	}{
		"a fifo, which nobody writes to": {
			func(t *testing.T, root string) {
				must(t, os.Remove(at(root, "lib/a")), unix.Mkfifo(at(root, "lib/a"), 0o444), unix.Mkfifo(at(root, "lib/new"), 0o444))
			}, []towpath.FileChange{{Path: "lib/a", How: towpath.FileWasReplaced}, {Path: "lib/new", How: towpath.FileWasAdded}},
		},
		"a folder": {
			func(t *testing.T, root string) {
				must(t, os.Remove(at(root, "lib/a")), os.MkdirAll(at(root, "lib/a/b"), 0o755))
			}, []towpath.FileChange{{Path: "lib/a", How: towpath.FileWasReplaced}},
		},
		"a file in a folder's place, which speaks for what was in it": {
			func(t *testing.T, root string) {
				must(t, os.RemoveAll(at(root, "lib")), os.WriteFile(at(root, "lib"), nil, 0o555))
			}, []towpath.FileChange{{Path: "lib", How: towpath.FileWasReplaced}},
		},
		"a link in a folder's place, to one that has the same files": {
			func(t *testing.T, root string) {
				elsewhere := filepath.Join(t.TempDir(), "lib")
				must(t, os.Rename(at(root, "lib"), elsewhere), os.Symlink(elsewhere, at(root, "lib")))
			}, []towpath.FileChange{{Path: "lib", How: towpath.FileWasReplaced}},
		},
		"a link in place of all of them": {
			func(t *testing.T, root string) {
				elsewhere := filepath.Join(t.TempDir(), "root")
				must(t, os.Rename(root, elsewhere), os.Symlink(elsewhere, root))
			}, []towpath.FileChange{{Path: ".", How: towpath.FileWasReplaced}},
		},
		"a file with the bit to run as its owner, and one with that of its group": {
			func(t *testing.T, root string) {
				must(t, os.Chmod(at(root, "serve"), 0o444|os.ModeSetuid), os.Chmod(at(root, "lib/a"), 0o444|os.ModeSetgid))
			}, []towpath.FileChange{{Path: "lib/a", How: towpath.FileModeChanged}, {Path: "serve", How: towpath.FileModeChanged}},
		},
		"a second name of a file, which is that file": {
			func(t *testing.T, root string) {
				must(t, os.Link(at(root, "serve"), filepath.Join(t.TempDir(), "serve")))
			}, nil,
		},
		"an edit by a second name": {
			func(t *testing.T, root string) {
				second := filepath.Join(t.TempDir(), "serve")
				must(t, os.Link(at(root, "serve"), second), os.Chmod(second, 0o644), os.WriteFile(second, []byte("AS DEPLOYED"), 0o644), os.Chmod(second, 0o444))
			}, []towpath.FileChange{{Path: "serve", How: towpath.FileWasEdited}},
		},
		"the same bytes by another file, of the day before tomorrow": {
			func(t *testing.T, root string) {
				must(t, os.Remove(at(root, "serve")), os.WriteFile(at(root, "serve"), []byte("as deployed"), 0o444))
				must(t, os.Chtimes(at(root, "serve"), time.Unix(0, 0), time.Now().AddDate(30, 0, 0)))
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := described(t)
			now := time.Now()
			w := newWatch(func() time.Time { return now })
			w.look(root, nil)
			tt.change(t, root)
			for range 2 {
				now = now.Add(watchReread)
				s := w.look(root, nil)
				if diff := cmp.Diff(tt.want, s.changes, cmp.Transformer("none", none)); diff != "" || s.changed != len(tt.want) || s.unknown > 0 || s.partly != "" {
					t.Errorf("%d changes, %d unread, %q: %s", s.changed, s.unknown, s.partly, diff)
				}
			}
		})
	}
}

// TestWatch_Owner: whoever owns a file may write to it. That the agent itself
// does, as somebody else than before, is no news.
func TestWatch_Owner(t *testing.T) {
	root := described(t)
	now := time.Now()
	w := newWatch(func() time.Time { return now })
	w.look(root, nil)
	f := w.folders[root]
	f.want["lib/a"].Owner = &owner{User: 7, Group: 7} // by an agent that ran as somebody else
	want := finding{how: towpath.FileOwnerChanged}
	if os.Geteuid() == 0 {
		must(t, os.Lchown(filepath.Join(root, "serve"), 65534, 65534), os.Lchown(filepath.Join(root, "lib", "deep"), 0, 65534))
		now = now.Add(watchEvery)
		want := []towpath.FileChange{{Path: "lib/deep", How: towpath.FileOwnerChanged}, {Path: "serve", How: towpath.FileOwnerChanged}}
		if s := w.look(root, nil); !cmp.Equal(s.changes, want) {
			t.Errorf("got %v", s.changes)
		}
		return
	}
	etc, err := os.Stat("/etc") // who isn't root can give nothing away, and finds what was
	must(t, err)
	f.root = "/"
	got := f.differs(&entry{Path: "etc", Mode: etc.Mode(), Owner: &owner{User: 7, Group: 7}}, now, &budget{clock: w.now})
	if got != want {
		t.Errorf("got %v", got)
	}
}

// asNobody runs something without the right to read what it doesn't own.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := unix.SetfsuidRetUid(65534)
	must(t, err)
	defer func() {
		if _, err := unix.SetfsuidRetUid(was); err != nil {
			t.Error(err)
		}
	}()
	do()
}

// TestWatch_WhatCantBeReadIsUnknown: it is neither as it was nor edited, and
// nothing starts from it.
func TestWatch_WhatCantBeReadIsUnknown(t *testing.T) {
	setup := func(t *testing.T) (w *watch, root string, now *time.Time) {
		t.Helper()
		root = described(t)
		at := time.Now()
		must(t, os.Chmod(filepath.Dir(filepath.Dir(root)), 0o755), os.Chmod(filepath.Dir(root), 0o755)) //nolint:gosec // for others to look into
		return newWatch(func() time.Time { return at }), root, &at
	}
	t.Run("a file, until it can be read again", func(t *testing.T) {
		w, root, now := setup(t)
		serve := filepath.Join(root, "serve")
		must(t, os.Chmod(serve, 0o000))
		w.look(root, nil)
		w.folders[root].want["serve"].Mode = 0o000 // so that nothing but reading fails
		must(t, os.Chtimes(serve, time.Now(), time.Now().Add(time.Hour)))
		asNobody(t, func() {
			for range 2 {
				*now = now.Add(watchEvery)
				s := w.look(root, nil)
				want := []towpath.FileUnread{{Path: "serve", Why: "permission denied"}}
				if s.changed > 0 || s.unknown != 1 || !cmp.Equal(s.unread, want) || w.intact(root) {
					t.Errorf("%v, unread %v", s.changes, s.unread)
				}
			}
		})
		w.folders[root].want["serve"].Mode = 0o444
		must(t, os.Chmod(serve, 0o444))
		*now = now.Add(watchEvery)
		if s := w.look(root, nil); !s.intact() || !w.intact(root) {
			t.Errorf("%v, unread %v", s.changes, s.unread)
		}
	})
	t.Run("but that its permissions were changed is certain", func(t *testing.T) {
		w, root, now := setup(t)
		w.look(root, nil)
		serve := filepath.Join(root, "serve")
		must(t, os.Chmod(serve, 0o000), os.Chtimes(serve, time.Now(), time.Now().Add(time.Hour)))
		*now = now.Add(watchEvery)
		asNobody(t, func() {
			s := w.look(root, nil)
			if s.unknown > 0 || !cmp.Equal(s.changes, []towpath.FileChange{{Path: "serve", How: towpath.FileModeChanged}}) {
				t.Errorf("%v, unread %v", s.changes, s.unread)
			}
		})
	})
	t.Run("all of them, when nobody can look there", func(t *testing.T) {
		w, root, now := setup(t)
		w.look(root, nil)
		above := filepath.Dir(root)
		must(t, os.Chmod(above, 0o000))
		t.Cleanup(func() { _ = os.Chmod(above, 0o755) }) //nolint:gosec // to be removed
		*now = now.Add(watchEvery)
		asNobody(t, func() {
			s := w.look(root, nil)
			want := []towpath.FileUnread{{Path: ".", Why: "permission denied"}}
			if s.changed > 0 || s.unknown != 1 || !cmp.Equal(s.unread, want) || s.intact() {
				t.Errorf("%v, unread %v", s.changes, s.unread)
			}
		})
	})
	t.Run("a folder speaks for what is in it, and that it was closed is a change", func(t *testing.T) {
		w, root, now := setup(t)
		w.look(root, nil)
		must(t, os.Chmod(filepath.Join(root, "lib"), 0o000))
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "lib"), 0o755) }) //nolint:gosec // to be removed
		*now = now.Add(watchEvery)
		asNobody(t, func() {
			s := w.look(root, nil)
			if len(s.changes) != 1 || s.changes[0] != (towpath.FileChange{Path: "lib", How: towpath.FileModeChanged}) ||
				len(s.unread) != 1 || s.unread[0].Path != "lib" {
				t.Errorf("%v, unread %v", s.changes, s.unread)
			}
		})
	})
}

// TestWatch_AFileThatGrowsIsReadOnce: however fast somebody writes.
func TestWatch_AFileThatGrowsIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grows")
	must(t, os.WriteFile(path, []byte("as deployed, and more than that"), 0o644))
	sum, err := sumOfFile(path, 11)
	must(t, err)
	if want := towpath.DigestOf([]byte("as deployed,")); sum != want {
		t.Errorf("it was read to another end: %s", sum)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o644))
	if sum, err := sumOfFile(fifo, 11); sum != "" || err != nil {
		t.Errorf("of what came in its place: %q, %v", sum, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(path, link))
	if _, err := sumOfFile(link, 11); !gone(err) {
		t.Errorf("a link is followed: %v", err)
	}
}

// TestWatch_LooksIntoNoIgnoredFolder: what is covered with all that is in it costs
// nothing, however much that is, and hides nothing of the release.
func TestWatch_LooksIntoNoIgnoredFolder(t *testing.T) {
	root := described(t)
	patterns := []string{"cache/**", "lib/deep/**", "var/*.db"}
	for _, dir := range []string{"cache/a", "lib/deep/c", "var"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		for i := range 300 {
			must(t, os.WriteFile(filepath.Join(root, dir, fmt.Sprintf("%d.db", i)), nil, 0o644))
		}
	}
	w := newWatch(time.Now)
	names := func(patterns []string) int {
		f := w.folder(root, patterns)
		b := &budget{clock: time.Now, names: watchNames}
		var s sight
		f.strangers(&s, b)
		return watchNames - b.names
	}
	if n := names(patterns); n > 320 {
		t.Errorf("%d names were looked at", n)
	}
	if n := names([]string{"**/*.db"}); n < 900 {
		t.Errorf("%d names were looked at where not all of them are covered", n)
	}
	now := time.Now()
	w = newWatch(func() time.Time { return now })
	w.look(root, patterns)
	must(t, os.Chmod(filepath.Join(root, "lib/deep/b"), 0o644), os.WriteFile(filepath.Join(root, "lib/deep/b"), []byte("AS DEPLOYED"), 0o644))
	now = now.Add(watchEvery)
	s := w.look(root, patterns)
	want := []towpath.FileChange{{Path: "lib/deep/b", How: towpath.FileWasEdited}, {Path: "cache", How: towpath.FileWasAdded}}
	if s.changed > 0 || s.covered != 302 || !cmp.Equal(s.ignored[:2], want) {
		t.Errorf("%v, ignored %d: %v", s.changes, s.covered, s.ignored)
	}
}

// TestWatch_SaysWhatItDidNotLookAt: a look ends in its time, and says so.
func TestWatch_SaysWhatItDidNotLookAt(t *testing.T) {
	t.Run("of more names than one looks at", func(t *testing.T) {
		root := described(t)
		w := newWatch(time.Now)
		f := w.folder(root, nil)
		for i := range 4 {
			must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("new%d", i)), nil, 0o644))
		}
		b := &budget{clock: time.Now, names: 4} // the release's own don't count
		var s sight
		if f.strangers(&s, b); s.partly != "" || s.changed != 4 {
			t.Errorf("of all of them it says %q, %d changes", s.partly, s.changed)
		}
		b.names = 3
		if f.strangers(&s, b); !strings.Contains(s.partly, "names") || s.intact() {
			t.Errorf("it says %q", s.partly)
		}
	})
	t.Run("of files that it never comes to the end of", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "root")
		must(t, os.Mkdir(root, 0o755))
		for i := range 1000 {
			must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("%04d", i)), nil, 0o444))
		}
		must(t, writeManifest(t.Context(), filepath.Dir(root)), os.RemoveAll(root), os.Mkdir(root, 0o755))
		now := time.Now()
		w := newWatch(func() time.Time { now = now.Add(time.Second); return now })
		w.look(root, nil)
		now = now.Add(time.Hour)
		if s := w.look(root, nil); !strings.HasPrefix(s.partly, "there are 1000, and no look has come to the end of them for 1h") {
			t.Errorf("it says %q of %d", s.partly, s.changed)
		}
	})
	t.Run("of a folder that is too slow, and goes on with the release's own files", func(t *testing.T) {
		dir := t.TempDir()
		root := filepath.Join(dir, "root")
		must(t, os.Mkdir(root, 0o755))
		const files = 1000
		for i := range files {
			must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("%04d", i)), nil, 0o444))
		}
		now := time.Now()
		slow := time.Second // each time that the clock is looked at
		w := newWatch(func() time.Time { now = now.Add(slow); return now })
		must(t, writeManifest(t.Context(), dir))
		if !w.intact(root) {
			t.Error("what starts from it does not wait for the end of the look")
		}
		must(t, os.Remove(filepath.Join(root, "0990")))
		seen, looks := sight{}, 0
		for ; seen.changed == 0 && looks < 20; looks++ {
			now = now.Add(time.Hour)
			seen = w.look(root, nil)
			if seen.partly == "" {
				t.Fatalf("look %d says that it was all", looks)
			}
		}
		if looks < 3 || seen.changed != 1 || seen.changes[0].Path != "0990" {
			t.Errorf("after %d looks: %v", looks, seen.changes)
		}
		if w.intact(root) {
			t.Error("what was not looked at is taken for intact")
		}
		slow = 0
		now = now.Add(time.Hour)
		if s := w.look(root, nil); s.changed != 1 || s.partly != "" {
			t.Errorf("%v, %q", s.changes, s.partly)
		}
	})
}
