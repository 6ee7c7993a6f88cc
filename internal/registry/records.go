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
// database's own files. What is damaged is mended, or put aside, where that can be
// done.
func (s *Service) records(ctx context.Context, actor towpath.Actor) (out []Finding, err error) {
	keep := func(f Finding, err error) error {
		if err == nil && f.Harm != "" {
			out = append(out, f)
		}
		return err
	}
	err = s.damagedRecords(ctx,
		func(t TagRecord) error { return keep(s.mendTag(ctx, actor, t.TagKey)) },
		func(x ArtifactRecord) error { return keep(s.mendArtifact(ctx, actor, x)) },
		func(sentence string) error {
			return keep(Finding{
				Record: "the database", Harm: Damaged, NeededBy: []string{},
				Why: sentence + "; restore the newest backup, or have `sqlite3` rebuild it with REINDEX if only an index is named",
			}, nil)
		})
	return out, err
}

// unmended is what is said of a record that the database does not let anybody mend;
// others may be mended all the same.
func unmended(ctx context.Context, f Finding, err error) (Finding, error) {
	if ctx.Err() != nil || towpath.KindOf(err) != towpath.KindInternal {
		return f, err
	}
	f.Repaired = false
	f.Why, _ = towpath.PublicMessage(err)
	f.Why += "; have `sqlite3` rebuild the indexes with REINDEX and scrub again, or restore the newest backup"
	return f, nil
}

// intact refuses to go on with a database that is damaged: what it seems to need no
// more may be needed.
func (s *Service) intact(ctx context.Context, op string) error {
	refuse := func(what string) error {
		return towpath.E(towpath.KindInternal, op, "%s is damaged in the database: what nothing seems to need may be needed", what).
			WithHint("`towpath registry scrub` mends what can be mended, and says of the rest what to do; then try again")
	}
	return s.damagedRecords(ctx,
		func(t TagRecord) error { return refuse(t.name()) },
		func(x ArtifactRecord) error { return refuse(x.name()) },
		func(sentence string) error { return refuse("something (" + sentence + ")") })
}

// damagedRecords calls a function with each record that is damaged, and each
// sentence of the database about itself, until one of them fails.
func (s *Service) damagedRecords(ctx context.Context, tag func(TagRecord) error, artifact func(ArtifactRecord) error, said func(string) error) error {
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
	var found []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		found, err = tx.Unsound(ctx, maxUnsound)
		return err
	})
	return all(err, found, said)
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
