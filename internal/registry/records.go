package registry

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TagKey names a tag, and ArtifactKey an artifact.
type (
	TagKey struct {
		Repository towpath.RepositoryName
		Tag        string
	}
	ArtifactKey struct {
		Repository towpath.RepositoryName
		Digest     towpath.Digest
	}
)

// TagRecord is the damaged record of a tag.
type TagRecord struct {
	TagKey
	Digest towpath.Digest
	Sum    string // of what it said when it was written; empty: it has none
}

// ArtifactRecord is the damaged record of an artifact.
type ArtifactRecord struct {
	ArtifactKey
	// Says is what it says. Whole: its sum proves that, and the damage is beside it;
	// otherwise it is what can be read: there may be more damage, and there are no
	// annotations.
	Says  towpath.Artifact
	Whole bool
	Types []string    // media types that it may have
	Times []time.Time // when it may have been pushed first
	Last  time.Time   // when it was pushed last
	Sum   string      // of what it said when it was written; empty: it has none
}

const (
	scrubRecords = 1000 // in one transaction
	maxUnsound   = 20   // sentences of the database about itself
)

// records looks at what the database says of tags and artifacts, and at the
// database's own files. What is damaged is mended, or put aside, unless the files are:
// what leads to a damaged row may lead to a sound one then.
func (s *Service) records(ctx context.Context, actor towpath.Actor) (out []Finding, err error) {
	unsound, err := s.unsound(ctx)
	for _, sentence := range unsound {
		out = append(out, Finding{
			Record: "the database", Harm: Damaged, NeededBy: []string{},
			Why: sentence + "; restore the newest backup, or have `sqlite3` rebuild it with REINDEX if only an index is named",
		})
	}
	if err != nil {
		return out, err
	}
	keep := func(f Finding, err error) error {
		if err == nil && f.Harm != "" {
			out = append(out, f)
		}
		return err
	}
	tag := func(t TagRecord) error { return keep(s.mendTag(ctx, actor, t.TagKey)) }
	artifact := func(x ArtifactRecord) error { return keep(s.mendArtifact(ctx, actor, x)) }
	if len(unsound) > 0 {
		const later = "scrub again when the database is sound"
		tag = func(t TagRecord) error { f := t.finding(); f.Why = later; return keep(f, nil) }
		artifact = func(x ArtifactRecord) error { f := x.finding(); f.Why = later; return keep(f, nil) }
	}
	return out, s.damagedRecords(ctx, tag, artifact)
}

// unsound is what the database finds wrong with its own files, as sentences.
func (s *Service) unsound(ctx context.Context) (sentences []string, err error) {
	return sentences, s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		sentences, err = tx.Unsound(ctx, maxUnsound)
		return err
	})
}

// intact refuses to go on with a database that is damaged: what it seems to need no
// more may be needed.
func (s *Service) intact(ctx context.Context, op string) error {
	refuse := func(what string) error {
		return towpath.E(towpath.KindInternal, op, "%s is damaged in the database: what nothing seems to need may be needed", what).
			WithHint("`towpath registry scrub` mends what can be mended, and says of the rest what to do; then try again")
	}
	err := s.damagedRecords(ctx,
		func(t TagRecord) error { return refuse(t.name()) },
		func(x ArtifactRecord) error { return refuse(x.name()) })
	if err != nil {
		return err
	}
	unsound, err := s.unsound(ctx)
	if err == nil && len(unsound) > 0 {
		err = refuse("something (" + unsound[0] + ")")
	}
	return err
}

// damagedRecords calls a function with each record that is damaged, until one of them
// fails.
func (s *Service) damagedRecords(ctx context.Context, tag func(TagRecord) error, artifact func(ArtifactRecord) error) error {
	for after := new(TagKey); after != nil; {
		var found []TagRecord
		var next *TagKey
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) { // may be tried again
			found, next, err = tx.DamagedTags(ctx, *after, scrubRecords)
			return err
		})
		if err = all(err, found, tag); err != nil {
			return err
		}
		after = next
	}
	for after := new(ArtifactKey); after != nil; {
		var found []ArtifactRecord
		var next *ArtifactKey
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
			found, next, err = tx.DamagedArtifacts(ctx, *after, scrubRecords)
			return err
		})
		if err = all(err, found, artifact); err != nil {
			return err
		}
		after = next
	}
	return nil
}

// all calls f with each of what was found without an error, until it fails.
func all[T any](err error, found []T, f func(T) error) error {
	for _, x := range found {
		if err != nil {
			break
		}
		err = f(x)
	}
	return err
}

func (k TagKey) name() string { return "the tag " + string(k.Repository) + ":" + k.Tag }

func (k ArtifactKey) name() string {
	return "the artifact " + string(k.Repository) + "@" + string(k.Digest)
}

func (k TagKey) finding() Finding {
	return Finding{Record: k.name(), Harm: Damaged, NeededBy: []string{string(k.Repository)}}
}

func (k ArtifactKey) finding() Finding {
	return Finding{Record: k.name(), Digest: k.Digest, Harm: Damaged, NeededBy: []string{string(k.Repository)}}
}
