package replicate

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Exported says what was written into a layout.
type Exported struct {
	Manifests int   `json:"manifests"`
	Blobs     int   `json:"blobs"` // without manifests
	Bytes     int64 `json:"bytes"` // of both
}

// Export writes the graph into a new OCI image layout at path: an archive when
// that ends in ".tar", else a folder. The names are references of the root, for
// people and tools. The same graph under the same names gives the same bytes.
// Nothing is at path before all of it is on disk.
func Export(ctx context.Context, src Source, g *Graph, names []string, path string, cfg Config) (Exported, error) {
	cfg = cfg.withDefaults()
	index, err := indexOf(g, names)
	if err != nil {
		return Exported{}, err
	}
	out, err := createLayout(path)
	if err != nil {
		return Exported{}, err
	}
	e := export{cfg: cfg, src: src, g: g, index: index, out: out}
	if err := e.write(ctx); err != nil {
		return Exported{}, errors.Join(err, out.abandon())
	}
	return e.done, out.finish()
}

// layoutWriter takes the files of a layout. A put that fails may be made again.
type layoutWriter interface {
	put(name string, size int64, write func(io.Writer) error) error
	finish() error
	abandon() error
}

type export struct {
	cfg   Config
	src   Source
	g     *Graph
	index []byte
	out   layoutWriter
	done  Exported
}

// write writes every file, sorted by name within the manner of each: version,
// index, blobs.
func (e *export) write(ctx context.Context) error {
	version, err := oci.Canonical(v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		body []byte
	}{{v1.ImageIndexFile, e.index}, {v1.ImageLayoutFile, version}} {
		if err := e.out.put(f.name, int64(len(f.body)), func(w io.Writer) error { _, err := w.Write(f.body); return err }); err != nil {
			return err
		}
	}
	all := map[digest.Digest]v1.Descriptor{}
	manifests := map[digest.Digest]bool{}
	for _, n := range e.g.Nodes {
		all[n.Digest], manifests[n.Digest] = n.Descriptor, true
	}
	for _, b := range e.g.Blobs() {
		if !manifests[b.Digest] {
			all[b.Digest] = b
		}
	}
	for _, d := range slices.Sorted(maps.Keys(all)) {
		if err := e.blob(ctx, all[d], manifests[d]); err != nil {
			return err
		}
		e.done.Bytes += all[d].Size
		e.cfg.Report(Progress{Digest: towpath.Digest(d), Bytes: all[d].Size, What: Copied})
	}
	e.done.Manifests, e.done.Blobs = len(manifests), len(all)-len(manifests)
	return nil
}

func (e *export) blob(ctx context.Context, d v1.Descriptor, manifest bool) error {
	return e.cfg.again(ctx, func() error {
		return e.out.put(blobName(d), d.Size, func(w io.Writer) error {
			if manifest {
				body, err := readManifest(ctx, e.src, d, e.cfg)
				if err == nil {
					_, err = w.Write(body)
				}
				return err
			}
			r, err := e.src.Blob(ctx, d)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(w, check(ctx, r, d))
			return err
		})
	})
}

// indexOf is the index.json of a graph: the root under each of its names, then
// whatever nothing else in the layout leads to, so that tools find it.
func indexOf(g *Graph, names []string) ([]byte, error) {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	named := map[digest.Digest]bool{}
	for _, n := range g.Nodes {
		for _, m := range n.Manifests {
			named[m.Digest] = true
		}
	}
	entry := func(n Node, annotations map[string]string) {
		d := plain(n.Descriptor)
		d.ArtifactType, d.Annotations = n.ArtifactType, annotations
		index.Manifests = append(index.Manifests, d)
	}
	root, _ := g.Node(g.Root.Digest)
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		entry(root, map[string]string{v1.AnnotationRefName: name})
	}
	if len(names) == 0 {
		entry(root, nil)
	}
	rest := slices.SortedFunc(slices.Values(g.Nodes), func(a, b Node) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	for _, n := range rest {
		if n.Digest != g.Root.Digest && !named[n.Digest] {
			entry(n, nil)
		}
	}
	return oci.Canonical(index)
}

// createLayout begins a layout beside path.
func createLayout(path string) (layoutWriter, error) {
	const op = "replicate.export"
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, unwritable(path, err)
	}
	if err := free(path); err != nil {
		return nil, err
	}
	failed := func(err error) error {
		return towpath.E(towpath.KindInvalid, op, "the layout can't be written at %s", path).WithCause(err).
			WithHint("the folder above it has to exist and be writable")
	}
	dir, base := filepath.Split(path)
	if strings.HasSuffix(base, ".tar") {
		f, err := os.CreateTemp(dir, "."+base+".*")
		if err != nil {
			return nil, failed(err)
		}
		return &archiveWriter{file: f, path: path}, nil
	}
	tmp, err := os.MkdirTemp(dir, "."+base+".*")
	if err != nil {
		return nil, failed(err)
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return nil, failed(errors.Join(err, os.Remove(tmp)))
	}
	return &folderWriter{root: root, tmp: tmp, path: path}, nil
}

// free makes sure that nothing is at path but perhaps an empty folder.
func free(path string) error {
	const op = "replicate.export"
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return towpath.E(towpath.KindInvalid, op, "%s can't be looked at", path).WithCause(err)
	}
	if info.IsDir() && !strings.HasSuffix(path, ".tar") {
		if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
			return nil
		}
	}
	return towpath.E(towpath.KindConflict, op, "there is something at %s already", path).
		WithHint("give another name, or remove what is there")
}
