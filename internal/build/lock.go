package build

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// lock is a commit's towpath.lock: what the project's references from outside
// stand for. Nothing else is asked: a build resolves none.
type lock struct {
	*pin.Lock
	digest towpath.Digest
}

// readLock is nil when the commit has no lock file.
func (r *run) readLock(ctx context.Context) (*lock, error) {
	src, err := r.source.ReadFile(ctx, r.commit.ID, LockFile, r.cfg.Limits.ProjectFile)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	l, err := pin.ParseLock(src)
	if err != nil {
		return nil, err
	}
	return &lock{Lock: l, digest: towpath.DigestOf(src)}, nil
}

// pins judges the references from outside that the project file declares and
// that the components' files have, and refuses the release for those that can
// still move.
func (r *run) pins(ctx context.Context) error {
	found, err := r.references(ctx)
	if err != nil {
		return err
	}
	var have *pin.Lock
	if r.lock != nil {
		have = r.lock.Lock
	}
	r.pinned = pin.Judge(found, have, r.project.Exceptions, r.asOf)
	if err := refusePins(r.pinned.Refused); err != nil {
		return err
	}
	r.warnExceptions()
	return nil
}

// references are those of the commit, in the order of the files that may have
// some.
func (r *run) references(ctx context.Context) ([]pin.Found, error) {
	var files pin.Scanner
	var paths []string
	for _, u := range r.units {
		if !u.folder {
			paths = append(paths, u.exported()...)
		}
	}
	err := r.source.Files(ctx, r.commit.ID, paths, pin.Wanted, pin.Limit, func(path string, content []byte) error {
		files.Add(path, content)
		return nil
	})
	return append(pin.Declared(ProjectFile, r.project.Components), files.Found()...), err
}

// shownLoose is how many references an error names.
const shownLoose = 50

func refusePins(refused []pin.Loose) error {
	if len(refused) == 0 {
		return nil
	}
	var lines []string
	for _, l := range refused[:min(len(refused), shownLoose)] {
		line := l.Place() + ": "
		if name := l.Reference.String(); name != "" {
			line += name + ": "
		}
		lines = append(lines, line+l.Why)
	}
	what := "a reference from outside that can still move"
	if len(refused) > 1 {
		what = fmt.Sprintf("%d references from outside that can still move", len(refused))
	}
	text := strings.Join(lines, "\n")
	if n := len(refused) - len(lines); n > 0 {
		text += fmt.Sprintf("\nand %d more", n)
	}
	e := towpath.E(towpath.KindInvalid, "build.pins", "the release would be made with %s:\n%s", what, text).
		WithHint("run `towpath lock` and commit %s; what has to move for a time, except in %s: "+
			"pins: {exceptions: [{reference: NAME, reason: WHY, until: DATE}]}", LockFile, ProjectFile)
	e.Fields = map[string]string{"references": strings.Join(lines, "\n")}
	return e
}

// warnExceptions says what each exception let pass, and which let nothing pass.
func (r *run) warnExceptions() {
	for i, x := range r.project.Exceptions {
		var places []string
		for _, e := range r.pinned.Excepted {
			if e.Exception == i {
				places = append(places, e.Place())
			}
		}
		places = slices.Compact(places)
		w := fmt.Sprintf("%s lets %s move until %s (%s)", ProjectFile, x.What(), x.Until, x.Reason)
		switch {
		case len(places) == 0 && x.Expired(r.asOf):
			w += ": that day is over; take the exception out"
		case len(places) == 0:
			w += ": nothing of the kind is used, or it is locked; take the exception out"
		case len(places) > 3:
			w += fmt.Sprintf(": %s and %d more", strings.Join(places[:3], ", "), len(places)-3)
		default:
			w += ": " + strings.Join(places, ", ")
		}
		r.result.Warnings = append(r.result.Warnings, w)
	}
}

// releasePins are what the commit's references from outside stand for, as a part
// of the release's identity.
func (r *run) releasePins() []towpath.ReleasePin {
	var out []towpath.ReleasePin
	for _, p := range r.pinned.Pins {
		out = append(out, towpath.ReleasePin{Pin: p})
	}
	for _, x := range r.pinned.Excepted {
		out = append(out, towpath.ReleasePin{Pin: x.Pin, Loose: true})
	}
	slices.SortFunc(out, func(a, b towpath.ReleasePin) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b towpath.ReleasePin) bool { return a.Name == b.Name })
}

// exceptionsUsed is what the provenance says of the exceptions that let
// something pass.
func (r *run) exceptionsUsed() []any {
	var out []any
	for _, e := range r.pinned.Excepted {
		x := r.project.Exceptions[e.Exception]
		out = append(out, map[string]any{
			"reference": e.Pin.Name, "place": e.Place(), "why": e.Why, "reason": x.Reason, "until": x.Until,
		})
	}
	return out
}
