package registry

import (
	"context"
	"fmt"

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
func (s *Service) records(ctx context.Context, actor towpath.Actor) ([]Finding, error) {
	var out []Finding
	for after := new(TagKey); after != nil; {
		var damaged []TagRecord
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
			damaged, after, err = tx.DamagedTags(ctx, *after, scrubRecords)
			return err
		})
		if err != nil {
			return out, err
		}
		for _, t := range damaged {
			f, err := s.putAside(ctx, actor, t)
			if err != nil {
				return out, err
			}
			out = append(out, f)
		}
	}
	for after := new(ArtifactKey); after != nil; {
		var damaged []ArtifactKey
		err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
			damaged, after, err = tx.DamagedArtifacts(ctx, *after, scrubRecords)
			return err
		})
		if err != nil {
			return out, err
		}
		for _, k := range damaged {
			f, err := s.mend(ctx, actor, k)
			if err != nil {
				return out, err
			}
			out = append(out, f)
		}
	}
	var said []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		said, err = tx.Unsound(ctx, maxUnsound)
		return err
	})
	for _, sentence := range said {
		out = append(out, Finding{
			Record: "the database", Harm: Damaged, NeededBy: []string{},
			Why: fmt.Sprintf("%s; restore the newest backup, or have `sqlite3` rebuild it with REINDEX if only an index is named", sentence),
		})
	}
	return out, err
}

// putAside deletes a tag whose record is damaged, and keeps in the ledger what it
// said.
func (s *Service) putAside(ctx context.Context, actor towpath.Actor, t TagRecord) (Finding, error) {
	name := string(t.Repository) + ":" + t.Tag
	f := Finding{
		Record: "the tag " + name, Harm: Damaged, NeededBy: []string{string(t.Repository)},
		Why: "it said " + shown(string(t.Digest)) + ", and was put aside: set it again",
	}
	ev, err := withData(event(s.cfg.Now(), actor, "registry.damaged", t.Repository, ""), map[string]string{"tag": t.Tag, "said": string(t.Digest)})
	if err != nil {
		return f, err
	}
	ev.Subject, ev.Reason = name, f.Record
	return f, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.DeleteTag(ctx, t.Repository, t.Tag); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// mend writes the record of an artifact anew, as its manifest says.
func (s *Service) mend(ctx context.Context, actor towpath.Actor, k ArtifactKey) (Finding, error) {
	f := Finding{Record: "the artifact " + string(k.Repository) + "@" + string(k.Digest), Digest: k.Digest, Harm: Damaged, NeededBy: []string{string(k.Repository)}}
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
