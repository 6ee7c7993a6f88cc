package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// Layout is an OCI image layout that was made by anybody, in a folder or in a
// tar archive that is read where it lies. Nothing is unpacked. It is a [Source].
type Layout struct {
	files  files
	limits Limits
	index  []v1.Descriptor // of index.json, as it is there
	nodes  map[digest.Digest]Node
	about  map[digest.Digest][]v1.Descriptor
	used   map[string]bool // files that the index leads to
}

// files are the regular files of a layout, by clean relative names.
type files interface {
	// list gives every file and its size in bytes, sorted by name.
	list() []file
	// open reads a file of the list.
	open(name string) (io.ReadCloser, error)
	io.Closer
}

type file struct {
	name string
	size int64
}

// OpenLayout opens a layout: a folder, or an uncompressed tar archive of one.
// It reads all manifests that the index leads to, and compares them; no other
// blob is read before [Layout.Check].
func OpenLayout(ctx context.Context, path string, limits Limits) (*Layout, error) {
	const op = "replicate.open-layout"
	limits = limits.withDefaults()
	info, err := os.Stat(path)
	if err != nil {
		return nil, towpath.E(towpath.KindNotFound, op, "there is no layout at %s", path).WithCause(err).
			WithHint("`towpath release export` writes one")
	}
	var f files
	if info.IsDir() {
		f, err = openFolder(path, limits)
	} else {
		f, err = openArchive(path, limits)
	}
	if err != nil {
		return nil, err
	}
	l, err := readLayout(ctx, f, limits)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// Close lets go of the files.
func (l *Layout) Close() error { return l.files.Close() }

func readLayout(ctx context.Context, f files, limits Limits) (*Layout, error) {
	l := &Layout{files: f, limits: limits, nodes: map[digest.Digest]Node{}, about: map[digest.Digest][]v1.Descriptor{}, used: map[string]bool{}}
	var version v1.ImageLayout
	if err := l.readJSON(v1.ImageLayoutFile, &version); err != nil {
		return nil, err
	}
	if version.Version != v1.ImageLayoutVersion {
		return nil, broken("its version is %q, and only %s is known", shown(version.Version), v1.ImageLayoutVersion).On(v1.ImageLayoutFile)
	}
	var index document
	if err := l.readJSON(v1.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	switch {
	case index.SchemaVersion != 2 || (index.MediaType != "" && index.MediaType != v1.MediaTypeImageIndex) || index.Config != nil || index.Layers != nil:
		return nil, broken("it is not an OCI image index").On(v1.ImageIndexFile)
	case len(index.Manifests) == 0:
		return nil, broken("it names nothing").On(v1.ImageIndexFile)
	case len(index.Manifests) > limits.Manifests:
		return nil, exceeded("replicate.open-layout", "the layout names more than %d things", limits.Manifests).On(v1.ImageIndexFile)
	}
	l.index = index.Manifests
	return l, l.link(ctx)
}

// link finds out what is about what: a layout has no list of referrers.
func (l *Layout) link(ctx context.Context) error {
	cfg := Config{Limits: l.limits, Attempts: 1}.withDefaults()
	total := int64(0)
	todo := slices.Clone(l.index)
	for len(todo) > 0 {
		d := plain(todo[0])
		todo = todo[1:]
		if err := checkDescriptor(v1.Descriptor{Digest: v1.ImageIndexFile}, d); err != nil {
			return err
		}
		if d.Size > l.limits.Blob {
			return exceeded("replicate.open-layout", "the layout names a blob of more than %d bytes", l.limits.Blob).On(string(d.Digest))
		}
		l.used[blobName(d)] = true
		if _, seen := l.nodes[d.Digest]; seen || !isManifest(d.MediaType) {
			continue
		}
		if total += d.Size; len(l.nodes) >= l.limits.Manifests || total > l.limits.Graph {
			return exceeded("replicate.open-layout", "the layout has more than %d manifests, or %d bytes of them", l.limits.Manifests, l.limits.Graph)
		}
		n, err := readNode(ctx, l, d, cfg)
		if err != nil {
			return err
		}
		l.nodes[d.Digest] = n
		for _, b := range n.Blobs {
			l.used[blobName(b)] = true
		}
		if n.Subject != nil {
			l.about[n.Subject.Digest] = append(l.about[n.Subject.Digest], n.Descriptor)
		}
		todo = append(todo, n.Manifests...)
	}
	return nil
}

// Named are the manifests that the index names, each once, in its order.
func (l *Layout) Named() []Node {
	var all []Node
	for _, d := range l.index {
		n, known := l.nodes[d.Digest]
		if known && !slices.ContainsFunc(all, func(x Node) bool { return x.Digest == n.Digest }) {
			all = append(all, n)
		}
	}
	return all
}

// Has describes a manifest that the index names, or an index that it names.
func (l *Layout) Has(d digest.Digest) (v1.Descriptor, bool) {
	n, ok := l.nodes[d]
	return plain(n.Descriptor), ok
}

// Resolve finds the manifest that the index calls by a name, or whose digest
// begins so.
func (l *Layout) Resolve(name string) (v1.Descriptor, error) {
	var found []digest.Digest
	for _, d := range l.index {
		means := d.Annotations[v1.AnnotationRefName] == name || (len(name) >= len("sha256:0000") && strings.HasPrefix(string(d.Digest), name))
		if _, known := l.nodes[d.Digest]; known && means && !slices.Contains(found, d.Digest) {
			found = append(found, d.Digest)
		}
	}
	if len(found) == 1 {
		return plain(l.nodes[found[0]].Descriptor), nil
	}
	if len(found) == 0 {
		return v1.Descriptor{}, towpath.E(towpath.KindNotFound, "replicate.resolve", "the layout has nothing of that name").On(shown(name)).
			WithHint("it has %s", l.names())
	}
	return v1.Descriptor{}, towpath.E(towpath.KindNotFound, "replicate.resolve", "the layout calls %d manifests by that name", len(found)).On(shown(name)).
		WithHint("name one by its digest: it has %s", l.names())
}

// names are what the manifests of the layout are called, for people; what has no name
// is called by its digest.
func (l *Layout) names() string {
	const most = 10
	var all []string
	for _, d := range l.index {
		if _, known := l.nodes[d.Digest]; !known {
			continue
		}
		name := string(d.Digest)
		if ref := d.Annotations[v1.AnnotationRefName]; ref != "" {
			name = fmt.Sprintf("%s (%s)", shown(ref), d.Digest)
		}
		all = append(all, name)
	}
	switch {
	case len(all) == 0:
		return "no manifest"
	case len(all) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

// Check reads every blob of the layout and compares it with its name, and makes
// sure that nothing that the index leads to is missing. It returns the names of
// files that nothing names, which are not used.
func (l *Layout) Check(ctx context.Context) (unused []string, err error) {
	have := map[string]bool{}
	for _, f := range l.files.list() {
		have[f.name] = true
		d, isBlob := blobOf(f)
		if isBlob {
			if err := l.checkBlob(ctx, d); err != nil {
				return nil, err
			}
		}
		if !l.used[f.name] && f.name != v1.ImageLayoutFile && f.name != v1.ImageIndexFile {
			unused = append(unused, f.name)
		}
	}
	for name := range l.used {
		if !have[name] {
			return nil, missing(strings.Replace(strings.TrimPrefix(name, "blobs/"), "/", ":", 1))
		}
	}
	return unused, nil
}

func (l *Layout) checkBlob(ctx context.Context, d v1.Descriptor) error {
	r, err := l.Blob(ctx, d)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, check(ctx, r, d))
	return errors.Join(err, r.Close())
}

// Manifest implements [Source].
func (l *Layout) Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	r, err := l.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(ctx, r, d)
}

// Blob implements [Source].
func (l *Layout) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if towpath.Digest(d.Digest).Algorithm() == "" {
		return nil, broken("%q is no digest", shown(string(d.Digest)))
	}
	return l.files.open(blobName(d))
}

// Referrers implements [Source].
func (l *Layout) Referrers(_ context.Context, subject v1.Descriptor) ([]v1.Descriptor, error) {
	return l.about[subject.Digest], nil
}

func (l *Layout) readJSON(name string, v any) error {
	r, err := l.files.open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, l.limits.ManifestBytes+1))
	if err != nil {
		return unreadable(name, err)
	}
	if int64(len(b)) > l.limits.ManifestBytes {
		return exceeded("replicate.open-layout", "the file has more than %d bytes", l.limits.ManifestBytes).On(name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return broken("it is not JSON as it should be").On(name).WithCause(err)
	}
	return nil
}

// blobName is the file of a blob, whose digest has the form of one.
func blobName(d v1.Descriptor) string {
	return v1.ImageBlobsDir + "/" + string(d.Digest.Algorithm()) + "/" + d.Digest.Encoded()
}

// blobOf is the blob that a file's name says that it is.
func blobOf(f file) (v1.Descriptor, bool) {
	parts := strings.Split(f.name, "/")
	if len(parts) != 3 || parts[0] != v1.ImageBlobsDir {
		return v1.Descriptor{}, false
	}
	d := v1.Descriptor{Digest: digest.Digest(parts[1] + ":" + parts[2]), Size: f.size}
	return d, towpath.Digest(d.Digest).Algorithm() != ""
}

func broken(format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindInvalid, "replicate.open-layout", "the layout is not well-formed: "+format, args...).
		WithHint("take it from where it was made again")
}

func missing(name string) *towpath.Error {
	return towpath.E(towpath.KindInvalid, "replicate.open-layout", "the layout is not whole: something that it names is missing").On(shown(name)).
		WithHint("take it from where it was made again")
}

func unreadable(name string, err error) error {
	var known *towpath.Error
	if errors.As(err, &known) {
		return err
	}
	return towpath.E(towpath.KindInternal, "replicate.open-layout", "the layout can't be read").On(shown(name)).WithCause(err).
		WithHint("look at the disk or the permissions")
}

func unwritable(name string, err error) error {
	return towpath.E(towpath.KindInternal, "replicate.export", "the layout can't be written").On(shown(name)).WithCause(err).
		WithHint("look at the disk: is it full?")
}
