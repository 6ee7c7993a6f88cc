package registry

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// earliest is before anything was pushed into any registry of ours.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// mendArtifact writes the record of an artifact anew: as it says, if its sum proves
// that, or else as its manifest says. A finding without a harm: there is none any
// more.
func (s *Service) mendArtifact(ctx context.Context, actor towpath.Actor, x ArtifactRecord) (f Finding, err error) {
	name := x.name()
	var body []byte
	var unread error
	if !x.Whole {
		if body, unread = blob.ReadAll(ctx, s.blobs, x.Digest, int64(s.cfg.MaxManifest)); ctx.Err() != nil {
			return f, ctx.Err()
		}
	}
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		f = Finding{}
		x, damaged, err := tx.LockDamagedArtifact(ctx, x.ArtifactKey)
		if err != nil || !damaged { // somebody has mended or deleted it since
			return err
		}
		f = x.finding()
		a, how, err := s.restored(tx, x, body, unread)
		if err != nil {
			f.Why, _ = towpath.PublicMessage(err)
			f.Why += "; push the same again, or have an administrator delete it by its digest"
			if !s.news(name, Damaged) {
				return nil
			}
		}
		found := event(now, actor, "registry.damaged", x.Repository, x.Digest)
		found.Reason = name
		if err := tx.Record(ctx, found); err != nil || f.Why != "" {
			return err
		}
		mended, err := tx.MendArtifact(ctx, x.ArtifactKey, a)
		if err == nil && !mended { // there is a record of it already: it was pushed again
			err = tx.DeleteArtifact(ctx, x.Repository, x.Digest)
		}
		if err != nil {
			return err
		}
		f.Repaired = true
		ev := event(now, actor, "registry.repaired", a.Repository, a.Digest)
		ev.Reason = how
		return tx.Record(ctx, ev)
	})
	switch {
	case err != nil:
	case f.Why != "":
		s.told(name, Damaged)
	default:
		s.sound(name)
	}
	return f, err
}

// restored is what a damaged record was when it was written, and how that is known.
func (s *Service) restored(tx Tx, x ArtifactRecord, manifest []byte, unread error) (a towpath.Artifact, how string, err error) {
	if x.Whole {
		return x.Says, "by its sum", nil
	}
	if err := unread; err != nil {
		return a, "", err
	}
	for _, mediaType := range append(x.Types, "") { // the manifest may leave it to whoever sends it
		b, refused := parse(mediaType, manifest)
		if refused != nil {
			err = refused
			continue
		}
		b.Repository, b.Digest = x.Repository, x.Digest
		proven := s.date(tx, x, &b)
		if proven || a.Digest == "" {
			a = b
		}
		if proven {
			break
		}
	}
	if a.Digest == "" {
		return a, "", err
	}
	return a, "from its manifest, pushed at " + a.Pushed.UTC().Format(time.RFC3339), nil
}

// date says when the artifact of a damaged record was pushed first, and reports
// whether its sum proves that. It does when the damage is anywhere but in the time.
// Otherwise it is when the artifact was pushed last, which is no earlier: signatures
// made with a key after its time can't become older by it.
func (s *Service) date(tx Tx, x ArtifactRecord, a *towpath.Artifact) bool {
	times := append(x.Times, x.Last)
	for _, a.Pushed = range times {
		if tx.WrittenArtifact(x, *a) {
			return true
		}
	}
	now := s.cfg.Now()
	for _, a.Pushed = range append([]time.Time{x.Last}, x.Times...) {
		if a.Pushed.After(earliest) && !a.Pushed.After(now) {
			return false
		}
	}
	a.Pushed = now
	return false
}

// lockDeletable reads an artifact that nobody else can delete or name before the
// transaction ends. Of one whose record is damaged it is what can be read, and for
// who manages the server: it may be more than its record says.
func lockDeletable(ctx context.Context, tx Tx, actor towpath.Actor, k ArtifactKey) (towpath.Artifact, error) {
	a, err := tx.LockArtifact(ctx, k.Repository, k.Digest)
	if towpath.KindOf(err) != towpath.KindInternal {
		return a, err
	}
	x, damaged, again := tx.LockDamagedArtifact(ctx, k)
	if again != nil || !damaged {
		return a, err
	}
	a = x.Says
	a.Repository, a.Digest = k.Repository, k.Digest
	return a, access.Check(actor, access.ServerManage, access.Subject{Project: k.Repository.Project()})
}
