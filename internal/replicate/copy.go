package replicate

import (
	"context"
	"io"
	"sync"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/towpath"
)

// Count is how many things were written, and how many were there.
type Count struct {
	Copied  int `json:"copied"`
	Present int `json:"present"`
}

// Result says what a copy did.
type Result struct {
	Manifests Count `json:"manifests"`
	Blobs     Count `json:"blobs"`
	Mounted   int   `json:"mounted"` // of the copied blobs: without moving bytes
	Bytes     int64 `json:"bytes"`   // that were moved
}

// Add counts what another copy did too.
func (r *Result) Add(x Result) {
	r.Manifests.Copied += x.Manifests.Copied
	r.Manifests.Present += x.Manifests.Present
	r.Blobs.Copied += x.Blobs.Copied
	r.Blobs.Present += x.Blobs.Present
	r.Mounted += x.Mounted
	r.Bytes += x.Bytes
}

// repairs is how often what a destination lost is written again.
const repairs = 3

// Copy writes what a destination lacks of a graph, then reads the destination
// again and compares ([Verify]). What it says that it has and then has not (a
// list of referrers that somebody else wrote at the same time, a blob that was
// collected) is written again. Manifests are written one after the other, so
// that a subject has one writer. When it returns without an error everything is
// there.
func Copy(ctx context.Context, src Source, dst Destination, g *Graph, cfg Config) (Result, error) {
	cfg = cfg.withDefaults()
	c := &transfer{cfg: cfg, src: src, dst: dst, done: map[digest.Digest]bool{}}
	for _, n := range g.Nodes {
		if err := c.node(ctx, n, false); err != nil {
			return c.result, err
		}
	}
	for attempt := 0; ; attempt++ {
		lost, err := Verify(ctx, dst, g, cfg)
		if err != nil || len(lost) == 0 {
			return c.result, err
		}
		if attempt == repairs {
			return c.result, lost[0].err()
		}
		if err := c.repair(ctx, g, lost); err != nil {
			return c.result, err
		}
	}
}

// Lacks are the nodes of a graph that a destination does not have.
func Lacks(ctx context.Context, dst Destination, g *Graph, cfg Config) (lacks []Node, err error) {
	cfg = cfg.withDefaults()
	for _, n := range g.Nodes {
		var has bool
		err := cfg.again(ctx, func() (err error) { has, err = dst.HasManifest(ctx, n.Descriptor); return err })
		if err != nil {
			return nil, err
		}
		if !has {
			lacks = append(lacks, n)
		}
	}
	return lacks, nil
}

// transfer is one copy.
type transfer struct {
	cfg    Config
	src    Source
	dst    Destination
	mu     sync.Mutex
	done   map[digest.Digest]bool // blobs that are there
	result Result
}

// node writes a manifest with its blobs. Forced, it is written whatever the
// destination says that it has.
func (c *transfer) node(ctx context.Context, n Node, force bool) error {
	if !force {
		var has bool
		err := c.cfg.again(ctx, func() (err error) { has, err = c.dst.HasManifest(ctx, n.Descriptor); return err })
		if err != nil {
			return err
		}
		if has {
			c.present(n)
			return nil
		}
	}
	if err := c.blobs(ctx, n); err != nil {
		return err
	}
	body, err := readManifest(ctx, c.src, n.Descriptor, c.cfg)
	if err != nil {
		return err
	}
	if err := c.cfg.again(ctx, func() error { return c.dst.PutManifest(ctx, n.Descriptor, body) }); err != nil {
		return err
	}
	c.result.Add(Result{Manifests: Count{Copied: 1}, Bytes: n.Size})
	c.cfg.Report(Progress{Digest: towpath.Digest(n.Digest), Bytes: n.Size, What: Copied})
	return nil
}

// present counts a manifest that is there: then its blobs are, or else that
// shows when all is compared.
func (c *transfer) present(n Node) {
	c.result.Manifests.Present++
	c.cfg.Report(Progress{Digest: towpath.Digest(n.Digest), Bytes: n.Size, What: Present})
	for _, b := range n.Blobs {
		if !c.done[b.Digest] {
			c.done[b.Digest] = true
			c.result.Blobs.Present++
			c.cfg.Report(Progress{Digest: towpath.Digest(b.Digest), Bytes: b.Size, What: Present})
		}
	}
}

// blobs writes the blobs of a manifest, several at once.
func (c *transfer) blobs(ctx context.Context, n Node) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Parallel)
	for _, b := range n.Blobs {
		c.mu.Lock()
		done := c.done[b.Digest]
		c.done[b.Digest] = true
		c.mu.Unlock()
		if !done {
			g.Go(func() error { return c.blob(ctx, b, false) })
		}
	}
	return g.Wait()
}

func (c *transfer) blob(ctx context.Context, b v1.Descriptor, force bool) error {
	what, err := c.move(ctx, b, force)
	if err != nil {
		return err
	}
	var r Result
	switch what {
	case Present:
		r.Blobs.Present = 1
	case Mounted:
		r.Blobs.Copied, r.Mounted = 1, 1
	default:
		r.Blobs.Copied, r.Bytes = 1, b.Size
	}
	c.mu.Lock()
	c.result.Add(r)
	c.mu.Unlock()
	c.cfg.Report(Progress{Digest: towpath.Digest(b.Digest), Bytes: b.Size, What: what})
	return nil
}

// move gets a blob to the destination in the cheapest way that there is.
func (c *transfer) move(ctx context.Context, b v1.Descriptor, force bool) (What, error) {
	what := Copied
	open := func() (io.ReadCloser, error) { return c.open(ctx, b) }
	err := c.cfg.again(ctx, func() error {
		m, mounts := c.dst.(Mounter)
		if force {
			return c.dst.PutBlob(ctx, b, open)
		}
		has, err := c.dst.HasBlob(ctx, b)
		switch {
		case err != nil:
			return err
		case has:
			what = Present
			return nil
		case !mounts:
			return c.dst.PutBlob(ctx, b, open)
		}
		mounted, err := m.Mount(ctx, c.src, b, open)
		if mounted {
			what = Mounted
		}
		return err
	})
	return what, err
}

// open reads a blob of the source, compared.
func (c *transfer) open(ctx context.Context, b v1.Descriptor) (io.ReadCloser, error) {
	r, err := c.src.Blob(ctx, b)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{check(ctx, r, b), r}, nil
}

// repair writes what is not at the destination, whatever that says.
func (c *transfer) repair(ctx context.Context, g *Graph, lost []Problem) error {
	force := map[digest.Digest]bool{}
	for _, p := range lost {
		force[p.Digest] = true
	}
	for _, b := range g.Blobs() {
		if force[b.Digest] {
			if err := c.blob(ctx, b, true); err != nil {
				return err
			}
		}
	}
	for _, n := range g.Nodes {
		if force[n.Digest] {
			if err := c.node(ctx, n, true); err != nil {
				return err
			}
		}
	}
	return nil
}
