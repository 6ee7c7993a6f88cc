package mirror

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// Kind is the kind of work of the loop.
func (s *Service) Kind() string { return WorkMirror }

// Reconcile finds out what the releases of a project take from other
// registries, and copies what is not here, one image after the other: a project
// has one writer. It may be stopped anywhere and run again. A source that is
// down is tried again with growing pauses.
func (s *Service) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	p := towpath.ProjectName(key)
	unread := s.read(ctx, p)
	rule, wanted, err := s.wanted(ctx, p)
	if err != nil {
		return reconcile.Result{}, errors.Join(unread, err)
	}
	failed, down := []error{unread}, map[string]bool{}
	for _, x := range wanted {
		host, _, _ := strings.Cut(x.Source, "/")
		if down[host] && x.Attempts > 0 {
			continue // it would fare no better; each is tried once, so that it is known
		}
		err := s.bring(ctx, rule, x)
		if ctx.Err() != nil {
			return reconcile.Result{}, ctx.Err()
		}
		failed = append(failed, err)
		down[host] = down[host] || towpath.KindOf(err) == towpath.KindUnavailable
	}
	if err := errors.Join(failed...); err != nil {
		return reconcile.Result{}, err
	}
	if len(wanted) == 0 {
		return reconcile.Done(), nil // the next release wakes it
	}
	return reconcile.After(s.cfg.Every), nil
}

const (
	reading       = 50      // candidates at once
	maxProvenance = 4 << 20 // bytes, of a statement that a release is published with
	maxImages     = 1000    // of one candidate
)

// read finds out what candidates take from other registries, which never
// changes. One whose statement can't be read keeps the others from nothing.
func (s *Service) read(ctx context.Context, p towpath.ProjectName) error {
	failed := map[towpath.CandidateID]error{}
	for {
		var unread []towpath.Candidate
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
			var err error
			unread, err = tx.UnreadCandidates(ctx, p, reading+len(failed))
			return err
		})
		unread = slices.DeleteFunc(unread, func(c towpath.Candidate) bool { return failed[c.ID] != nil })
		if err != nil || len(unread) == 0 {
			return errors.Join(append(slices.Collect(maps.Values(failed)), err)...)
		}
		for _, c := range unread {
			if err := s.readOne(ctx, c); err != nil {
				failed[c.ID] = err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
}

func (s *Service) readOne(ctx context.Context, c towpath.Candidate) error {
	images, err := s.imagesOf(ctx, c)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.SaveCandidateImages(ctx, c, images); err != nil {
			return err
		}
		return tx.WakePromotions(ctx, c.Project, s.cfg.Now()) // one may wait for no more than that
	})
}

func (s *Service) imagesOf(ctx context.Context, c towpath.Candidate) (towpath.ReleaseImages, error) {
	out := towpath.ReleaseImages{Project: c.Project, Release: c.Release, Candidates: []towpath.CandidateID{c.ID}}
	provenance, err := blob.ReadAll(ctx, s.blobs, c.Provenance, maxProvenance)
	if err != nil {
		return out, err
	}
	images, moving, err := evidence.Images(provenance)
	if err != nil || len(images) > maxImages {
		// It was published, so it stays unread for good: nothing that asks for
		// its images may pass.
		out.Moving = []string{"what its provenance names, which can't be read or is too much,"}
		return out, nil //nolint:nilerr // it is the answer
	}
	out.Moving = moving
	for _, i := range images {
		out.Images = append(out.Images, towpath.PinnedImage{
			Name: i.Name, Source: i.Repository, Digest: i.Digest, Repository: towpath.MirrorRepository(c.Project, i.Repository),
		})
	}
	return out, nil
}

// wanted lists what whole releases need, oldest wish first; what is new is
// written down, and what came to nothing and is not needed any more is forgotten.
func (s *Service) wanted(ctx context.Context, p towpath.ProjectName) (rule towpath.MirrorRule, out []towpath.MirroredImage, err error) {
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		var err error
		if rule, err = tx.MirrorRule(ctx, p); err != nil {
			return err
		}
		pins, err := tx.MirrorPins(ctx, p)
		if err != nil {
			return err
		}
		have, err := tx.Mirrored(ctx, p)
		if err != nil {
			return err
		}
		for _, x := range have {
			needed := slices.ContainsFunc(pins, func(i towpath.PinnedImage) bool { return same(x, i) })
			switch {
			case needed:
				out = append(out, x)
			case x.Done.IsZero():
				if err := tx.ForgetMirrored(ctx, x.Repository, x.Digest); err != nil {
					return err
				}
			}
		}
		for _, i := range pins {
			if slices.ContainsFunc(have, func(x towpath.MirroredImage) bool { return same(x, i) }) {
				continue
			}
			x := towpath.MirroredImage{Project: p, Source: i.Source, Repository: i.Repository, Digest: i.Digest, Since: now}
			if err := tx.SaveMirrored(ctx, x); err != nil {
				return err
			}
			out = append(out, x)
		}
		return nil
	})
	return rule, out, err
}

// bring copies an image, unless it is here, and writes down how that went.
func (s *Service) bring(ctx context.Context, rule towpath.MirrorRule, x towpath.MirroredImage) error {
	own := s.cfg.Own(x.Repository)
	if !x.Done.IsZero() {
		if _, err := own.Root(ctx, x.Digest); towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
		x.Done, x.Since = time.Time{}, s.cfg.Now() // somebody took it away
	}
	source, allowed := rule.Source(x.Source)
	var graph *replicate.Graph
	var err error
	if allowed {
		graph, err = s.fetch(ctx, own, &x, source)
	} else {
		err = towpath.E(towpath.KindForbidden, "mirror.copy", "no source that the project is mirrored from covers it").On(x.Source).
			WithHint("an administrator of the server says from where: `%s`", rule.Command(x.Source))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && x.Begun.IsZero() {
		// It may have come with a release that was imported.
		if here, hereErr := s.here(ctx, own, x.Digest); hereErr == nil {
			graph, err = here, nil
		}
	}
	noted := s.note(ctx, x, graph, err)
	if !allowed {
		return noted // trying again changes nothing: setting the sources does
	}
	return errors.Join(err, noted)
}

// fetch copies an image with everything that is about it, and compares.
func (s *Service) fetch(ctx context.Context, own Repository, x *towpath.MirroredImage, source towpath.MirrorSource) (graph *replicate.Graph, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Longest)
	defer cancel()
	defer func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = towpath.E(towpath.KindUnavailable, "mirror.copy", "the source took more than %s", s.cfg.Longest).On(x.Source).WithCause(err).
				WithHint("what was copied is not copied again")
		}
	}()
	cfg := replicate.Config{Attempts: 2}
	from, err := s.cfg.Connect(x.Source, source.PlainHTTP)
	if err != nil {
		return nil, err
	}
	root, err := from.Resolve(ctx, cfg, string(x.Digest))
	if err != nil {
		return nil, err
	}
	if towpath.Digest(root.Digest) != x.Digest {
		return nil, towpath.E(towpath.KindInvalid, "mirror.copy", "the registry answers with %s instead", root.Digest).On(x.Source)
	}
	if graph, err = replicate.Walk(ctx, from, root, cfg); err != nil {
		return nil, err
	}
	x.Begun = s.cfg.Now()
	if err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.SaveMirrored(ctx, *x) }); err != nil {
		return nil, err
	}
	_, err = replicate.Copy(ctx, from, own, graph, cfg)
	return graph, err
}

// here finds an image in our repository, whole.
func (s *Service) here(ctx context.Context, own Repository, d towpath.Digest) (*replicate.Graph, error) {
	root, err := own.Root(ctx, d)
	if err != nil {
		return nil, err
	}
	graph, err := replicate.Walk(ctx, own, root, replicate.Config{})
	if err != nil {
		return nil, err
	}
	lost, err := replicate.Verify(ctx, own, graph, replicate.Config{})
	if err == nil && len(lost) > 0 {
		err = towpath.E(towpath.KindNotFound, "mirror.look", "parts of it are not here").On(string(d))
	}
	return graph, err
}

// note writes down how a copy went. Whoever waits for it looks again.
func (s *Service) note(ctx context.Context, x towpath.MirroredImage, graph *replicate.Graph, failure error) error {
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(towpath.System().Account), "mirror.done")
	before := x.Error
	if failure != nil {
		ev.Action = "mirror.failed"
		x.Attempts++
		x.Error, _ = towpath.PublicMessage(failure)
	} else {
		x.Done, x.Begun, x.Attempts, x.Error = now, time.Time{}, 0, ""
		x.Manifests, x.Bytes = measure(graph)
	}
	ev.Project, ev.Subject, ev.Reason = x.Project, x.Source+"@"+string(x.Digest), x.Error
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.SaveMirrored(ctx, x); err != nil {
			return err
		}
		if failure == nil || x.Error != before { // also to say why they wait
			if err := tx.WakePromotions(ctx, x.Project, now); err != nil {
				return err
			}
		}
		if failure != nil && before != "" {
			return nil // one event for the first failure, not for each
		}
		return tx.Record(ctx, ev)
	})
}

// measure counts the manifests of a graph, and the bytes of all that is in it.
func measure(g *replicate.Graph) (manifests int, bytes int64) {
	sum := func(all []v1.Descriptor) {
		for _, d := range all {
			bytes += d.Size
		}
	}
	for _, n := range g.Nodes {
		sum([]v1.Descriptor{n.Descriptor})
	}
	sum(g.Blobs())
	return len(g.Nodes), bytes
}
