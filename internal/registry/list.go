package registry

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// MaxPage is how many names a list has at most.
const MaxPage = 1000

// maxReferrers bounds a page of referrers by number, and maxReferrerBytes by
// bytes, most of which are of annotations: a client has to take it in one piece,
// and so have we.
const (
	maxReferrers     = 500
	maxReferrerBytes = 3 << 20
)

// Names is a page of a list; More: there are names after it.
type Names struct {
	Names []string
	More  bool
}

// page cuts what was read, one name more than asked for, to a page.
func page(all []string, n int) Names {
	if len(all) > n {
		return Names{Names: all[:n], More: n > 0}
	}
	return Names{Names: all}
}

// Tags lists the tags of a repository, at most n after one, without regard to
// case.
func (s *Service) Tags(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, n int, last string) (Names, error) {
	const op = "registry.tags"
	if err := allowed(op, actor, access.RegistryPull, r); err != nil {
		return Names{}, err
	}
	if last != "" && !towpath.ValidTag(last) {
		return Names{}, fail(Unsupported, op, "%q is no tag to begin after", shown(last))
	}
	n = min(n, MaxPage)
	var all []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		if err := known(ctx, tx, op, r); err != nil {
			return err
		}
		var err error
		all, err = tx.Tags(ctx, r, last, n+1)
		return err
	})
	return page(all, n), err
}

// Catalog lists the repositories that the actor may pull from, at most n after
// one.
func (s *Service) Catalog(ctx context.Context, actor towpath.Actor, n int, last string) (Names, error) {
	if last != "" && !towpath.RepositoryName(last).Valid() {
		return Names{}, fail(Unsupported, "registry.catalog", "%q is no repository to begin after", shown(last))
	}
	n = min(n, MaxPage)
	everywhere, names := access.Projects(actor, access.RegistryPull)
	var all []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		all, err = tx.RepositoryNames(ctx, Projects{All: everywhere, Names: names}, last, n+1)
		return err
	})
	return page(all, n), err
}

// Referrers lists what is about a subject, which need not be there, after a
// digest; more: there are others after it. What is there, in a repository that
// is not, is nothing.
func (s *Service) Referrers(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, subject towpath.Digest, artifactType string, last towpath.Digest) (all []towpath.Artifact, more bool, err error) {
	const op = "registry.referrers"
	if err := allowed(op, actor, access.RegistryPull, r); err != nil {
		return nil, false, err
	}
	if err := checkDigest(op, subject); err != nil {
		return nil, false, err
	}
	if last != "" {
		if err := checkDigest(op, last); err != nil {
			return nil, false, err
		}
	}
	if !plain(artifactType) {
		return nil, false, nil // nothing has such a type
	}
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		all, more, err = tx.AnnotatedReferrers(ctx, r, subject, artifactType, last, maxReferrers, maxReferrerBytes)
		return err
	})
	return all, more, err
}

// plain reports whether a text can be a type: databases refuse some that can't.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
