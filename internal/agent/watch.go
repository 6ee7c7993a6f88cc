package agent

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// watch compares folders of files with what they held when they were put in
// place. A look costs one call a file: only what the file system says has
// changed is read. What it does not say (a disk that lies, a write around it)
// is found by reading everything again from time to time, a part in each look.
type watch struct {
	now func() time.Time

	mu      sync.Mutex
	folders map[string]*watched
}

// watched is one folder.
type watched struct {
	want    map[string]*entry
	read    map[string]time.Time // when a file's content was last read and right
	bad     map[string]stamp     // of files whose content was read and wrong
	began   time.Time
	changes []towpath.FileChange // of the last look
	total   int
	next    time.Time // no look before
}

// Bounds of looking.
const (
	watchEvery  = time.Second     // at most
	watchShare  = 50              // a look that takes one part of time is followed by so many without
	watchReread = 5 * time.Minute // every content is read again
	watchRead   = 32 << 20        // bytes read again in one look
	watchEdited = 256 << 20       // bytes read because they changed, in one look
)

func newWatch(now func() time.Time) *watch { return &watch{now: now, folders: map[string]*watched{}} }

// look says how a folder (root, beside its manifest) differs now: the first
// changes and how many there are. One that nobody described has none.
func (w *watch) look(root string) ([]towpath.FileChange, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, known := w.folders[root]
	began := w.now()
	if !known {
		f = &watched{began: began, read: map[string]time.Time{}, bad: map[string]stamp{}, want: map[string]*entry{}}
		all, described := readManifest(filepath.Dir(root))
		if !described {
			return nil, 0
		}
		for i := range all {
			f.want[all[i].Path] = &all[i]
		}
		w.folders[root] = f
	}
	if began.Before(f.next) {
		return f.changes, f.total
	}
	f.compare(root, began)
	end := w.now()
	f.next = end.Add(max(watchEvery, watchShare*end.Sub(began)))
	return f.changes, f.total
}

// forget drops what is known of folders that are gone.
func (w *watch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for root := range w.folders {
		if _, err := os.Lstat(root); err != nil {
			delete(w.folders, root)
		}
	}
}

// compare looks at every file.
func (f *watched) compare(root string, now time.Time) {
	f.changes, f.total = nil, 0
	met := make(map[string]bool, len(f.want))
	budget := budget{again: watchRead, edited: watchEdited}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if p == root {
			return err
		}
		path := within(root, p)
		want := f.want[path]
		if want == nil {
			f.say(path, towpath.FileWasAdded)
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		met[path] = true
		if err != nil { // a folder that can't be read
			f.say(path, towpath.FileModeChanged)
			return fs.SkipDir
		}
		if how := f.differs(p, path, want, d, now, &budget); how != "" {
			f.say(path, how)
		}
		return nil
	})
	if err != nil {
		f.say(".", towpath.FileWasRemoved)
		return
	}
	for path, e := range f.want {
		if parent := filepath.ToSlash(filepath.Dir(path)); !met[path] && (parent == "." || met[parent]) && e != nil {
			f.say(path, towpath.FileWasRemoved)
		}
	}
	slices.SortFunc(f.changes, func(a, b towpath.FileChange) int { return cmp.Compare(a.Path, b.Path) })
	f.changes = f.changes[:min(len(f.changes), towpath.MaxFileChanges)]
}

func (f *watched) say(path string, how towpath.FileEdited) {
	f.total++
	f.changes = append(f.changes, towpath.FileChange{Path: path, How: how})
}

// budget is how much one look may read.
type budget struct{ again, edited int64 }

// differs compares one thing; "" when it is as it was.
func (f *watched) differs(p, path string, want *entry, d fs.DirEntry, now time.Time, b *budget) towpath.FileEdited {
	fi, err := d.Info()
	switch {
	case err != nil:
		return towpath.FileWasRemoved
	case fi.Mode().Type() != want.Mode.Type():
		return towpath.FileWasEdited
	case fi.Mode()&fs.ModeSymlink != 0:
		if link, err := os.Readlink(p); err != nil || link != want.Link {
			return towpath.FileWasEdited
		}
		return ""
	case fi.Mode().IsRegular() && f.edited(p, path, want, fi, now, b):
		return towpath.FileWasEdited
	case fi.Mode().Perm() != want.Mode.Perm():
		return towpath.FileModeChanged
	}
	return ""
}

// edited reports whether a file's content is another. It is read when the file
// system says that something about it has changed, and when it was not read for
// long.
func (f *watched) edited(p, path string, want *entry, fi fs.FileInfo, now time.Time, b *budget) bool {
	s := stampOf(fi)
	if s.Size != want.Stamp.Size || s == f.bad[path] {
		return true
	}
	if s == want.Stamp {
		last, ok := f.read[path]
		if !ok {
			last = f.began
		}
		if now.Sub(last) < watchReread || b.again <= 0 {
			return false
		}
		b.again -= s.Size
	} else {
		if b.edited <= 0 {
			return true // until there is time to read it: something happened to it
		}
		b.edited -= s.Size
	}
	sum, err := sumOfFile(p)
	if err != nil || sum != want.Sum {
		f.bad[path] = s
		return true
	}
	f.read[path], want.Stamp = now, s
	return false
}
