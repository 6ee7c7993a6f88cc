package replicate

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/towpath"
)

// Problem is something of a graph that is not as it should be at a destination.
type Problem struct {
	Digest digest.Digest
	Why    string // a sentence without its subject: "it is not there"
}

func (p Problem) err() error {
	return towpath.E(towpath.KindConflict, "replicate.verify", "the destination acknowledged something, and %s", p.Why).On(string(p.Digest)).
		WithHint("copy again; if it stays so, that registry loses or changes what it is given")
}

// Verify reads a graph at a destination: that every manifest is there with its
// digest, that everything that is about one is listed there, and that every
// blob is there, read and compared unless the configuration trusts it. What is
// there besides is no problem.
func Verify(ctx context.Context, dst Destination, g *Graph, cfg Config) ([]Problem, error) {
	v := &verification{cfg: cfg.withDefaults(), dst: dst}
	for _, n := range g.Nodes {
		if err := v.manifest(ctx, n.Descriptor); err != nil {
			return nil, err
		}
		v.cfg.Report(Progress{Digest: towpath.Digest(n.Digest), Bytes: n.Size, What: Compared})
	}
	if err := v.referrers(ctx, g); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.cfg.Parallel)
	for _, b := range g.Blobs() {
		group.Go(func() error { return v.blob(ctx, b) })
	}
	err := group.Wait()
	slices.SortFunc(v.problems, func(a, b Problem) int { return cmp.Compare(a.Digest, b.Digest) })
	return v.problems, err
}

type verification struct {
	cfg      Config
	dst      Destination
	mu       sync.Mutex
	problems []Problem
}

func (v *verification) problem(d digest.Digest, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, Problem{d, why})
}

// found sorts what is wrong with the content from what keeps us from looking.
func (v *verification) found(d digest.Digest, err error) error {
	switch towpath.KindOf(err) {
	case towpath.KindNotFound:
		v.problem(d, "it is not there")
		return nil
	case towpath.KindInvalid:
		message, _ := towpath.PublicMessage(err)
		v.problem(d, message)
		return nil
	}
	return err
}

func (v *verification) manifest(ctx context.Context, d v1.Descriptor) error {
	_, err := readManifest(ctx, v.dst, d, v.cfg)
	return v.found(d.Digest, err)
}

// referrers makes sure that everything that is about something else in the
// graph is listed there.
func (v *verification) referrers(ctx context.Context, g *Graph) error {
	about := map[digest.Digest][]digest.Digest{}
	for _, n := range g.Nodes {
		if n.Subject != nil {
			about[n.Subject.Digest] = append(about[n.Subject.Digest], n.Digest)
		}
	}
	for _, n := range g.Nodes {
		if len(about[n.Digest]) == 0 {
			continue
		}
		listed, err := referrers(ctx, v.dst, n.Descriptor, v.cfg)
		if err != nil {
			return err
		}
		for _, d := range about[n.Digest] {
			if !slices.ContainsFunc(listed, func(x v1.Descriptor) bool { return x.Digest == d }) {
				v.problem(d, "it is not listed as being about "+string(n.Digest))
			}
		}
	}
	return nil
}

func (v *verification) blob(ctx context.Context, d v1.Descriptor) error {
	err := v.cfg.again(ctx, func() error {
		if v.cfg.Trust {
			has, err := v.dst.HasBlob(ctx, d)
			if err == nil && !has {
				err = towpath.E(towpath.KindNotFound, "replicate.verify", "it is not there")
			}
			return err
		}
		r, err := v.dst.Blob(ctx, d)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, check(ctx, r, d))
		return err
	})
	v.cfg.Report(Progress{Digest: towpath.Digest(d.Digest), Bytes: d.Size, What: Compared})
	return v.found(d.Digest, err)
}
