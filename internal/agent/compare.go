package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// finding is what is wrong with a file of the layer, or why nobody can tell.
type finding struct {
	how    towpath.FileEdited
	unread string // why; with no how
}

// lost reports whether a folder is not there any more: nothing in it is.
func (f finding) lost() bool {
	return f.how == towpath.FileWasRemoved || f.how == towpath.FileWasReplaced
}

// budget is how much one look may take.
type budget struct {
	clock          func() time.Time
	limit          time.Duration // of time, for the files of the release and for the rest; 0: none
	until          time.Time
	again, edited  int64 // bytes
	names, counted int   // in folders; since the clock was looked at
}

// begin begins a part of a look.
func (b *budget) begin() { b.until = b.clock().Add(b.limit) }

// over reports whether a part's time is over. The clock is looked at now and then.
func (b *budget) over() bool {
	if b.counted++; b.limit == 0 || b.counted%64 > 0 {
		return false
	}
	return !b.clock().Before(b.until)
}

// compare looks at what the layer has, and then for what it does not have.
func (f *watched) compare(clock func() time.Time, limit time.Duration) (s sight) {
	b := &budget{clock: clock, limit: limit, again: watchRead, edited: watchEdited, names: watchNames}
	defer s.bound()
	fi, err := os.Lstat(f.root)
	switch {
	case gone(err):
		s.say(".", towpath.FileWasRemoved, false)
		return s
	case err != nil:
		s.sayUnread(".", reason(err))
		return s
	case !fi.IsDir():
		s.say(".", towpath.FileWasReplaced, false)
		return s
	}
	f.own(b)
	closed := f.strangers(&s, b)
	f.tell(&s, closed)
	if late := clock().Sub(f.whole); s.partly == "" && f.at > 0 && late > watchReread {
		s.partly = fmt.Sprintf("there are %d, and no look has come to the end of them for %s", len(f.all), late.Round(time.Second))
	}
	return s
}

// own looks at what the layer has, each thing by itself, from where the look
// before had to stop.
func (f *watched) own(b *budget) {
	b.begin()
	now := b.clock()
	for ; f.at < len(f.all); f.at++ {
		if b.over() {
			return
		}
		e := f.all[f.at]
		found := finding{how: towpath.FileWasRemoved}
		if !f.isLost(path.Dir(e.Path)) { // what stands in a folder's place is not looked through
			found = f.differs(e, now, b)
		}
		if found == (finding{}) {
			delete(f.found, e.Path)
		} else {
			f.found[e.Path] = found
		}
	}
	f.at, f.whole = 0, now
}

// isLost reports whether a folder of the layer is not there, or one that it is in.
func (f *watched) isLost(folder string) bool {
	if len(f.found) == 0 {
		return false
	}
	for ; folder != "."; folder = path.Dir(folder) {
		if f.found[folder].lost() {
			return true
		}
	}
	return false
}

// tell says what is wrong with what the layer has. A folder that is gone, or
// can't be read, speaks for what is in it, but one that is ignored does not.
func (f *watched) tell(s *sight, closed map[string]bool) {
	for p, found := range f.found {
		parent := path.Dir(p)
		switch {
		case found.unread != "":
			if !isIn(p, closed) {
				s.sayUnread(p, found.unread)
			}
		case f.found[parent].lost() && !towpath.Ignored(f.ignore, parent, true):
		default:
			// What stands in a folder's place is no folder, and is not covered as one.
			folder := f.want[p].Mode.IsDir() && found.how != towpath.FileWasReplaced
			s.say(p, found.how, towpath.Ignored(f.ignore, p, folder))
		}
	}
}

// isIn reports whether something is one of some folders, or in one.
func isIn(p string, folders map[string]bool) bool {
	for ; !folders[p]; p = path.Dir(p) {
		if p == "." {
			return false
		}
	}
	return true
}

// strangers looks for what the layer does not have, in its folders first. It
// gives those that can't be read.
func (f *watched) strangers(s *sight, b *budget) (closed map[string]bool) {
	b.begin()
	closed = map[string]bool{}
	own, added := []string{"."}, []string(nil)
	for len(own)+len(added) > 0 {
		var folder string
		if len(own) > 0 {
			folder, own = own[0], own[1:]
		} else {
			folder, added = added[0], added[1:]
		}
		err := f.names(folder, b, func(p string, isFolder bool) {
			switch want := f.want[p]; {
			case want != nil:
				if isFolder && want.Mode.IsDir() && !towpath.AllIgnoredIn(f.ignore, p) {
					own = append(own, p)
				}
			case f.added(s, p, isFolder):
				added = append(added, p)
			}
		})
		switch {
		case errors.Is(err, errOver):
			s.partly = err.Error()
			return closed
		case err != nil && !gone(err):
			closed[folder] = true
			s.sayUnread(folder, reason(err))
		}
	}
	return closed
}

// added takes what the release does not have, and reports whether to look into
// it. What is in a folder is told one by one where something of it may be
// ignored; where all of it is, the folder is told.
func (f *watched) added(s *sight, p string, folder bool) (lookInto bool) {
	switch {
	case !folder || towpath.AllIgnoredIn(f.ignore, p):
		s.say(p, towpath.FileWasAdded, towpath.Ignored(f.ignore, p, folder))
	case towpath.Ignored(f.ignore, p, true) || towpath.MayIgnoreBelow(f.ignore, p):
		return true
	default:
		s.say(p, towpath.FileWasAdded, false)
	}
	return false
}

// errOver is the kind of error that says which bound of a look was reached.
var errOver = errors.New("over")

type over string

func (o over) Error() string     { return string(o) }
func (o over) Is(err error) bool { return err == errOver }

// namesAtOnce is how many names of a folder are read at a time.
const namesAtOnce = 512

// names lists what is in a folder, in no order.
func (f *watched) names(folder string, b *budget, take func(p string, folder bool)) error {
	d, err := os.OpenFile(filepath.Join(f.root, filepath.FromSlash(folder)), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(namesAtOnce)
		for _, x := range list {
			if b.names--; b.names < 0 {
				return over(fmt.Sprintf("the look ended after %d names", watchNames))
			}
			if b.over() {
				return over(fmt.Sprintf("the look ended after %s", b.limit))
			}
			take(path.Join(folder, x.Name()), x.IsDir())
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// differs compares one thing; nothing when it is as it was. What is ignored is
// not read: a program may write there all the time. What is certain goes before
// what could not be read.
func (f *watched) differs(e *entry, now time.Time, b *budget) finding {
	p := filepath.Join(f.root, filepath.FromSlash(e.Path))
	fi, err := os.Lstat(p)
	switch {
	case gone(err):
		return finding{how: towpath.FileWasRemoved}
	case err != nil:
		return finding{unread: reason(err)}
	case fi.Mode().Type() != e.Mode.Type():
		return finding{how: towpath.FileWasReplaced}
	}
	var found finding
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return linkDiffers(p, e)
	case !fi.Mode().IsRegular():
	case towpath.Ignored(f.ignore, e.Path, false):
		if stampOf(fi) != e.Stamp {
			found.how = towpath.FileWasEdited
		}
	default:
		found = f.edited(p, e, fi, now, b)
	}
	switch {
	case found.how != "":
		return found
	case permissionsOf(fi.Mode()) != permissionsOf(e.Mode):
		return finding{how: towpath.FileModeChanged}
	case e.Owner != nil && !e.Owner.mayBe(ownerOf(fi)):
		return finding{how: towpath.FileOwnerChanged}
	}
	return found
}

func linkDiffers(p string, e *entry) finding {
	link, err := os.Readlink(p)
	switch {
	case err != nil && !gone(err):
		return finding{unread: reason(err)}
	case err != nil:
		return finding{how: towpath.FileWasRemoved}
	case link != e.Link:
		return finding{how: towpath.FileWasEdited}
	}
	return finding{}
}

// edited compares a file's content. It is read when the file system says that
// something about it has changed, and when it was not read for long.
func (f *watched) edited(p string, e *entry, fi fs.FileInfo, now time.Time, b *budget) finding {
	s, edited := stampOf(fi), finding{how: towpath.FileWasEdited}
	if s.Size != e.Stamp.Size || s == f.bad[e.Path] {
		return edited
	}
	if s == e.Stamp {
		last, ok := f.read[e.Path]
		if !ok {
			last = f.began
		}
		if now.Sub(last) < watchReread || b.again <= 0 {
			return finding{}
		}
		b.again -= s.Size
	} else {
		if b.edited <= 0 {
			return edited // until there is time to read it: something happened to it
		}
		b.edited -= s.Size
	}
	sum, err := sumOfFile(p, s.Size)
	switch {
	case gone(err):
		return finding{how: towpath.FileWasRemoved}
	case err != nil:
		return finding{unread: reason(err)}
	case sum != e.Sum:
		f.bad[e.Path] = s
		return edited
	}
	f.read[e.Path], e.Stamp = now, s
	return finding{}
}

// gone reports whether an error says that something is not there: a folder above
// it may be none any more.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// reason is why something could not be read, without its path.
func reason(err error) string {
	if e := new(fs.PathError); errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}
