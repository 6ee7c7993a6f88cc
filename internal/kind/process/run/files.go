package run

import (
	"context"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// A revision runs from one folder, which is where its files are compared. So what
// starts of it beside others starts from theirs, whatever became of it since; when
// nothing of it runs, the files are asked for anew, as they were packed.

// haveFiles fetches the files of a revision of which nothing runs before anything is
// changed for it. That may take long, so others have the turn meanwhile.
func (r *Runner) haveFiles(ctx context.Context, w kind.Work, x *turn) error {
	rec, err := r.loadTarget(w.Operation.Target)
	if err != nil {
		return err
	}
	if some, err := r.runsAny(rec, w.Operation.Spec.Revision); some || err != nil {
		return err
	}
	return x.lend(ctx, func() error {
		_, err := w.Files(ctx)
		return err
	})
}

// useFiles has a revision of which nothing runs start from files as they were packed.
func (r *Runner) useFiles(ctx context.Context, w kind.Work, rec *target) error {
	id := w.Operation.Spec.Revision
	if some, err := r.runsAny(rec, id); some || err != nil {
		return err
	}
	files, err := w.Files(ctx)
	rev := rec.Revisions[id]
	if err != nil || files == rev.Files {
		return err
	}
	rev.Files = files
	rec.Revisions[id] = rev
	return r.saveTarget(rec)
}

// runsAny reports whether anything of a revision runs.
func (r *Runner) runsAny(rec *target, rev towpath.RevisionID) (bool, error) {
	for _, id := range rec.every(rev) {
		in, err := r.look(id)
		if err != nil || in.life == running {
			return true, err
		}
	}
	return false, nil
}
