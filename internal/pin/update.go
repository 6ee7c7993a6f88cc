package pin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// Resolver says what a reference stands for now.
type Resolver interface {
	Resolve(ctx context.Context, ref towpath.External) (towpath.Pin, error)
}

// asked is how many references are resolved at once.
const asked = 4

// Change is what happens to one entry of the lock file.
type Change struct {
	Name   string
	From   *towpath.Pin // nil: it was not there
	To     *towpath.Pin // nil: it is taken out, or nobody was asked what it is
	Unused bool         // it is taken out: nothing needs it
}

// Update says what a lock file has to become.
type Update struct {
	Lock    *Lock    // the new one; what nobody was asked for is missing
	Changes []Change // by name
}

// Selection says which entries may move: those of some names, or all. A name is
// that of a reference, of an image without its tag, or that under which a
// component uses it, alone or after the component's.
type Selection struct {
	Names []string
	All   bool
	// Free are references that an exception lets move. One that is not locked
	// stays so, unless Names has it: it may be of what can't be reached.
	Free []string
}

// Relock makes the new lock file: entries that are good stay as they are unless
// they are selected, missing ones are resolved, and those that nothing uses are
// taken out. Every reference that can't be resolved is in the error. Without a
// resolver missing entries stay missing.
func Relock(ctx context.Context, lock *Lock, found []Found, sel Selection, r Resolver) (Update, error) {
	if lock == nil {
		lock = &Lock{}
	}
	wanted := lockable(found)
	moving, err := sel.of(found, wanted)
	if err != nil {
		return Update{}, err
	}
	entries := make([]*towpath.Pin, len(wanted))
	failures := make([]error, len(wanted))
	var g errgroup.Group
	g.SetLimit(asked)
	for i, ref := range wanted {
		e, had := lock.Find(ref.String())
		if had && lacks(e, ref) == "" && !moving[ref.String()] {
			entries[i] = &e
			continue
		}
		if r == nil || !had && !moving[ref.String()] && slices.Contains(sel.Free, ref.String()) {
			continue
		}
		g.Go(func() error {
			e, err := r.Resolve(ctx, ref)
			entries[i], failures[i] = &e, err
			return nil
		})
	}
	_ = g.Wait() // failures are kept one by one
	if err := unresolved(wanted, failures); err != nil {
		return Update{}, err
	}
	u := Update{Lock: &Lock{Version: lockVersion}}
	for i, e := range entries {
		name := wanted[i].String()
		from, had := lock.Find(name)
		if e != nil {
			u.Lock.Entries = append(u.Lock.Entries, *e)
		}
		switch {
		case !had && e == nil && slices.Contains(sel.Free, name):
		case !had:
			u.Changes = append(u.Changes, Change{Name: name, To: e})
		case e == nil || *e != from:
			u.Changes = append(u.Changes, Change{Name: name, From: &from, To: e})
		}
	}
	for _, e := range lock.Entries {
		if !slices.ContainsFunc(wanted, func(ref towpath.External) bool { return ref.String() == e.Name }) {
			u.Changes = append(u.Changes, Change{Name: e.Name, From: &e, Unused: true})
		}
	}
	slices.SortFunc(u.Changes, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return u, nil
}

// lockable are the references that need an entry, each once, by name.
func lockable(found []Found) []towpath.External {
	var out []towpath.External
	for _, f := range found {
		if _, itself := f.Pinned(); !itself && f.Unknown == "" {
			out = append(out, f.Reference)
		}
	}
	slices.SortFunc(out, func(a, b towpath.External) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// of are the names of the references that may move.
func (s Selection) of(found []Found, wanted []towpath.External) (map[string]bool, error) {
	moving := map[string]bool{}
	for _, ref := range wanted {
		moving[ref.String()] = s.All && !slices.Contains(s.Free, ref.String())
	}
	known := map[string][]string{} // references by everything that they may be called
	for _, ref := range wanted {
		known[ref.String()] = append(known[ref.String()], ref.String())
		short := ref.Source
		if i := strings.LastIndex(short, ":"); ref.Kind == towpath.ExternalImage && i > strings.LastIndex(short, "/") {
			short = short[:i]
		}
		if short != ref.String() {
			known[short] = append(known[short], ref.String())
		}
	}
	for _, f := range found {
		if f.Use != "" && f.Unknown == "" {
			_, name, _ := strings.Cut(f.Use, ".")
			known[f.Use] = append(known[f.Use], f.Reference.String())
			known[name] = append(known[name], f.Reference.String())
		}
	}
	for _, n := range s.Names {
		refs, ok := known[n]
		if !ok {
			var names []string
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			return nil, towpath.E(towpath.KindNotFound, "pin.update", "nothing from outside is called %q", n).WithHint("%s", didyoumean.Hint(n, names))
		}
		for _, ref := range refs {
			moving[ref] = true
		}
	}
	return moving, nil
}

// unresolved puts failures together; the first decides the kind.
func unresolved(wanted []towpath.External, failures []error) error {
	var first *towpath.Error
	var lines []string
	for i, err := range failures {
		if err == nil {
			continue
		}
		message, hint := towpath.PublicMessage(err)
		lines = append(lines, wanted[i].String()+": "+message)
		if first == nil {
			first = towpath.E(towpath.KindOf(err), "pin.update", "").WithHint("%s", hint).WithCause(err)
		}
	}
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return failures[slices.IndexFunc(failures, func(err error) bool { return err != nil })]
	}
	first.Message = "these could not be resolved, and nothing was written:\n" + strings.Join(lines, "\n")
	return first
}
