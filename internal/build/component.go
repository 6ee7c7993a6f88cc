package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// unit is what becomes one layer: a component, or a folder packed beside them.
type unit struct {
	name   towpath.ComponentName // of a folder: its role
	folder bool
	path   string
	inputs []string
	build  *towpath.BuildSpec
}

// layer is a unit, packed and stored.
type layer struct {
	oci.Blob
	Files    int   `json:"files"`
	Bytes    int64 `json:"bytes"`
	cached   bool
	duration time.Duration
}

func unitsOf(p *towpath.ProjectSpec) []unit {
	var units []unit
	for _, c := range p.Components {
		units = append(units, unit{name: c.Name, path: path.Clean(c.Path), inputs: c.Inputs, build: c.Build})
	}
	for _, f := range []struct{ role, path string }{ // by role
		{"migrations", p.Migrations}, {"policies", p.Policies}, {"runbooks", p.Runbooks},
	} {
		if f.path != "" {
			units = append(units, unit{name: towpath.ComponentName(f.role), folder: true, path: path.Clean(f.path)})
		}
	}
	return units
}

// exported is every path that the unit's build may see.
func (u unit) exported() []string { return append([]string{u.path}, u.inputs...) }

// circumstances are what must not make a difference to a build.
type circumstances struct {
	dir   string // where the build gets its folders
	umask string
}

// unit makes a unit's layer, or finds the one that was made of the same
// content by the same command before. The folder dir is the unit's own.
func (r *run) unit(ctx context.Context, dir string, u unit) (layer, error) {
	began := r.cfg.Now()
	key, err := r.cacheKey(ctx, u)
	if err != nil {
		return layer{}, err
	}
	if !r.req.Check {
		if l, ok := r.cache.find(ctx, key); ok {
			l.cached, l.duration = true, r.cfg.Now().Sub(began)
			r.event(Event{Component: u.name, Step: StepPack, Done: true, Cached: true, Duration: l.duration})
			return l, nil
		}
	}
	l, err := r.make(ctx, u, circumstances{dir: filepath.Join(dir, "first"), umask: "022"})
	if err == nil && r.req.Check {
		err = r.step(ctx, u.name, StepCheck, func(ctx context.Context) error {
			return r.check(ctx, u, l, filepath.Join(dir, "again", "elsewhere"))
		})
	}
	if err != nil {
		return layer{}, err
	}
	if err := r.cache.keep(key, l); err != nil {
		r.cfg.Logger.WarnContext(ctx, "a component's layer was not remembered", "component", u.name, "error", err)
	}
	l.duration = r.cfg.Now().Sub(began)
	return l, nil
}

// make exports a unit, runs its build and packs what it left.
func (r *run) make(ctx context.Context, u unit, c circumstances) (l layer, err error) {
	src, tmp := filepath.Join(c.dir, "src"), filepath.Join(c.dir, "tmp")
	for _, dir := range []string{src, tmp} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return layer{}, workError(u, err)
		}
	}
	defer func() {
		// Disk is given back as early as possible; what stays goes with the run's folder.
		_ = oci.RemoveTree(c.dir)
	}()
	root, err := os.OpenRoot(src)
	if err != nil {
		return layer{}, workError(u, err)
	}
	defer root.Close()
	err = r.step(ctx, u.name, StepExport, func(ctx context.Context) error {
		return r.source.Export(ctx, r.commit.ID, root, u.exported())
	})
	if err != nil {
		return layer{}, err
	}
	own, err := root.OpenRoot(filepath.FromSlash(u.path))
	if err != nil {
		return layer{}, towpath.E(towpath.KindInvalid, "build.export", "the path %q of component %q is not a folder", u.path, u.name).
			On(string(u.name)).WithHint("give the folder of the component").WithCause(err)
	}
	defer own.Close()
	if u.build != nil {
		err = r.step(ctx, u.name, StepRun, func(ctx context.Context) error {
			return r.command(ctx, u, filepath.Join(src, filepath.FromSlash(u.path)), tmp, c.umask)
		})
		if err != nil {
			return layer{}, err
		}
	}
	err = r.step(ctx, u.name, StepPack, func(ctx context.Context) error {
		l, err = r.pack(ctx, u, own)
		return err
	})
	return l, err
}

// pack stores a unit's outputs as a layer.
func (r *run) pack(ctx context.Context, u unit, own *os.Root) (layer, error) {
	paths := []string{"."}
	if u.build != nil && len(u.build.Outputs) > 0 {
		paths = slices.Clone(u.build.Outputs)
		if err := outputsExist(u, own); err != nil {
			return layer{}, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pr, pw := io.Pipe()
	var packed oci.Packed
	var packErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		packed, packErr = oci.Pack(ctx, pw, own, paths...)
		_ = pw.CloseWithError(packErr)
	}()
	digest, size, err := r.blobs.Put(ctx, "", pr, r.cfg.Limits.Layer.Bytes)
	_ = pr.CloseWithError(io.ErrClosedPipe) // a writer that still packs ends
	<-done
	switch {
	case err != nil && packErr != nil && !errors.Is(packErr, io.ErrClosedPipe):
		return layer{}, packErr
	case err != nil:
		return layer{}, err
	case packErr != nil:
		return layer{}, packErr
	case digest != packed.Digest:
		return layer{}, towpath.E(towpath.KindInternal, "build.pack", "the layer of %q was stored with another content than packed", u.name)
	}
	return layer{Blob: oci.Blob{Digest: digest, Size: size}, Files: packed.Files, Bytes: packed.Bytes}, nil
}

// outputsExist names every output that the build did not make.
func outputsExist(u unit, own *os.Root) error {
	var missing []string
	for _, out := range u.build.Outputs {
		if _, err := own.Lstat(filepath.FromSlash(path.Clean(out))); err != nil {
			missing = append(missing, out)
		}
	}
	if len(missing) > 0 {
		return towpath.E(towpath.KindInvalid, "build.outputs", "the build of component %q did not make its output %q", u.name, missing).
			On(string(u.name)).WithHint("outputs are relative to the component's path %q: correct the build command or `outputs`", u.path)
	}
	return nil
}

func workError(u unit, err error) error {
	return towpath.E(towpath.KindUnavailable, "build.work", "no folder can be made to build %q in", u.name).
		On(string(u.name)).WithHint("check the space and the permissions of the builder's work directory").WithCause(err)
}
