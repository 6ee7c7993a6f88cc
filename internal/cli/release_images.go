package cli

import (
	"context"
	"io"
	"slices"
	"strings"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// heldImage is what a release takes from another registry, as the server has
// mirrored it.
type heldImage struct {
	repository towpath.RepositoryName // of ours
	source     replicate.Source
	graph      *replicate.Graph
}

// takeImages finds the images of a release on the server, with everything that
// is about them. Which those are the provenance says. One that is not mirrored is
// an error: the others would be of no use where nobody can fetch it.
func (s *session) takeImages(ctx context.Context, c *client.Client, r towpath.Release) ([]heldImage, error) {
	var all []heldImage
	for _, x := range r.Candidates {
		p, err := c.Provenance(ctx, r.Project, string(x.ID))
		if err != nil {
			return nil, err
		}
		images, moving, err := evidence.Images(p.Statement)
		if err != nil {
			return nil, err
		}
		if len(moving) > 0 {
			return nil, towpath.E(towpath.KindNotFound, "release.images", "the release takes %s from outside, and nobody knows by which digest", moving[0]).
				WithHint("pin it with `towpath lock`, then build again; or leave --with-images away")
		}
		for _, i := range images {
			name := towpath.MirrorRepository(r.Project, i.Repository)
			if slices.ContainsFunc(all, func(h heldImage) bool { return h.repository == name && h.graph.Root.Digest == digest.Digest(i.Digest) }) {
				continue
			}
			h, err := s.takeImage(ctx, r, name, i)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
		}
	}
	return all, nil
}

// takeImage finds one image that the server has whole.
func (s *session) takeImage(ctx context.Context, r towpath.Release, name towpath.RepositoryName, i evidence.Image) (heldImage, error) {
	if !slices.ContainsFunc(r.Images, func(x towpath.PinnedImage) bool {
		return x.Repository == name && x.Digest == i.Digest && !x.Mirrored.IsZero()
	}) {
		return heldImage{}, towpath.E(towpath.KindNotFound, "release.images", "%s is not mirrored on the server", i.Name).On(string(i.Digest)).
			WithHint("`towpath registry mirror` says why, and from where images are mirrored")
	}
	own, err := s.ownRepository(name)
	if err != nil {
		return heldImage{}, err
	}
	root, err := own.Resolve(ctx, replicate.Config{}, string(i.Digest))
	if err != nil {
		return heldImage{}, err
	}
	graph, err := replicate.Walk(ctx, own, root, replicate.Config{})
	return heldImage{name, own, graph}, err
}

// along reads what is of images from where those are, and the rest from a
// release's source.
type along struct {
	replicate.Source
	of map[digest.Digest]replicate.Source
}

// Manifest implements [replicate.Source].
func (a along) Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	return a.from(d).Manifest(ctx, d)
}

// Blob implements [replicate.Source].
func (a along) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	return a.from(d).Blob(ctx, d)
}

func (a along) from(d v1.Descriptor) replicate.Source {
	if s, ok := a.of[d.Digest]; ok {
		return s
	}
	return a.Source
}

// withImages is a release and its images as one graph, for a layout.
func withImages(src replicate.Source, g *replicate.Graph, images []heldImage) (replicate.Source, *replicate.Graph) {
	out := along{Source: src, of: map[digest.Digest]replicate.Source{}}
	whole := g.Without(func(replicate.Node) bool { return false })
	own := map[digest.Digest]bool{}
	for _, n := range g.Nodes {
		own[n.Digest] = true
	}
	for _, b := range g.Blobs() {
		own[b.Digest] = true
	}
	for _, i := range images {
		for _, n := range i.graph.Nodes {
			if _, there := whole.Node(n.Digest); !there {
				whole.Nodes = append(whole.Nodes, n)
			}
			for _, d := range append([]v1.Descriptor{n.Descriptor}, n.Blobs...) {
				if !own[d.Digest] {
					out.of[d.Digest] = i.source
				}
			}
		}
	}
	return out, whole
}

// copyImages writes the images of a release below the repository that it is
// copied to.
func (s *session) copyImages(ctx context.Context, images []heldImage, repository string, o copyOptions, to *copiedRelease) error {
	for _, i := range images {
		_, below, _ := strings.Cut(string(i.repository), "/")
		target, err := s.copyTo(repository+"/"+below, o)
		if err != nil {
			return err
		}
		from := copied{source: i.source, graph: i.graph}
		moved, err := s.copyGraph(ctx, from, target, o)
		if err != nil {
			return err
		}
		to.Images = append(to.Images, target.Host()+"/"+target.Name()+"@"+string(i.graph.Root.Digest))
		to.Add(moved)
	}
	return nil
}

// pushImages puts what the layout has of the release's images where the server
// looks for them. It comes before the release, which is promoted when it is
// published.
func (s *session) pushImages(ctx context.Context, in *shipment, out *importedRelease) error {
	for _, r := range in.records {
		images, _, err := evidence.Images(r.Provenance)
		if err != nil {
			return err
		}
		for _, i := range images {
			root, there := in.layout.Has(digest.Digest(i.Digest))
			name := towpath.MirrorRepository(in.project, i.Repository)
			at := string(name) + "@" + string(i.Digest)
			if !there || name == "" || slices.Contains(out.Images, at) {
				continue
			}
			own, err := s.ownRepository(name)
			if err != nil {
				return err
			}
			graph, err := replicate.Walk(ctx, in.layout, root, replicate.Config{Attempts: 1})
			if err != nil {
				return err
			}
			shown := s.newCopying("importing "+i.Name, graph)
			moved, err := replicate.Copy(ctx, in.layout, own, graph, shown.config())
			shown.end(err)
			if err != nil {
				return err
			}
			out.Images = append(out.Images, at)
			out.Uploaded += moved.Bytes
		}
	}
	return nil
}
