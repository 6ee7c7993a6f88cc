package mirror

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// WorkMirror is the kind of work of the loop; its key is a project.
const WorkMirror = "mirror"

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what mirroring reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	// WakeMirror has a project's images looked at.
	WakeMirror(ctx context.Context, p towpath.ProjectName, now time.Time) error
	// WakePromotions has every promotion of a project that has not ended judged
	// again.
	WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error
	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)

	MirrorRule(ctx context.Context, p towpath.ProjectName) (towpath.MirrorRule, error) // zero: none
	SaveMirrorRule(ctx context.Context, r towpath.MirrorRule) error

	// UnreadCandidates lists candidates of whole releases of which nobody knows
	// what they take from other registries, oldest first; SaveCandidateImages
	// records that: from then on nothing of it is garbage.
	UnreadCandidates(ctx context.Context, p towpath.ProjectName, limit int) ([]towpath.Candidate, error)
	SaveCandidateImages(ctx context.Context, c towpath.Candidate, images towpath.ReleaseImages) error
	// MirrorPins lists what the whole releases of a project need.
	MirrorPins(ctx context.Context, p towpath.ProjectName) ([]towpath.PinnedImage, error)

	// Mirrored lists the copies of a project, done or not, oldest wish first.
	Mirrored(ctx context.Context, p towpath.ProjectName) ([]towpath.MirroredImage, error)
	SaveMirrored(ctx context.Context, x towpath.MirroredImage) error
	ForgetMirrored(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error
}

// Registry is a repository outside that is read.
type Registry interface {
	replicate.Source
	Resolve(ctx context.Context, cfg replicate.Config, ref string) (v1.Descriptor, error)
}

// Repository is one of ours.
type Repository interface {
	replicate.Destination
	// Root describes a manifest of it; one that is not there is not-found.
	Root(ctx context.Context, d towpath.Digest) (v1.Descriptor, error)
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	// Connect makes the client of a repository outside; it connects to nothing.
	Connect func(repository string, plainHTTP bool) (Registry, error)
	// Own is one of our repositories.
	Own func(r towpath.RepositoryName) Repository
	// Every is how often what is mirrored is looked at although nothing woke the
	// loop; default 10 min.
	Every time.Duration
	// Longest bounds one attempt at one image: a source that stalls must not
	// keep the others waiting for ever. Default 1 h.
	Longest time.Duration
}

// Service is the use case.
type Service struct {
	cfg   Config
	store Store
	blobs blob.Store
}

// New makes the service.
func New(cfg Config, store Store, blobs blob.Store) *Service {
	if cfg.Every <= 0 {
		cfg.Every = 10 * time.Minute
	}
	if cfg.Longest <= 0 {
		cfg.Longest = time.Hour
	}
	return &Service{cfg: cfg, store: store, blobs: blobs}
}

// maxSources bounds the sources of a project.
const maxSources = 64

// SetSources says from which registries a project's images are mirrored. It
// takes the right to manage the server, which makes the connections, with its
// logins: whoever publishes a release, or administers one project, must not choose
// where these are used.
func (s *Service) SetSources(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, sources []towpath.MirrorSource) error {
	if err := access.Check(actor, access.ServerManage, access.Subject{}); err != nil {
		return err
	}
	sources, err := clean(sources)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	rule := towpath.MirrorRule{Project: p, Sources: sources, SetBy: actor.Account, SetAt: now}
	ev := towpath.NewEvent(now, string(actor.Account), "mirror.sources")
	ev.Project, ev.Subject, ev.RequestID = p, names(sources), actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Project(ctx, p); err != nil {
			return err
		}
		if err := tx.SaveMirrorRule(ctx, rule); err != nil {
			return err
		}
		if err := tx.WakeMirror(ctx, p, now); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// sourceHost is a registry's address as references name it: without a dot or a
// port only localhost is one.
var sourceHost = regexp.MustCompile(`^(localhost|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)(:[0-9]+)?$`)

// clean checks sources and puts them in order.
func clean(sources []towpath.MirrorSource) ([]towpath.MirrorSource, error) {
	const op = "mirror.sources"
	if len(sources) > maxSources {
		return nil, towpath.E(towpath.KindExhausted, op, "a project has at most %d sources", maxSources)
	}
	out := []towpath.MirrorSource{}
	for _, x := range sources {
		x.From = strings.TrimRight(x.From, "/")
		host, path, _ := strings.Cut(x.From, "/")
		// A part of a name stands for what is below it.
		if !sourceHost.MatchString(host) || towpath.MirrorRepository("p", host+"/"+cmp.Or(path, "any")) == "" {
			return nil, towpath.E(towpath.KindInvalid, op, "%q is no registry", x.From).
				WithHint("name a host, or a host and the beginning of a path: docker.io, ghcr.io/acme, registry.example:5000")
		}
		if slices.ContainsFunc(out, func(o towpath.MirrorSource) bool { return o.From == x.From }) {
			return nil, towpath.E(towpath.KindInvalid, op, "%s is named twice", x.From)
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b towpath.MirrorSource) int { return cmp.Compare(a.From, b.From) })
	return out, nil
}

func names(sources []towpath.MirrorSource) string {
	out := make([]string, len(sources))
	for i, x := range sources {
		out[i] = x.From
	}
	return strings.Join(out, ", ")
}

// Status is what a project takes from other registries, and how far it is
// mirrored.
type Status struct {
	Project towpath.ProjectName    `json:"project"`
	Sources []towpath.MirrorSource `json:"sources"` // that are mirrored from
	// Images are those that whole releases need, and then those that none needs
	// any more and that the next collection of garbage gives up.
	Images []Image `json:"images"`
	Behind int     `json:"behind"` // of those needed: not here yet
	// Lag is since when the first of them has been wanted.
	Lag time.Time `json:"lag,omitzero"`
}

// Image is a copy, and whether anything needs it.
type Image struct {
	towpath.MirroredImage
	Needed bool `json:"needed"` // by a release that has all its bytes
}

// Status says how far a project is mirrored.
func (s *Service) Status(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) (Status, error) {
	if err := access.Check(actor, access.ProjectRead, access.Subject{Project: p}); err != nil {
		return Status{}, err
	}
	var rule towpath.MirrorRule
	var copies []towpath.MirroredImage
	var pins []towpath.PinnedImage
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Project(ctx, p); err != nil {
			return err
		}
		var err error
		if rule, err = tx.MirrorRule(ctx, p); err != nil {
			return err
		}
		if pins, err = tx.MirrorPins(ctx, p); err != nil {
			return err
		}
		copies, err = tx.Mirrored(ctx, p)
		return err
	})
	return status(rule, copies, pins), err
}

func status(rule towpath.MirrorRule, copies []towpath.MirroredImage, pins []towpath.PinnedImage) Status {
	st := Status{Project: rule.Project, Sources: rule.Sources, Images: []Image{}}
	if st.Sources == nil {
		st.Sources = []towpath.MirrorSource{}
	}
	for _, x := range copies {
		needed := slices.ContainsFunc(pins, func(i towpath.PinnedImage) bool { return same(x, i) })
		st.Images = append(st.Images, Image{MirroredImage: x, Needed: needed})
		if !needed || !x.Done.IsZero() {
			continue
		}
		st.Behind++
		if st.Lag.IsZero() || x.Since.Before(st.Lag) {
			st.Lag = x.Since
		}
	}
	slices.SortStableFunc(st.Images, func(a, b Image) int {
		switch {
		case a.Needed == b.Needed:
			return 0
		case a.Needed:
			return -1
		}
		return 1
	})
	return st
}

func same(x towpath.MirroredImage, i towpath.PinnedImage) bool {
	return x.Repository == i.Repository && x.Digest == i.Digest
}

// Combine puts together what the candidates of a release take from other
// registries, and how far the copies are.
func Combine(p towpath.ProjectName, release towpath.Digest, read []towpath.ReleaseImages, copies []towpath.MirroredImage) towpath.ReleaseImages {
	out := towpath.ReleaseImages{Project: p, Release: release, Candidates: []towpath.CandidateID{}, Images: []towpath.PinnedImage{}}
	for _, r := range read {
		out.Candidates = append(out.Candidates, r.Candidates...)
		out.Images = append(out.Images, r.Images...)
		out.Moving = append(out.Moving, r.Moving...)
	}
	slices.SortFunc(out.Images, func(a, b towpath.PinnedImage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Repository, b.Repository))
	})
	out.Images = slices.Compact(out.Images)
	slices.Sort(out.Moving)
	out.Moving = slices.Compact(out.Moving)
	for k, i := range out.Images {
		for _, x := range copies {
			if same(x, i) {
				out.Images[k].Mirrored, out.Images[k].Error = x.Done, x.Error
			}
		}
		if i.Repository == "" {
			out.Images[k].Error = fmt.Sprintf("%s can't be the name of a repository here", i.Source)
		}
	}
	return out
}
