package build

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// ProjectFile and LockFile are where a repository keeps them.
const (
	ProjectFile = "towpath.yaml"
	LockFile    = pin.LockFile
)

// Build makes the release of a commit and stores its layers and content.
func (b *Builder) Build(ctx context.Context, req Request) (*Result, error) {
	r := &run{Builder: b, req: req, started: b.cfg.Now()}
	if r.asOf = req.AsOf; r.asOf.IsZero() {
		r.asOf = r.started
	}
	steps := []struct {
		step Step
		do   func(context.Context) error
	}{
		{StepPrepare, r.prepare},
		{"", r.components}, // says its steps itself
		{StepRender, r.render},
	}
	for _, s := range steps {
		if err := r.step(ctx, "", s.step, s.do); err != nil {
			return nil, err
		}
	}
	r.result.Duration = b.cfg.Now().Sub(r.started)
	b.cfg.Logger.InfoContext(ctx, "release built", slog.String("release", string(r.result.Digest)),
		slog.String("version", r.result.Version), slog.String("commit", string(r.result.Commit)),
		slog.Int("cacheHits", r.result.CacheHits), slog.Duration("took", r.result.Duration))
	return &r.result, nil
}

// run is one build.
type run struct {
	*Builder
	req     Request
	started time.Time
	asOf    time.Time // what exceptions are judged by
	commit  Commit
	ref     string // in full, if what was asked for is one
	project *towpath.ProjectSpec
	lock    *lock
	pinned  pin.Judgement // of the references from outside
	units   []unit        // components by name, then folders by role
	layers  []layer       // of units
	reviews []review      // what scans came to: of the project file, then of units
	say     sync.Mutex
	result  Result
}

// prepare finds out what is to be built, and refuses what can't be before
// anything is run.
func (r *run) prepare(ctx context.Context) error {
	if r.req.Ref == "" {
		r.req.Ref = "HEAD"
	}
	id, err := r.source.Resolve(ctx, r.req.Ref)
	if err != nil {
		return err
	}
	if r.ref, err = r.source.FullName(ctx, r.req.Ref); err != nil {
		return err
	}
	if r.ref == "" {
		r.ref = r.req.Ref
	}
	if r.commit, err = r.source.Commit(ctx, id); err != nil {
		return err
	}
	src, err := r.source.ReadFile(ctx, id, ProjectFile, r.cfg.Limits.ProjectFile)
	if err != nil {
		if towpath.KindOf(err) == towpath.KindNotFound {
			return towpath.E(towpath.KindInvalid, "build.prepare", "commit %s has no %s", towpath.Short(id), ProjectFile).
				On(r.req.Ref).WithHint("run `towpath init` and commit the file").WithCause(err)
		}
		return err
	}
	if r.project, err = r.cfg.Parse(src); err != nil {
		return err
	}
	if err := r.scanProjectFile(ctx, src); err != nil {
		return err
	}
	if r.lock, err = r.readLock(ctx); err != nil {
		return err
	}
	if err := r.label(ctx); err != nil {
		return err
	}
	r.result.Commit, r.result.Subject, r.result.Ref = id, r.commit.Subject, r.req.Ref
	r.units = unitsOf(r.project)
	if err := r.pins(ctx); err != nil {
		return err
	}
	return r.warnDirty(ctx)
}

// warnDirty says what the release will not have. Only the commit counts, so
// changes beside it are no error.
func (r *run) warnDirty(ctx context.Context) error {
	head, err := r.source.Resolve(ctx, "HEAD")
	if err != nil || head != r.commit.ID {
		return nil //nolint:nilerr // without a HEAD there is no work tree of the commit
	}
	dirty, err := r.source.Dirty(ctx)
	if err != nil {
		return err
	}
	if len(dirty) > 0 {
		more := ""
		if len(dirty) > 1 {
			more = " and others"
		}
		r.result.Warnings = append(r.result.Warnings, "the work tree has changes that are not in commit "+
			towpath.Short(r.commit.ID)+" and so not in the release: "+dirty[0]+more+"; commit them to release them")
	}
	return nil
}

// components builds and packs every component and folder, several at once.
func (r *run) components(ctx context.Context) error {
	work, err := os.MkdirTemp(r.cfg.WorkDir, "towpath-build-")
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "build.work", "no folder can be made to build in").
			WithHint("check the space and the permissions of %s", r.cfg.WorkDir).WithCause(err)
	}
	defer func() {
		if err := oci.RemoveTree(work); err != nil {
			r.cfg.Logger.WarnContext(ctx, "a build's folder was left behind", slog.String("error", err.Error()))
		}
	}()
	r.layers = make([]layer, len(r.units))
	reviews := make([]review, len(r.units))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.cfg.Parallel)
	for i, u := range r.units {
		g.Go(func() (err error) {
			if r.layers[i], err = r.unit(gctx, filepath.Join(work, strconv.Itoa(i)), u); err == nil {
				reviews[i], err = r.scan(gctx, u, r.layers[i])
			}
			return err
		})
	}
	err = g.Wait()
	r.reviews = append(r.reviews, reviews...)
	return err
}

// step says that a step begins and how it ended. The empty step says nothing.
func (r *run) step(ctx context.Context, name towpath.ComponentName, step Step, do func(context.Context) error) error {
	if step == "" {
		return do(ctx)
	}
	began := r.cfg.Now()
	r.event(Event{Component: name, Step: step})
	err := do(ctx)
	r.event(Event{Component: name, Step: step, Done: err == nil, Err: err, Duration: r.cfg.Now().Sub(began)})
	return err
}

func (r *run) event(e Event) {
	if r.req.Progress == nil {
		return
	}
	r.say.Lock()
	defer r.say.Unlock()
	r.req.Progress(e)
}
