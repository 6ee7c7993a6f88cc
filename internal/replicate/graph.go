package replicate

import (
	"context"
	"slices"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// Graph is an artifact with everything that it names and everything that is
// about any of its manifests. Nodes come after the manifests that they name and
// after their subject if that is in the graph, and always in the same order.
type Graph struct {
	Root  v1.Descriptor
	Nodes []Node
}

// Blobs are the blobs of the graph, each once, in the order of its nodes.
func (g *Graph) Blobs() []v1.Descriptor {
	var all []v1.Descriptor
	seen := map[digest.Digest]bool{}
	for _, n := range g.Nodes {
		for _, b := range n.Blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				all = append(all, b)
			}
		}
	}
	return all
}

// Node is the manifest of a digest.
func (g *Graph) Node(d digest.Digest) (Node, bool) {
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.Digest == d })
	if i < 0 {
		return Node{}, false
	}
	return g.Nodes[i], true
}

// About are the manifests whose subject this is.
func (g *Graph) About(subject digest.Digest) []Node {
	var all []Node
	for _, n := range g.Nodes {
		if n.Subject != nil && n.Subject.Digest == subject {
			all = append(all, n)
		}
	}
	return all
}

// Without is the graph less some of its nodes.
func (g *Graph) Without(drop func(Node) bool) *Graph {
	return &Graph{Root: g.Root, Nodes: slices.DeleteFunc(slices.Clone(g.Nodes), drop)}
}

// Walk reads the graph of a manifest: all manifests are read and compared with
// their digests, no blob is. Of what may be left out (see [Config]) the source lists
// first what should stay when there is too much.
func Walk(ctx context.Context, src Source, root v1.Descriptor, cfg Config) (*Graph, error) {
	w := walk{cfg: cfg.withDefaults(), src: src, sizes: map[digest.Digest]int64{}, seen: map[digest.Digest]bool{}, g: &Graph{Root: plain(root)}}
	if err := w.visit(ctx, plain(root), ""); err != nil {
		return w.g, err
	}
	for len(w.later) > 0 {
		next := w.later[0]
		w.later = w.later[1:]
		if err := w.optional(ctx, next); err != nil {
			return w.g, err
		}
	}
	w.g.arrange()
	return w.g, nil
}

type walk struct {
	cfg   Config
	src   Source
	sizes map[digest.Digest]int64 // of whatever is named
	seen  map[digest.Digest]bool  // manifests
	bytes int64                   // of manifests
	g     *Graph
	later []attached      // what may be left out
	undo  []digest.Digest // added to seen since what may be left out began
	named []digest.Digest // added to sizes since
}

// attached is a manifest that was listed as being about a subject.
type attached struct {
	v1.Descriptor
	subject digest.Digest
}

// optional adds what may be left out, whole or not at all: nothing that it says
// stands against what others say later.
func (w *walk) optional(ctx context.Context, a attached) error {
	nodes, bytes, later := len(w.g.Nodes), w.bytes, len(w.later)
	w.undo, w.named = nil, nil
	err := w.visit(ctx, a.Descriptor, a.subject)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	switch towpath.KindOf(err) {
	case towpath.KindInvalid, towpath.KindExhausted, towpath.KindNotFound:
	default:
		return err // another attempt may read it
	}
	w.g.Nodes, w.bytes, w.later = w.g.Nodes[:nodes], bytes, w.later[:later]
	for _, d := range w.undo {
		delete(w.seen, d)
	}
	for _, d := range w.named {
		delete(w.sizes, d)
	}
	w.cfg.Left(a.Descriptor, err)
	return nil
}

// arrange puts the nodes into their order, in whichever they were read.
func (g *Graph) arrange() {
	nodes, about := map[digest.Digest]Node{}, map[digest.Digest][]digest.Digest{}
	for _, n := range g.Nodes {
		nodes[n.Digest] = n
		if n.Subject != nil {
			about[n.Subject.Digest] = append(about[n.Subject.Digest], n.Digest)
		}
	}
	out := make([]Node, 0, len(g.Nodes))
	var visit func(d digest.Digest)
	visit = func(d digest.Digest) {
		n, ok := nodes[d]
		if !ok {
			return
		}
		delete(nodes, d)
		for _, m := range n.Manifests {
			visit(m.Digest)
		}
		out = append(out, n)
		slices.Sort(about[d])
		for _, a := range about[d] {
			visit(a)
		}
	}
	visit(g.Root.Digest)
	g.Nodes = out
}

// visit adds a manifest. With a subject it was listed as being about that.
func (w *walk) visit(ctx context.Context, d v1.Descriptor, subject digest.Digest) error {
	const op = "replicate.walk"
	if err := w.size(d); err != nil || w.seen[d.Digest] {
		return err
	}
	w.seen[d.Digest] = true
	w.undo = append(w.undo, d.Digest)
	w.bytes += d.Size
	if len(w.seen) > w.cfg.Limits.Manifests || w.bytes > w.cfg.Limits.Graph {
		return exceeded(op, "there are more than %d manifests, or %d bytes of them", w.cfg.Limits.Manifests, w.cfg.Limits.Graph)
	}
	n, err := readNode(ctx, w.src, d, w.cfg)
	if err != nil {
		return err
	}
	if subject != "" && (n.Subject == nil || n.Subject.Digest != subject) {
		return towpath.E(towpath.KindInvalid, op, "a manifest is listed as being about %s, and it is not", subject).On(string(d.Digest)).
			WithHint("delete it from the list of referrers where it was read")
	}
	for _, b := range n.Blobs {
		if err := w.size(b); err != nil {
			return err
		}
	}
	for _, m := range n.Manifests {
		if err := w.visit(ctx, m, ""); err != nil {
			return err
		}
	}
	w.g.Nodes = append(w.g.Nodes, n)
	about, err := referrers(ctx, w.src, d, w.cfg)
	if err != nil {
		return err
	}
	for _, r := range about {
		if w.cfg.Left != nil && !slices.Contains(w.cfg.Needed, towpath.Digest(r.Digest)) {
			w.later = append(w.later, attached{r, d.Digest})
			continue
		}
		if err := w.visit(ctx, r, d.Digest); err != nil {
			return err
		}
	}
	return nil
}

// size makes sure that everybody who names something gives it one size.
func (w *walk) size(d v1.Descriptor) error {
	if have, ok := w.sizes[d.Digest]; ok && have != d.Size {
		return towpath.E(towpath.KindInvalid, "replicate.walk", "two manifests give it different sizes, %d and %d bytes", have, d.Size).
			On(string(d.Digest)).WithHint("one of them was tampered with")
	}
	if _, ok := w.sizes[d.Digest]; !ok {
		w.sizes[d.Digest] = d.Size
		w.named = append(w.named, d.Digest)
	}
	return nil
}

// readManifest reads a manifest and compares it.
func readManifest(ctx context.Context, src Source, d v1.Descriptor, cfg Config) (body []byte, err error) {
	if d.Size > cfg.Limits.ManifestBytes {
		return nil, exceeded("replicate.read", "the manifest has more than %d bytes", cfg.Limits.ManifestBytes).On(string(d.Digest))
	}
	err = cfg.again(ctx, func() (err error) {
		if body, err = src.Manifest(ctx, d); err != nil {
			return err
		}
		return compare(d, body)
	})
	return body, err
}

func readNode(ctx context.Context, src Source, d v1.Descriptor, cfg Config) (Node, error) {
	body, err := readManifest(ctx, src, d, cfg)
	if err != nil {
		return Node{}, err
	}
	return parse(d, body, cfg.Limits)
}

// referrers lists what is about something, each once, in the order of the source.
func referrers(ctx context.Context, src Source, d v1.Descriptor, cfg Config) (all []v1.Descriptor, err error) {
	err = cfg.again(ctx, func() (err error) {
		all, err = src.Referrers(ctx, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]v1.Descriptor, 0, len(all))
	type name struct {
		digest digest.Digest
		size   int64
	}
	seen := map[name]bool{}
	for _, r := range all {
		if err := checkDescriptor(d, r); err != nil {
			return nil, err
		}
		if n := (name{r.Digest, r.Size}); !seen[n] {
			seen[n] = true
			out = append(out, plain(r))
		}
	}
	return out, nil
}
