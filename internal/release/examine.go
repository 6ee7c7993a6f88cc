package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of what is read to find out what one release is made with.
const (
	maxAttached  = 1000      // statements and bills that are attached to it
	maxBillBytes = 512 << 20 // of all of them
	pageAttached = 100
	pageDigests  = 1000
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

// examine quarantines a release that is made with one of some materials. Its
// error is that it can't be looked at now.
func (s *Service) examine(ctx context.Context, p towpath.ProjectName, d towpath.Digest, all []towpath.MaterialQuarantine) error {
	var have *towpath.Quarantine
	var lifted []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		if have, err = tx.Quarantine(ctx, p, d); err != nil {
			return err
		}
		lifted, err = tx.LiftedQuarantines(ctx, p, d)
		return err
	})
	if err != nil || have != nil {
		return err
	}
	q, err := s.blame(ctx, p, d, all, lifted)
	if err != nil || q == nil {
		return err
	}
	return s.QuarantineFor(ctx, p, *q)
}

// blame says for which of some materials a release is to be quarantined, but for
// none for which that was lifted; nil for none. One that nobody can tell of is to
// be as well: who wants to hide a material must not get through by attaching what
// can't be read. Its error is that it can't be looked at now.
func (s *Service) blame(ctx context.Context, p towpath.ProjectName, d towpath.Digest, all []towpath.MaterialQuarantine, lifted []string) (*towpath.Quarantine, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(q towpath.MaterialQuarantine) bool { return slices.Contains(lifted, causeOf(q)) })
	if len(all) == 0 {
		return nil, nil
	}
	e := examination{left: maxBillBytes}
	attached, err := s.said(ctx, p, d, &e)
	if err != nil {
		return nil, err
	}
	for _, a := range attached {
		materials, err := a(ctx)
		if err != nil { // which says nothing of what was read beside it
			e.failed(ctx, err)
		}
		for _, q := range all {
			if evidence.MadeWith(materials, q.Material) {
				return &towpath.Quarantine{Release: d, Cause: causeOf(q), Reason: madeWith(q), Everywhere: q.Project == ""}, nil
			}
		}
	}
	if e.later != nil || e.never == nil {
		return nil, e.later
	}
	attachedNow, err := s.attachedNow(ctx, p, d)
	if err != nil {
		return nil, err
	}
	q, ok := untold(all, lifted, attachedNow)
	if !ok {
		return nil, nil
	}
	why, _ := towpath.PublicMessage(e.never)
	return &towpath.Quarantine{
		Release: d, Cause: unread + causeOf(q) + " " + attachedNow, Everywhere: q.Project == "",
		Reason: "nobody can tell whether " + madeWith(q) + " (it could not be looked at: " + why + ")",
	}, nil
}

// unread begins the cause of a quarantine for what can't be read. It ends with
// a name for all that was attached.
const unread = "unread "

// untold is the material in whose name a release is quarantined that can't be
// read: the first that was quarantined after somebody last looked at the release
// and lifted that, before all one that is so in every project. Nobody has looked at
// what was attached since: behind more than is ever read there would be room to
// hide a material.
func untold(all []towpath.MaterialQuarantine, lifted []string, attached string) (towpath.MaterialQuarantine, bool) {
	var looked time.Time
	for _, cause := range lifted {
		if at, then, ok := seen(cause); ok && at.After(looked) && then == attached {
			looked = at
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(q towpath.MaterialQuarantine) bool { return !q.At.After(looked) })
	if len(all) == 0 {
		return towpath.MaterialQuarantine{}, false
	}
	if i := slices.IndexFunc(all, func(q towpath.MaterialQuarantine) bool { return q.Project == "" }); i >= 0 {
		return all[i], true
	}
	return all[0], true
}

// seen is what somebody knew who lifted a quarantine for what can't be read: since
// when the material was quarantined, and what was attached.
func seen(cause string) (material time.Time, attached string, ok bool) {
	words := strings.Split(cause, " ")
	if !strings.HasPrefix(cause, unread) || len(words) < 3 {
		return material, "", false
	}
	material, err := time.Parse(time.RFC3339Nano, words[len(words)-2])
	return material, words[len(words)-1], err == nil
}

// attachedNow names all bills and statements that are attached to a release,
// also those that nobody reads because there are so many, but for what the server
// itself says of its promotions: that goes on.
func (s *Service) attachedNow(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (string, error) {
	var name string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		own, err := tx.OutcomeAttestations(ctx, p, d)
		if err != nil {
			return err
		}
		sum := sha256.New()
		for _, kind := range attachedKinds() {
			for after := ""; ; {
				page, err := tx.ReferrerDigests(ctx, towpath.ReleaseRepository(p), d, kind, towpath.Digest(after), pageDigests)
				if err != nil {
					return err
				}
				for _, after = range page {
					if !slices.Contains(own, towpath.Digest(after)) {
						sum.Write([]byte(after + "\n"))
					}
				}
				if len(page) < pageDigests {
					break
				}
			}
		}
		name = hex.EncodeToString(sum.Sum(nil)[:16])
		return nil
	})
	return name, err
}

// attachedKinds are the types of what says what a release is made with, signed
// ones first.
func attachedKinds() []string { return []string{oci.MediaTypeBundle, oci.MediaTypeSBOM} }

// examination is how far one has come.
type examination struct {
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
	if q.Project == "" {
		return causeEverywhere(q.Material) + q.At.UTC().Format(time.RFC3339Nano)
	}
	return causeHere(q.Material) + q.At.UTC().Format(time.RFC3339Nano)
}

// causeHere begins the cause of a material that is quarantined in one project.
func causeHere(material string) string { return "material " + material + " " }

// causeEverywhere begins the cause of a material that is quarantined in every
// project.
func causeEverywhere(material string) string { return "everywhere " + material + " " }

// said lists how to read what a release is made with: from its provenances, its
// statements and its bills, the signed ones first, whoever signed them.
func (s *Service) said(ctx context.Context, p towpath.ProjectName, d towpath.Digest, e *examination) (out []func(context.Context) ([]string, error), err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		candidates, err := tx.CandidatesOf(ctx, p, d)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			out = append(out, func(ctx context.Context) ([]string, error) {
				provenance, err := blob.ReadAll(ctx, s.blobs, c.Provenance, maxProvenance)
				if err != nil {
					return nil, err
				}
				return evidence.ProvenanceMaterials(provenance)
			})
		}
		for _, kind := range attachedKinds() {
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
	contents, err := s.bills(ctx, a.Digest, min(maxBill, *left))
	if err != nil && a.ArtifactType == oci.MediaTypeBundle && towpath.KindOf(err) == towpath.KindInvalid {
		return nil, nil // no gate takes it either
	}
	if err != nil {
		return nil, err
	}
	read := evidence.BillMaterials
	if a.ArtifactType == oci.MediaTypeBundle {
		read = bundled
	}
	var out []string
	var unread error
	for _, content := range contents {
		*left -= int64(len(content))
		of, err := read(content)
		if err != nil {
			unread = err
		}
		out = append(out, of...)
	}
	return out, unread
}

// bundled are the materials that the statement in a bundle names. What is none
// says nothing: no gate takes it either. Its error is that it is one of materials,
// and can't be read.
func bundled(content []byte) ([]string, error) {
	payload, err := signing.Payload(content)
	if err != nil {
		return nil, nil //nolint:nilerr // what no verifier reads says nothing
	}
	var statement struct {
		Type      string          `json:"predicateType"`
		Predicate json.RawMessage `json:"predicate"`
	}
	if json.Unmarshal(payload, &statement) != nil {
		return nil, nil //nolint:nilerr // what is no statement says nothing
	}
	of, noProvenance := evidence.ProvenanceMaterials(payload)
	in, noBill := evidence.BillMaterials(statement.Predicate)
	switch evidence.TypeOf(statement.Type) {
	case towpath.EvidenceProvenance:
		return append(of, in...), noProvenance
	case towpath.EvidenceSBOM:
		return append(of, in...), noBill
	}
	return append(of, in...), nil
}

// QuarantineFor quarantines a release by itself, for a cause, unless it is
// quarantined, or a person has lifted what it was quarantined for by this cause. A
// cause in every project replaces one that a project may lift; what a person said
// stays, and who lifts that gets the cause then.
func (s *Service) QuarantineFor(ctx context.Context, p towpath.ProjectName, q towpath.Quarantine) error {
	now := s.cfg.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		return quarantineFor(ctx, tx, p, q, now)
	})
}

func quarantineFor(ctx context.Context, tx Tx, p towpath.ProjectName, q towpath.Quarantine, now time.Time) error {
	if _, err := lockEnvironments(ctx, tx, p); err != nil {
		return err
	}
	have, err := tx.Quarantine(ctx, p, q.Release)
	if err != nil || have != nil && (have.Everywhere || !q.Everywhere || have.By != towpath.System().Account) {
		return err
	}
	lifted, err := tx.LiftedQuarantines(ctx, p, q.Release)
	if err != nil || slices.Contains(lifted, q.Cause) {
		return err
	}
	q.By, q.At = towpath.System().Account, now
	ev := towpath.NewEvent(now, string(q.By), "release.quarantined")
	ev.Project, ev.Subject, ev.Release, ev.Reason = p, string(q.Release), q.Release, q.Reason
	return changeQuarantine(ctx, tx, p, q.Release, &q, ev, now)
}
