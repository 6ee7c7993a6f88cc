package build

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// shownDifferences is how many differing files an error names.
const shownDifferences = 5

// check makes a unit's layer once more, in another folder, with another TMPDIR
// and umask and at another second, and compares.
func (r *run) check(ctx context.Context, u unit, first layer, dir string) error {
	if u.build != nil {
		// The most common difference is a time in whole seconds.
		if err := wait(ctx, 1100*time.Millisecond); err != nil {
			return err
		}
	}
	second, err := r.make(ctx, u, circumstances{dir: dir, umask: "077"})
	if err != nil {
		return err
	}
	if second.Digest == first.Digest {
		return nil
	}
	different, err := r.differences(ctx, first, second)
	if err != nil {
		return err
	}
	shown := different[:min(len(different), shownDifferences)]
	more := ""
	if n := len(different) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	e := towpath.E(towpath.KindInvalid, "build.check", "component %q is not built the same twice: %s%s", u.name, strings.Join(shown, ", "), more).
		On(string(u.name)).WithHint("look for times, random names, absolute paths and the order of maps in what the build writes; SOURCE_DATE_EPOCH is the time to use")
	e.Fields = map[string]string{"component": string(u.name), "files": strings.Join(shown, "\n")}
	return e
}

// differences names the entries of two layers that differ, in order.
func (r *run) differences(ctx context.Context, a, b layer) ([]string, error) {
	var lists [2][]oci.Entry
	for i, l := range []layer{a, b} {
		content, _, err := r.blobs.Open(ctx, l.Digest)
		if err != nil {
			return nil, err
		}
		lists[i], err = oci.List(ctx, content, r.cfg.Limits.Layer)
		_ = content.Close()
		if err != nil {
			return nil, err
		}
	}
	var out []string
	x, y := lists[0], lists[1]
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Name < y[0].Name:
			out, x = append(out, x[0].Name+" (only the first time)"), x[1:]
		case len(x) == 0 || y[0].Name < x[0].Name:
			out, y = append(out, y[0].Name+" (only the second time)"), y[1:]
		default:
			if x[0] != y[0] {
				out = append(out, x[0].Name)
			}
			x, y = x[1:], y[1:]
		}
	}
	return out, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
