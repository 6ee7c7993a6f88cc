package registry

import (
	"context"

	"github.com/towpath/towpath/internal/blob"
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

// TagRecord is a tag as its record has it, right or not.
type TagRecord struct {
	TagKey
	Digest towpath.Digest
}

const (
	scrubRecords = 1000 // in one transaction
	maxUnsound   = 20   // sentences of the database about itself
)

// records looks at what the database says of tags and artifacts, and at the
// database's own files. A damaged tag is put aside: what it names can't be known. A
// damaged artifact is mended from its manifest.
func (s *Service) records(ctx context.Context, actor towpath.Actor) (out []Finding, err error) {
	keep := func(f Finding, err error) error {
		if err == nil {
			out = append(out, f)
		}
		return err
	}
	err = s.damagedRecords(ctx,
		func(t TagRecord) error { return keep(s.putAside(ctx, actor, t)) },
		func(k ArtifactKey) error { return keep(s.mend(ctx, actor, k)) },
		func(sentence string) error {
			return keep(Finding{
				Record: "the database", Harm: Damaged, NeededBy: []string{},
				Why: sentence + "; restore the newest backup, or have `sqlite3` rebuild it with REINDEX if only an index is named",
			}, nil)
		})
	return out, err
}

// intact refuses to go on with a database that is damaged: what it seems to need no
// more may be needed.
func (s *Service) intact(ctx context.Context, op string) error {
	refuse := func(what string) error {
		return towpath.E(towpath.KindInternal, op, "%s is damaged in the database: what nothing seems to need may be needed", what).
			WithHint("`towpath registry scrub` lists what is damaged and mends what can be; then try again")
	}
	return s.damagedRecords(ctx,
		func(t TagRecord) error { return refuse(t.name()) },
		func(k ArtifactKey) error { return refuse(k.name()) },
		func(sentence string) error { return refuse("something (" + sentence + ")") })
}

// damagedRecords calls a function with each record that is damaged, and each
// sentence of the database about itself, until one of them fails.
func (s *Service) damagedRecords(ctx context.Context, tag func(TagRecord) error, artifact func(ArtifactKey) error, said func(string) error) error {
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
		var found []ArtifactKey
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

// putAside deletes a tag whose record is damaged, and keeps in the ledger what it
// said.
func (s *Service) putAside(ctx context.Context, actor towpath.Actor, t TagRecord) (Finding, error) {
	f := Finding{
		Record: t.name(), Harm: Damaged, NeededBy: []string{string(t.Repository)},
		Why: "it said " + shown(string(t.Digest)) + ", and was put aside: set it again",
	}
	ev, err := withData(event(s.cfg.Now(), actor, "registry.damaged", t.Repository, ""), map[string]string{"tag": t.Tag, "said": string(t.Digest)})
	if err != nil {
		return f, err
	}
	ev.Subject, ev.Reason = string(t.Repository)+":"+t.Tag, f.Record
	return f, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.DeleteTag(ctx, t.Repository, t.Tag); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// mend writes the record of an artifact anew, as its manifest says.
func (s *Service) mend(ctx context.Context, actor towpath.Actor, k ArtifactKey) (Finding, error) {
	f := Finding{Record: k.name(), Digest: k.Digest, Harm: Damaged, NeededBy: []string{string(k.Repository)}}
	found := event(s.cfg.Now(), actor, "registry.damaged", k.Repository, k.Digest)
	found.Reason = f.Record
	body, err := blob.ReadAll(ctx, s.blobs, k.Digest, int64(s.cfg.MaxManifest))
	var a towpath.Artifact
	if err == nil {
		a, err = parse("", body)
	}
	if err != nil {
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		f.Why, _ = towpath.PublicMessage(err)
		return f, s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.Record(ctx, found) })
	}
	a.Repository, a.Digest, a.Pushed = k.Repository, k.Digest, s.cfg.Now()
	mended := event(s.cfg.Now(), actor, "registry.repaired", k.Repository, k.Digest)
	mended.Reason = "from its manifest"
	f.Repaired = true
	return f, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.MendArtifact(ctx, a); err != nil {
			return err
		}
		if err := tx.Record(ctx, found); err != nil {
			return err
		}
		return tx.Record(ctx, mended)
	})
}
