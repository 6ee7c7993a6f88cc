package builder

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/kind"
	processbuild "github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

// Kinds are the build halves that this binary has.
func Kinds() []kind.Builder { return []kind.Builder{processbuild.New()} }

// Parse reads a towpath.yaml.
func Parse(src []byte) (*towpath.ProjectSpec, error) { return projectfile.Parse(src, Kinds()) }

// Build makes the release of a commit and hands over its bytes.
func Build(ctx context.Context, r cli.BuildRequest, progress cli.Progress) (_ cli.Built, err error) {
	repo, err := git.Open(ctx, r.Dir)
	if err != nil {
		return cli.Built{}, err
	}
	root := repo.WorkTree()
	if root == "" {
		root = repo.Dir()
	}
	signer, err := key(ctx, r)
	if err != nil {
		return cli.Built{}, err
	}
	ref := r.Ref
	if ref == "" {
		head, err := repo.Head(ctx)
		if err != nil {
			return cli.Built{}, err
		}
		ref = head.Name
	}
	to, err := storeOf(ctx, repo, root, ref, r.Fresh)
	if err != nil {
		return cli.Built{}, err
	}
	defer func() {
		if err != nil && to.close != nil {
			err = errors.Join(err, to.close())
		}
	}()
	blobs, err := blob.NewDisk(blob.DiskConfig{Dir: to.blobs})
	if err != nil {
		return cli.Built{}, err
	}
	b, err := build.New(build.Config{
		Parse: Parse, Builders: Kinds(), CacheDir: to.cache, Environ: os.Environ(),
		Now: time.Now, Logger: slog.New(slog.DiscardHandler), BuilderID: r.BuilderID,
	}, Source{Repository: repo}, blobs)
	if err != nil {
		return cli.Built{}, err
	}
	origin, err := repo.Origin(ctx)
	if err != nil {
		return cli.Built{}, err
	}
	res, err := b.Build(ctx, build.Request{
		Ref: ref, Version: r.Version, Check: r.Check, AsOf: r.AsOf, Repository: cmp.Or(r.Repository, origin, root), BuildID: r.BuildID, Progress: steps(progress),
	})
	if err != nil {
		return cli.Built{}, err
	}
	out := cli.Built{
		Project: res.Content.Project, Manifest: res.Manifest, Provenance: res.Provenance, Digest: res.Digest,
		Commit: res.Commit, Ref: res.Ref, Version: res.Version, Warnings: res.Warnings,
		Close: to.close,
	}
	add := func(d towpath.Digest, size int64) {
		out.Blobs = append(out.Blobs, cli.Blob{Digest: d, Size: size, Open: func() (io.ReadCloser, error) {
			rc, _, err := blobs.Open(ctx, d)
			return rc, err
		}})
	}
	add(res.ContentBlob.Digest, res.ContentBlob.Size)
	for _, l := range res.Layers {
		add(l.Digest, l.Size)
	}
	now := time.Now()
	if signer, err = fresh(ctx, r, signer, now); err != nil {
		return cli.Built{}, err
	}
	return out, attest(ctx, &out, res, signer, now)
}

// steps turns the builder's events into steps for people.
func steps(progress cli.Progress) func(build.Event) {
	return func(e build.Event) {
		if progress == nil || e.Line != "" {
			return
		}
		name := string(e.Step)
		if e.Component != "" {
			name += " " + string(e.Component)
		}
		s := cli.Step{Name: name, State: cli.StepRunning}
		switch {
		case e.Err != nil:
			s.State = cli.StepFailed
		case e.Done:
			s.State = cli.StepDone
			if e.Cached {
				s.Detail = "unchanged"
			}
		}
		progress(s)
	}
}

// Init adopts a folder of a git repository as a project: it writes a
// towpath.yaml to start from, unless there is one, and changes nothing else.
func Init(ctx context.Context, dir string, o cli.InitOptions) (cli.Initialised, error) {
	const op = "project.init"
	repo, err := git.Open(ctx, dir)
	if err != nil {
		return cli.Initialised{}, err
	}
	root := repo.WorkTree()
	if root == "" {
		return cli.Initialised{}, towpath.E(towpath.KindInvalid, op, "a bare repository has no place for a file").On(dir).
			WithHint("run it in a clone")
	}
	path := filepath.Join(root, "towpath.yaml")
	out := cli.Initialised{File: path}
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		name := o.Project
		if name == "" {
			name = nameOf(root)
		}
		src, out.Created = projectfile.Template(name), true
		err = os.WriteFile(path, src, 0o644) //nolint:gosec // it is to be committed: everybody may read it
	}
	if err != nil {
		return out, towpath.E(towpath.KindUnavailable, op, "towpath.yaml can't be written").On(path).WithCause(err)
	}
	spec, err := Parse(src)
	if err != nil {
		return out, err
	}
	out.Project = spec.Project
	for _, c := range spec.Components {
		out.Components = append(out.Components, c.Name)
	}
	branches, err := repo.Branches(ctx)
	if err != nil {
		return out, err
	}
	have := map[string]bool{}
	for _, b := range branches {
		have[b.Name] = true
	}
	for _, e := range spec.Environments {
		out.Environments = append(out.Environments, e.Name)
		if e.Branch != "" && !have[e.Branch] {
			out.Notes = append(out.Notes, "branch "+e.Branch+" of "+string(e.Name)+" does not exist yet; the first promotion makes it")
		}
	}
	return out, nil
}

// nameOf makes a project's name of a folder's.
func nameOf(root string) towpath.ProjectName {
	var name []rune
	for _, r := range filepath.Base(root) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && len(name) > 0:
			name = append(name, r)
		case r >= 'A' && r <= 'Z':
			name = append(name, r-'A'+'a')
		case len(name) > 0 && name[len(name)-1] != '-':
			name = append(name, '-')
		}
	}
	for len(name) > 0 && name[len(name)-1] == '-' {
		name = name[:len(name)-1]
	}
	if len(name) == 0 {
		return "project"
	}
	return towpath.ProjectName(name[:min(len(name), 60)])
}
