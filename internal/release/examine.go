package release

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of what is read to find out what one release is made with.
const (
	maxAttached  = 1000      // statements and bills that are attached to it
	maxBillBytes = 512 << 20 // of all of them
	pageAttached = 100
)

// Examinations is the loop over releases that may be made with what is
// quarantined: those that are published, or that something was attached to.
type Examinations struct{ *Service }

// Kind is the kind of work of the loop.
func (Examinations) Kind() string { return WorkExamination }

// Reconcile quarantines a release that is made with a quarantined material.
func (l Examinations) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	project, d, _ := strings.Cut(key, "/")
	p := towpath.ProjectName(project)
	var all []towpath.MaterialQuarantine
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		_, _, err := tx.Release(ctx, p, towpath.Digest(d))
		if towpath.KindOf(err) == towpath.KindNotFound { // it was attached to something else
			return nil
		}
		if err == nil {
			all, err = tx.QuarantinedMaterials(ctx, p)
		}
		return err
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Done(), l.examine(ctx, p, towpath.Digest(d), all)
}

// examine quarantines a release that is made with one of some materials, and one
// that nobody can tell of: who wants to hide a material must not get through by
// attaching what can't be read. Its error is that it can't be looked at now.
func (s *Service) examine(ctx context.Context, p towpath.ProjectName, d towpath.Digest, all []towpath.MaterialQuarantine) error {
	if len(all) == 0 {
		return nil
	}
	e := examination{left: maxBillBytes}
	attached, err := s.said(ctx, p, d, &e)
	if err != nil || e.over {
		return err
	}
	for _, a := range attached {
		materials, err := a(ctx)
		if err != nil {
			e.failed(ctx, err)
			continue
		}
		for _, q := range all {
			if evidence.MadeWith(materials, q.Material) {
				return s.QuarantineFor(ctx, p, d, causeOf(q), madeWith(q))
			}
		}
	}
	if e.later != nil || e.never == nil {
		return e.later
	}
	why, _ := towpath.PublicMessage(e.never)
	return s.QuarantineFor(ctx, p, d, causeOf(all[0]), "nobody can tell whether "+madeWith(all[0])+" (it could not be looked at: "+why+")")
}

// examination is how far one has come.
type examination struct {
	over         bool  // the release is quarantined already
	left         int64 // bytes that may still be read
	never, later error // why something can't be read at all, or not now
}

func (e *examination) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || towpath.KindOf(err) == towpath.KindUnavailable {
		e.later = err
		return
	}
	e.never = err
}

// madeWith is why a release is quarantined.
func madeWith(q towpath.MaterialQuarantine) string {
	return "it is made with " + q.Material + ", which was quarantined by " + string(q.By) + ": " + q.Reason
}

// causeOf names a material's quarantine: one that is said again is another.
func causeOf(q towpath.MaterialQuarantine) string {
	return "material " + q.Material + " " + q.At.UTC().Format(time.RFC3339Nano)
}

// said lists how to read what a release is made with: from its provenances, its
// statements and its bills, the signed ones first, whoever signed them.
func (s *Service) said(ctx context.Context, p towpath.ProjectName, d towpath.Digest, e *examination) (out []func(context.Context) ([]string, error), err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		have, err := tx.Quarantine(ctx, p, d)
		if err != nil || have != nil {
			e.over = true
			return err
		}
		candidates, err := tx.CandidatesOf(ctx, p, d)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			out = append(out, func(ctx context.Context) ([]string, error) {
				provenance, err := blob.ReadAll(ctx, s.blobs, c.Provenance, maxProvenance)
				return evidence.Materials(provenance, nil), err
			})
		}
		for _, kind := range []string{oci.MediaTypeBundle, oci.MediaTypeSBOM} {
			attached, more, err := referrers(ctx, tx, p, d, kind)
			if err != nil {
				return err
			}
			for _, a := range attached {
				out = append(out, func(ctx context.Context) ([]string, error) { return s.materialsOf(ctx, a, &e.left) })
			}
			if more != nil {
				e.never = more
			}
		}
		return nil
	})
	return out, err
}

// referrers lists what of a type is attached to a release. More is why that is
// not all.
func referrers(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest, kind string) (out []towpath.Artifact, more, err error) {
	after := towpath.Digest("")
	for {
		page, err := tx.Referrers(ctx, towpath.ReleaseRepository(p), d, kind, after, pageAttached)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, page...)
		switch {
		case len(out) > maxAttached:
			return out[:maxAttached], towpath.E(towpath.KindExhausted, "release.examine", "more than %d bills or statements are attached to it", maxAttached), nil
		case len(page) < pageAttached:
			return out, nil, nil
		}
		after = page[len(page)-1].Digest
	}
}

// materialsOf are those that an attached bill or statement names. Left is how
// many bytes may still be read.
func (s *Service) materialsOf(ctx context.Context, a towpath.Artifact, left *int64) ([]string, error) {
	if *left <= 0 {
		return nil, towpath.E(towpath.KindExhausted, "release.examine", "more than %d MiB of bills and statements are attached to it", maxBillBytes>>20)
	}
	content, err := s.bill(ctx, a.Digest, min(maxBill, *left))
	if err != nil {
		return nil, err
	}
	*left -= int64(len(content))
	if a.ArtifactType == oci.MediaTypeSBOM {
		return evidence.Materials(nil, content), nil
	}
	var bundle struct {
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	var statement struct {
		Predicate json.RawMessage `json:"predicate"`
	}
	if json.Unmarshal(content, &bundle) != nil || json.Unmarshal(bundle.Envelope.Payload, &statement) != nil {
		return nil, nil //nolint:nilerr // it says nothing: no gate takes it either
	}
	return evidence.Materials(bundle.Envelope.Payload, statement.Predicate), nil
}

// QuarantineFor quarantines a release by itself, for a cause, unless it is
// quarantined, or a person has lifted what it was quarantined for by this cause.
func (s *Service) QuarantineFor(ctx context.Context, p towpath.ProjectName, d towpath.Digest, cause, reason string) error {
	now := s.cfg.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		return quarantineFor(ctx, tx, p, d, cause, reason, now)
	})
}

func quarantineFor(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest, cause, reason string, now time.Time) error {
	have, err := tx.Quarantine(ctx, p, d)
	if err != nil || have != nil {
		return err
	}
	lifted, err := tx.LiftedQuarantines(ctx, p, d)
	if err != nil || slices.Contains(lifted, cause) {
		return err
	}
	system := towpath.System().Account
	ev := towpath.NewEvent(now, string(system), "release.quarantined")
	ev.Project, ev.Subject, ev.Release, ev.Reason = p, string(d), d, reason
	return changeQuarantine(ctx, tx, p, d, &towpath.Quarantine{Release: d, Reason: reason, Cause: cause, By: system, At: now}, ev, now)
}
