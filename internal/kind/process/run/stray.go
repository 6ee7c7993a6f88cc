package run

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// strays lists what runs in the name of a target and belongs to no revision of
// it: instances that somebody started by hand, or that a crash left behind.
func (r *Runner) strays(rec *target) ([]string, error) {
	dir := filepath.Join(r.cfg.Dir, "instances")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "process.strays", "the instances can't be listed").On(dir).WithCause(err)
	}
	var known, out []string
	for rev := range rec.Revisions {
		known = append(known, rec.every(rev)...)
	}
	for _, e := range entries {
		if slices.Contains(known, e.Name()) {
			continue
		}
		in, err := r.look(e.Name())
		if err != nil { // what can't be read is no instance of ours
			continue
		}
		if in.life == running && in.spec.Target == rec.Target {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// stopStrays ends them. None of them ever had traffic.
func (r *Runner) stopStrays(ctx context.Context, rec *target) error {
	all, err := r.strays(rec)
	for _, id := range all {
		if err == nil {
			err = r.stop(ctx, id)
		}
	}
	return err
}
