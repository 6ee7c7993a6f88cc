package release

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Work kinds of the loops over what is quarantined.
const (
	WorkMaterial    = "material"    // key: project/material, or /material in every project: look for releases that are made with it
	WorkExamination = "examination" // key: project/digest: look whether a release is made with any
)

const (
	maxMaterial  = 500      // bytes of a material's name
	maxMaterials = 1000     // of one project, and of every project
	maxBill      = 64 << 20 // bytes of a bill of materials that is read
)

// QuarantineMaterial revokes every release of a project that is made with
// something, those that are published later too: an image or file by digest, a
// package by its URL, a pinned reference by name. Without a project it does so in
// all of them, those that are made later too.
func (s *Service) QuarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, reason string) (towpath.MaterialQuarantine, error) {
	const op = "release.quarantine"
	var none towpath.MaterialQuarantine
	if err := mayQuarantine(actor, p); err != nil {
		return none, err
	}
	material = strings.TrimSpace(material)
	if material == "" || len(material) > maxMaterial {
		return none, towpath.E(towpath.KindInvalid, op, "%q is no material", material).
			WithHint("give a digest (sha256:…), a package URL (pkg:golang/example.com/lib@v1.2.0; without a version all of them), or the name of a pin")
	}
	if err := checkDigest(material); err != nil {
		return none, err
	}
	if reason == "" {
		return none, towpath.E(towpath.KindInvalid, op, "a quarantine needs a reason").WithHint("say why with --reason: people will read it at night")
	}
	q := towpath.MaterialQuarantine{Project: p, Material: material, Reason: reason, By: actor.Account, At: s.cfg.Now()}
	return q, s.changeMaterial(ctx, actor, p, "material.quarantined", material, reason, q.At, func(ctx context.Context, tx Tx) error {
		have, err := tx.QuarantinedMaterials(ctx, p)
		if err != nil {
			return err
		}
		have = slices.DeleteFunc(have, func(q towpath.MaterialQuarantine) bool { return q.Project != p || q.Material == material })
		if len(have) >= maxMaterials {
			return towpath.E(towpath.KindExhausted, op, "%d materials are quarantined already", len(have)).
				WithHint("lift those that matter no more: towpath quarantine list")
		}
		if err := tx.SaveQuarantinedMaterial(ctx, q); err != nil {
			return err
		}
		return tx.Enqueue(ctx, WorkMaterial, string(p)+"/"+material, q.At)
	})
}

// checkDigest refuses what looks like a digest and is none: no release would ever
// be found to be made with it. Names of pins may have colons too.
func checkDigest(material string) error {
	algorithm, sum, _ := strings.Cut(strings.ToLower(material), ":")
	lengths, ok := map[string][]int{
		"md5": {32}, "sha1": {40}, "sha224": {56}, "sha256": {64}, "sha384": {96}, "sha512": {128}, "gitcommit": {40, 64},
	}[strings.ReplaceAll(algorithm, "-", "")]
	if !ok {
		return nil
	}
	if !strings.Contains(algorithm, "-") && slices.Contains(lengths, len(sum)) && strings.Trim(sum, "0123456789abcdef") == "" {
		return nil
	}
	return towpath.E(towpath.KindInvalid, "release.quarantine", "%.100q is no whole digest", material).
		WithHint("give all of its hexadecimal digits (sha256: has 64), as `towpath lock`, provenance and bill of materials name it")
}

// ForMaterial reports whether a release is quarantined for a material of its
// project, by itself.
func ForMaterial(q *towpath.Quarantine, material string) bool {
	return q != nil && isFor(q.Cause, causeHere(material))
}

// isFor reports whether a cause is one of a material's, by how these begin. A time
// follows, and behind it, of what can't be read, at most a name for what was attached.
// The beginning alone says nothing: names have spaces.
func isFor(cause, begins string) bool {
	cause, unreadable := strings.CutPrefix(cause, unread)
	rest, begun := strings.CutPrefix(cause, begins)
	at, attached, more := strings.Cut(rest, " ")
	return begun && isTime(at) && (!more || unreadable && !isTime(attached) && !strings.Contains(attached, " "))
}

func isTime(word string) bool {
	_, err := time.Parse(time.RFC3339Nano, word)
	return err == nil
}

// UnquarantineMaterial lets releases be made with something again. Those of a
// project that were quarantined for it stay so: each is lifted by itself. Without
// a project they are lifted too: nobody goes through a hundred projects.
func (s *Service) UnquarantineMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, material, reason string) error {
	if err := mayQuarantine(actor, p); err != nil {
		return err
	}
	now := s.cfg.Now()
	return s.changeMaterial(ctx, actor, p, "material.unquarantined", material, reason, now, func(ctx context.Context, tx Tx) error {
		err := tx.DeleteQuarantinedMaterial(ctx, p, material)
		switch {
		case err == nil && p == "":
			return tx.Enqueue(ctx, WorkMaterial, "/"+material, now)
		case p == "" || towpath.KindOf(err) != towpath.KindNotFound:
			return err
		}
		all, listErr := tx.QuarantinedMaterials(ctx, "")
		if listErr == nil && slices.ContainsFunc(all, func(q towpath.MaterialQuarantine) bool { return q.Material == material }) {
			return towpath.E(towpath.KindConflict, "release.quarantine", "%s is quarantined in every project", material).On(material).
				WithHint("an admin of everything lifts it: towpath unquarantine --material %s --everywhere --reason …", material)
		}
		return err
	})
}

// mayQuarantine: a role in a project reaches that project; what is done to all of
// them takes an admin of everything.
func mayQuarantine(actor towpath.Actor, p towpath.ProjectName) error {
	if p == "" {
		return access.Check(actor, access.QuarantineAll, access.Subject{})
	}
	return access.Check(actor, access.Quarantine, access.Subject{Project: p})
}

func (s *Service) changeMaterial(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, action, material, reason string, now time.Time, f func(context.Context, Tx) error) error {
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Subject, ev.Reason, ev.RequestID = p, material, reason, actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// QuarantinedMaterials lists the materials with which no release of a project
// may be made, those of every project among them; without a project only these.
// Who may read releases somewhere may know them: they hold there too.
func (s *Service) QuarantinedMaterials(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error) {
	if err := mayKnowMaterials(actor, p); err != nil {
		return nil, err
	}
	var out []towpath.MaterialQuarantine
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		out, err = tx.QuarantinedMaterials(ctx, p)
		return err
	})
	return out, err
}

func mayKnowMaterials(actor towpath.Actor, p towpath.ProjectName) error {
	if all, in := access.Projects(actor, access.ReleaseRead); p != "" || !all && len(in) == 0 {
		return access.Check(actor, access.ReleaseRead, access.Subject{Project: p})
	}
	return nil
}

// Materials is the loop over materials that were quarantined.
type Materials struct{ *Service }

// Kind is the kind of work of the loop.
func (Materials) Kind() string { return WorkMaterial }

// Reconcile quarantines the releases that are made with a material, and lifts
// those that were quarantined for one that is not any more in every project. It
// may begin again at any time: what is quarantined is left alone. A release that
// can't be looked at now holds up no other one: it is examined by itself. What is
// for every project is work of each of them, so that none waits for another.
func (l Materials) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	project, material, _ := strings.Cut(key, "/")
	p := towpath.ProjectName(project)
	if p == "" {
		return reconcile.Done(), l.inEveryProject(ctx, material, now)
	}
	later := l.liftEverywhere(ctx, p, material)
	if ctx.Err() != nil {
		return reconcile.Result{}, context.Cause(ctx)
	}
	var releases []towpath.Release
	var all []towpath.MaterialQuarantine
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if all, err = tx.QuarantinedMaterials(ctx, p); err != nil {
			return err
		}
		releases, err = tx.Whole(ctx, p)
		return err
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	all = slices.DeleteFunc(all, func(q towpath.MaterialQuarantine) bool { return q.Material != material })
	for _, r := range releases {
		if l.examine(ctx, p, r.Digest, all) == nil {
			continue
		}
		if ctx.Err() != nil {
			return reconcile.Result{}, context.Cause(ctx)
		}
		err := l.store.Update(ctx, func(ctx context.Context, tx Tx) error { // whose error is logged, and tried again
			return tx.Enqueue(ctx, WorkExamination, key[:len(project)+1]+string(r.Digest), now)
		})
		if err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Done(), later
}

// bills reads the bills of materials, or the bundle, that a manifest attaches.
// Limit is how many bytes all of them may have. Its error of kind invalid is that
// the manifest attaches nothing that can be read.
func (s *Service) bills(ctx context.Context, manifest towpath.Digest, limit int64) ([][]byte, error) {
	raw, err := blob.ReadAll(ctx, s.blobs, manifest, oci.MaxManifest)
	if err != nil {
		return nil, err
	}
	m, err := oci.ParseAttachment(raw)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, b := range m.Content() {
		content, err := blob.ReadAll(ctx, s.blobs, b.Digest, limit)
		if err != nil {
			return nil, err
		}
		limit -= int64(len(content))
		out = append(out, content)
	}
	return out, nil
}

// materials are those of a release that is being published, as far as they can be
// read: what can't be is found when the release is examined, which follows.
func (s *Service) materials(ctx context.Context, provenance []byte, attached []towpath.Artifact) ([]string, error) {
	out, _ := evidence.ProvenanceMaterials(provenance)
	for _, a := range attached {
		if a.ArtifactType != oci.MediaTypeSBOM {
			continue
		}
		bills, err := s.bills(ctx, a.Digest, maxBill)
		if err != nil && towpath.KindOf(err) != towpath.KindInvalid {
			return nil, err
		}
		for _, bill := range bills {
			of, _ := evidence.BillMaterials(bill)
			out = append(out, of...)
		}
	}
	return out, nil
}

// refuseMaterials quarantines a release from the start when it is made with
// what is quarantined.
func refuseMaterials(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest, materials []string, now time.Time) error {
	all, err := tx.QuarantinedMaterials(ctx, p)
	if err != nil {
		return err
	}
	for _, q := range all { // once is enough; what was lifted leaves it to the next
		if !evidence.MadeWith(materials, q.Material) {
			continue
		}
		because := towpath.Quarantine{Release: d, Cause: causeOf(q), Reason: madeWith(q), Everywhere: q.Project == ""}
		if err := quarantineFor(ctx, tx, p, because, now); err != nil {
			return err
		}
	}
	return nil
}
