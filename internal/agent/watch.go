package agent

import (
	"cmp"
	"errors"
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
	all    []*entry // what its layer has, by path: a folder before what is in it
	want   map[string]*entry
	found  map[string]finding   // what is wrong with those, as last looked at
	at     int                  // which of those is looked at next; 0 after all of them were
	whole  time.Time            // when all of them had been looked at last
	read   map[string]time.Time // when a file's content was last read and right
	bad    map[string]stamp     // of files whose content was read and wrong
	began  time.Time
	last   sight
	next   time.Time // no look before
	lost   bool      // what it held: its manifest can't be read, and last says so
}

// sight is how a folder differs from what it held: the first changes and how
// many there are, and likewise of what is ignored and of what nobody could read.
type sight struct {
	at               time.Time // of the look
	changes, ignored []towpath.FileChange
	changed, covered int
	unread           []towpath.FileUnread
	unknown          int
	partly           string // why not everything was looked at; empty: it was
}

// into tells it in an observation.
func (s sight) into(o *towpath.Observation) {
	o.FilesAt = s.at
	o.Files, o.FilesChanged, o.Ignored, o.FilesIgnored = s.changes, s.changed, s.ignored, s.covered
	o.Unread, o.FilesUnread, o.FilesPartly = s.unread, s.unknown, s.partly
}

// intact reports whether everything was seen, and as it should be.
func (s sight) intact() bool { return s.changed == 0 && s.unknown == 0 && s.partly == "" }

// Bounds of looking.
const (
	watchEvery  = time.Second     // at most
	watchShare  = 50              // a look that takes one part of time is followed by so many without
	watchReread = 5 * time.Minute // every content is read again
	watchRead   = 32 << 20        // bytes read again in one look
	watchEdited = 256 << 20       // bytes read because they changed, in one look
	watchTime   = 3 * time.Second // for the files of the release, and as long for what else there is
	watchNames  = 200_000         // names that the release does not have, in one look
)

func newWatch(now func() time.Time) *watch { return &watch{now: now, folders: map[string]*watched{}} }

// look says how a folder (root, beside its manifest) differs now, leaving out
// what some patterns cover. One that nobody described has no differences; how one differs
// whose description can't be read is not known. It takes a bounded time; what it did
// not get to is looked at the next time.
func (w *watch) look(root string, ignore []string) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folder(root, ignore)
	if f == nil {
		return sight{}
	}
	if w.now().Before(f.next) {
		return f.last
	}
	return f.look(w.now, watchTime)
}

// intact reports whether a folder is as it was put in place, all of it and now:
// nothing starts from what nobody has looked at, however long that takes.
func (w *watch) intact(root string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.folder(root, nil)
	if f == nil {
		return true
	}
	if f.lost {
		return false
	}
	f.at = 0
	return f.look(w.now, 0).intact()
}

// folder is what is known of a folder; nil when nobody described it. A description
// that can't be read is tried again no earlier than the folder is looked at again.
func (w *watch) folder(root string, ignore []string) *watched {
	key := strings.Join(append([]string{root}, ignore...), "\x00")
	began := w.now()
	if f := w.folders[key]; f != nil && (!f.lost || began.Before(f.next)) {
		return f
	}
	all, err := readManifest(filepath.Dir(root))
	if errors.Is(err, errUndescribed) {
		return nil
	}
	now := w.now()
	f := &watched{
		root: root, ignore: ignore, began: now, whole: now, want: make(map[string]*entry, len(all)),
		found: map[string]finding{}, read: map[string]time.Time{}, bad: map[string]stamp{},
	}
	w.folders[key] = f
	if err != nil {
		f.lost, f.next = true, rested(began, now)
		f.last = sight{at: began, partly: "what they were, in " + manifestFile + " beside them, can't be read: " + reason(err)}
		return f
	}
	for i := range all {
		f.all, f.want[all[i].Path] = append(f.all, &all[i]), &all[i]
	}
	slices.SortFunc(f.all, func(a, b *entry) int { return cmp.Compare(a.Path, b.Path) })
	return f
}

// rested is when the next look may begin after one that took from began to end.
func rested(began, end time.Time) time.Time {
	return end.Add(max(watchEvery, watchShare*end.Sub(began)))
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

// look compares and says when to look next. Without a limit it takes as long as
// it takes.
func (f *watched) look(clock func() time.Time, limit time.Duration) sight {
	began := clock()
	f.last = f.compare(clock, limit)
	f.last.at = began
	f.next = rested(began, clock())
	return f.last
}

// say takes a change, of what is ignored apart from the others.
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

// sayUnread takes what could not be read.
func (s *sight) sayUnread(path, why string) {
	s.unknown++
	s.unread = append(s.unread, towpath.FileUnread{Path: path, Why: why})
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
	slices.SortFunc(s.unread, func(a, b towpath.FileUnread) int { return cmp.Compare(a.Path, b.Path) })
	s.unread = s.unread[:min(len(s.unread), towpath.MaxFilesUnread)]
}
