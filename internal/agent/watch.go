package agent

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	folders map[string]*watched // by the folder and what is ignored there
}

// watched is one folder, as one reader of it looks at it.
type watched struct {
	root   string
	ignore []string
	want   map[string]*entry
	read   map[string]time.Time // when a file's content was last read and right
	bad    map[string]stamp     // of files whose content was read and wrong
	began  time.Time
	last   sight
	next   time.Time // no look before
}

// sight is how a folder differs from what it held: the first changes and how
// many there are, and likewise of what is ignored.
type sight struct {
	changes, ignored []towpath.FileChange
	changed, covered int
}

// into tells it in an observation.
func (s sight) into(o *towpath.Observation) {
	o.Files, o.FilesChanged, o.Ignored, o.FilesIgnored = s.changes, s.changed, s.ignored, s.covered
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

// look says how a folder (root, beside its manifest) differs now, leaving out
// what some patterns cover. One that nobody described has no differences.
func (w *watch) look(root string, ignore []string) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := strings.Join(append([]string{root}, ignore...), "\x00")
	f, known := w.folders[key]
	began := w.now()
	if !known {
		f = &watched{root: root, ignore: ignore, began: began, read: map[string]time.Time{}, bad: map[string]stamp{}, want: map[string]*entry{}}
		all, described := readManifest(filepath.Dir(root))
		if !described {
			return sight{}
		}
		for i := range all {
			f.want[all[i].Path] = &all[i]
		}
		w.folders[key] = f
	}
	if began.Before(f.next) {
		return f.last
	}
	f.last = f.compare(began)
	end := w.now()
	f.next = end.Add(max(watchEvery, watchShare*end.Sub(began)))
	return f.last
}

// forget drops what is known of folders that are gone.
func (w *watch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, f := range w.folders {
		if _, err := os.Lstat(f.root); err != nil {
			delete(w.folders, key)
		}
	}
}

// compare looks at every file.
func (f *watched) compare(now time.Time) (s sight) {
	met := make(map[string]bool, len(f.want))
	budget := budget{again: watchRead, edited: watchEdited}
	err := filepath.WalkDir(f.root, func(p string, d fs.DirEntry, err error) error {
		if p == f.root {
			return err
		}
		path := within(f.root, p)
		folder := d != nil && d.IsDir()
		ignored := towpath.Ignored(f.ignore, path, folder)
		want := f.want[path]
		if want == nil {
			return f.added(&s, path, folder, ignored)
		}
		met[path] = true
		if err != nil { // a folder that can't be read
			s.say(path, towpath.FileModeChanged, ignored)
			return fs.SkipDir
		}
		if how := f.differs(p, path, want, d, now, &budget, ignored); how != "" {
			s.say(path, how, ignored)
		}
		return nil
	})
	if err != nil {
		s = sight{}
		s.say(".", towpath.FileWasRemoved, false)
		return s
	}
	for path, e := range f.want {
		if !met[path] && !f.goneWithFolder(path, met) {
			s.say(path, towpath.FileWasRemoved, towpath.Ignored(f.ignore, path, e.Mode.IsDir()))
		}
	}
	s.bound()
	return s
}

// added takes what the release does not have. What is in a folder is told one by
// one where something of it may be ignored, also when the folder itself is.
func (f *watched) added(s *sight, path string, folder, ignored bool) error {
	switch {
	case !folder:
		s.say(path, towpath.FileWasAdded, ignored)
	case ignored || towpath.MayIgnoreBelow(f.ignore, path):
		return nil
	default:
		s.say(path, towpath.FileWasAdded, false)
		return fs.SkipDir
	}
	return nil
}

// goneWithFolder reports whether a file that is not there any more is told of
// by its folder. One that is ignored does not speak for what is in it.
func (f *watched) goneWithFolder(path string, met map[string]bool) bool {
	parent := filepath.ToSlash(filepath.Dir(path))
	return parent != "." && !met[parent] && !towpath.Ignored(f.ignore, parent, true)
}

func (s *sight) say(path string, how towpath.FileEdited, ignored bool) {
	c := towpath.FileChange{Path: path, How: how}
	if ignored {
		s.covered++
		s.ignored = append(s.ignored, c)
		return
	}
	s.changed++
	s.changes = append(s.changes, c)
}

// bound keeps the first changes. Of what is ignored the release's own come first:
// what else is there a program wrote.
func (s *sight) bound() {
	slices.SortFunc(s.changes, func(a, b towpath.FileChange) int { return cmp.Compare(a.Path, b.Path) })
	s.changes = s.changes[:min(len(s.changes), towpath.MaxFileChanges)]
	slices.SortFunc(s.ignored, func(a, b towpath.FileChange) int {
		own := func(c towpath.FileChange) int {
			if c.How == towpath.FileWasAdded {
				return 1
			}
			return 0
		}
		return cmp.Or(own(a)-own(b), cmp.Compare(a.Path, b.Path))
	})
	s.ignored = s.ignored[:min(len(s.ignored), towpath.MaxFilesIgnored)]
}

// budget is how much one look may read.
type budget struct{ again, edited int64 }

// differs compares one thing; "" when it is as it was. What is ignored is not
// read: a program may write there all the time.
func (f *watched) differs(p, path string, want *entry, d fs.DirEntry, now time.Time, b *budget, ignored bool) towpath.FileEdited {
	fi, err := d.Info()
	switch {
	case err != nil:
		return towpath.FileWasRemoved
	case fi.Mode().Type() != want.Mode.Type():
		return towpath.FileWasReplaced
	case fi.Mode()&fs.ModeSymlink != 0:
		if link, err := os.Readlink(p); err != nil || link != want.Link {
			return towpath.FileWasEdited
		}
		return ""
	case ignored && fi.Mode().IsRegular() && stampOf(fi) != want.Stamp:
		return towpath.FileWasEdited
	case !ignored && fi.Mode().IsRegular() && f.edited(p, path, want, fi, now, b):
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
