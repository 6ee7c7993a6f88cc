package pin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Judgement says of the references of a commit which may be released.
type Judgement struct {
	Pins     []towpath.Pin // what is pinned: by the lock file or by itself; by name
	Refused  []Loose       // by place
	Excepted []Excepted    // by place
}

// Loose is a reference that can still move.
type Loose struct {
	Found
	Why string // with what to do
}

// Excepted is a reference that can still move, and may.
type Excepted struct {
	Loose
	Pin       towpath.Pin // what the lock file says it stood for; may lack everything but the name
	Exception int         // of the list
}

// Judge decides which references can't move any more, and which others an
// exception lets pass at a time.
func Judge(found []Found, lock *Lock, exceptions []towpath.PinException, now time.Time) Judgement {
	var j Judgement
	if lock != nil {
		j.Pins = slices.Clone(lock.Entries)
	}
	for _, f := range found {
		why := loose(f, lock)
		if why == "" {
			if e, itself := f.Pinned(); itself {
				j.Pins = append(j.Pins, e)
			}
			continue
		}
		name, i, lapsed := f.Reference.String(), -1, ""
		for k, x := range exceptions {
			switch {
			case !x.Covers(f.File, name):
			case x.Expired(now):
				lapsed = fmt.Sprintf(" (its exception ended on %s)", x.Until)
			case i < 0:
				i = k
			}
		}
		if i < 0 {
			j.Refused = append(j.Refused, Loose{Found: f, Why: why + lapsed})
			continue
		}
		e, _ := lock.Find(name)
		e.Name = cmp.Or(name, f.File)
		e.Kind = f.Reference.Kind
		j.Excepted = append(j.Excepted, Excepted{Loose: Loose{Found: f, Why: why}, Pin: e, Exception: i})
	}
	for _, x := range j.Excepted { // what may move is no pin, wherever else it stands
		j.Pins = slices.DeleteFunc(j.Pins, func(e towpath.Pin) bool { return e.Name == x.Pin.Name })
	}
	slices.SortFunc(j.Pins, func(a, b towpath.Pin) int { return cmp.Compare(a.Name, b.Name) })
	j.Pins = slices.CompactFunc(j.Pins, func(a, b towpath.Pin) bool { return a.Name == b.Name })
	slices.SortStableFunc(j.Refused, func(a, b Loose) int { return byPlace(a.Found, b.Found) })
	slices.SortStableFunc(j.Excepted, func(a, b Excepted) int { return byPlace(a.Found, b.Found) })
	return j
}

// Free are the references that are let pass wherever they stand, by name.
func (j Judgement) Free() []string {
	var out []string
	for _, x := range j.Excepted {
		if !slices.ContainsFunc(j.Refused, func(l Loose) bool { return l.Reference == x.Reference }) {
			out = append(out, x.Reference.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func byPlace(a, b Found) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reference.String(), b.Reference.String()))
}

// loose is why a reference can still move; empty: it can't.
func loose(f Found, lock *Lock) string {
	if f.Unknown != "" {
		return f.Unknown
	}
	if _, itself := f.Pinned(); itself {
		return ""
	}
	e, ok := lock.Find(f.Reference.String())
	if !ok {
		return "it is not in " + LockFile
	}
	return moves(e, f.Reference)
}

// moves is why an entry does not pin a reference; empty: it does.
func moves(e towpath.Pin, ref towpath.External) string {
	if why := lacks(e, ref); why != "" {
		return why
	}
	if branch, ok := strings.CutPrefix(e.Ref, "refs/heads/"); ok {
		return branch + " is a branch, which moves: name a tag or a commit"
	}
	return ""
}

// lacks is what an entry ought to have for a reference and does not.
func lacks(e towpath.Pin, ref towpath.External) string {
	oci := ref.Kind == towpath.ExternalModule && strings.HasPrefix(ref.Source, "oci://")
	git := ref.Kind == towpath.ExternalModule && strings.HasPrefix(ref.Source, "git::")
	switch {
	case e.Kind != "" && e.Kind != ref.Kind:
		return fmt.Sprintf("%s has it as %s", LockFile, e.Kind)
	case git && e.Commit == "":
		return LockFile + " has no commit for it"
	case (oci || ref.Kind == towpath.ExternalImage || ref.Kind == towpath.ExternalChart) && e.Digest == "":
		return LockFile + " has no digest for it"
	case git && e.Ref == "":
		return LockFile + " does not say whether a tag or a branch is the ref: towpath lock writes it"
	case (ref.Kind == towpath.ExternalModule && !git && !oci || ref.Kind == towpath.ExternalProvider) && e.Version == "":
		return LockFile + " has no version for it"
	case !git && !oci && ref.Kind != towpath.ExternalImage && e.Version != "" && !allows(ref, e.Version):
		return fmt.Sprintf("%s has %s, which %q does not allow: towpath lock brings it up to date", LockFile, e.Version, ref.Version)
	}
	return ""
}
