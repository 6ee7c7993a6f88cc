package trust

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// revokeEverywhere revokes every record of the key that a name means. One that
// was revoked before keeps its reason, and counts everywhere from now on too.
func (s *Service) revokeEverywhere(ctx context.Context, actor towpath.Actor, name towpath.KeyName, reason string) (towpath.TrustedKey, error) {
	if err := access.Check(actor, access.TrustManage, access.Subject{}); err != nil {
		return towpath.TrustedKey{}, err
	}
	now := s.cfg.Now()
	var out towpath.TrustedKey
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(k towpath.TrustedKey) bool { return k.Name == name })
		if i < 0 {
			_, err := tx.LockTrustedKey(ctx, name) // which says that it is not there
			return err
		}
		id := all[i].ID
		for _, k := range all { // by name, so that two of these don't wait for each other
			if k.ID != id {
				continue
			}
			if k, err = tx.LockTrustedKey(ctx, k.Name); err != nil {
				return err
			}
			if k.Revoked == nil {
				k.Revoked = &towpath.KeyRevocation{Reason: reason, By: actor.Account, At: now}
			}
			k.Revoked.Everywhere = true
			if err := changed(ctx, tx, actor, k, "key.revoked", reason, now); err != nil {
				return err
			}
			if k.Name == name {
				out = k
			}
		}
		return nil
	})
	return out, err
}

// causeOf begins the cause of what is quarantined for a key.
func causeOf(name towpath.KeyName) string { return "key " + string(name) + " " }

// inEvery follows that for a project's key that is revoked in every project.
const inEvery = "everywhere "

// Affected says what is quarantined for a revoked key, as far as the actor may see
// it; for one that is revoked everywhere, under all its names.
func (s *Service) Affected(ctx context.Context, actor towpath.Actor, name towpath.KeyName) (towpath.Affected, error) {
	var all []towpath.TrustedKey
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		all, err = tx.TrustedKeys(ctx)
		return err
	})
	if err != nil {
		return towpath.Affected{}, err
	}
	i := slices.IndexFunc(all, func(k towpath.TrustedKey) bool { return k.Name == name })
	if i < 0 {
		return towpath.Affected{}, towpath.E(towpath.KindNotFound, "trust.affected", "there is no trusted key %.64q", name).
			WithHint("`towpath trust list` shows them")
	}
	key := all[i]
	if err := access.Check(actor, access.TrustRead, access.Subject{Project: key.Project}); err != nil {
		return towpath.Affected{}, err
	}
	var causes, names []string
	for _, k := range all {
		if k.Name == name || k.ID == key.ID && key.Revoked != nil && key.Revoked.Everywhere {
			causes, names = append(causes, causeOf(k.Name), causeOf(k.Name)+inEvery), append(names, string(k.Name))
		}
	}
	return s.quarantiner.AffectedBy(ctx, actor, "", causes, func([]towpath.ProjectName) (string, []string) { return WorkRevocation, names })
}

// Revocations is the loop over revoked keys.
type Revocations struct{ *Service }

// Kind is the kind of work of the loop.
func (Revocations) Kind() string { return WorkRevocation }

// Reconcile quarantines every release that only a revoked key signed. It may
// begin again at any time: what is quarantined everywhere is left alone. A release that
// can't be looked at now holds up no other one: it is looked at by itself.
func (l Revocations) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	var all []towpath.TrustedKey
	var releases []towpath.Release
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		releases = nil
		var err error
		if all, err = tx.TrustedKeys(ctx); err != nil {
			return err
		}
		projects, err := tx.Projects(ctx)
		if err != nil {
			return err
		}
		for _, p := range projects {
			whole, err := tx.Whole(ctx, p.Name)
			if err != nil {
				return err
			}
			releases = append(releases, whole...)
		}
		return nil
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	for _, r := range releases {
		if l.signers(ctx, r.Project, r.Digest, all, towpath.KeyName(key)) == nil {
			continue
		}
		if ctx.Err() != nil {
			return reconcile.Result{}, context.Cause(ctx)
		}
		err := l.store.Update(ctx, func(ctx context.Context, tx Tx) error { // whose error is logged, and tried again
			return tx.Enqueue(ctx, WorkSigners, string(r.Project)+"/"+string(r.Digest), now)
		})
		if err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Done(), nil
}

// Signers is the loop over releases that revoked keys may have signed: those
// that are published, or that something was attached to.
type Signers struct{ *Service }

// Kind is the kind of work of the loop.
func (Signers) Kind() string { return WorkSigners }

// Reconcile quarantines a release that only a revoked key signed.
func (l Signers) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	project, d, _ := strings.Cut(key, "/")
	p := towpath.ProjectName(project)
	var all []towpath.TrustedKey
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		_, _, err := tx.Release(ctx, p, towpath.Digest(d))
		if towpath.KindOf(err) == towpath.KindNotFound { // it was attached to something else
			return nil
		}
		if err == nil {
			all, err = tx.TrustedKeys(ctx)
		}
		return err
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Done(), l.signers(ctx, p, towpath.Digest(d), all, "")
}

// signers quarantines a release that only a revoked key signed, of one name or
// of any. Its error is that it can't be looked at now.
func (s *Service) signers(ctx context.Context, p towpath.ProjectName, d towpath.Digest, all []towpath.TrustedKey, name towpath.KeyName) error {
	var have *towpath.Quarantine
	var lifted []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		if have, err = tx.Quarantine(ctx, p, d); err != nil {
			return err
		}
		lifted, err = tx.LiftedQuarantines(ctx, p, d)
		return err
	})
	if err != nil || have != nil && have.Everywhere {
		return err
	}
	q, err := s.blame(ctx, p, d, all, func(k towpath.TrustedKey) bool {
		return (name == "" || k.Name == name) && (have == nil || everywhere(k)) && !slices.Contains(lifted, causeFor(k))
	})
	if err != nil || q == nil {
		return err
	}
	return s.quarantiner.QuarantineFor(ctx, p, *q)
}

// Blame says for which revoked key a release is to be quarantined, but for none
// for which that was lifted; nil for none. Its error is that it can't be looked
// at now.
func (s *Service) Blame(ctx context.Context, p towpath.ProjectName, d towpath.Digest, lifted []string) (*towpath.Quarantine, error) {
	var all []towpath.TrustedKey
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		all, err = tx.TrustedKeys(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.blame(ctx, p, d, all, func(k towpath.TrustedKey) bool { return !slices.Contains(lifted, causeFor(k)) })
}

// blame says for which of the revoked keys that are asked for a release is to be
// quarantined, before all for one that only an admin of everything lifts.
func (s *Service) blame(ctx context.Context, p towpath.ProjectName, d towpath.Digest, all []towpath.TrustedKey, asked func(towpath.TrustedKey) bool) (*towpath.Quarantine, error) {
	revoked := slices.DeleteFunc(slices.Clone(all), func(k towpath.TrustedKey) bool {
		return k.Revoked == nil || k.Project != "" && k.Project != p || !asked(k)
	})
	if len(revoked) == 0 {
		return nil, nil
	}
	look, err := s.look(p, d, all)
	if err != nil {
		return nil, err
	}
	var attached []towpath.Artifact
	var tooMany error
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		attached, tooMany = bundles(ctx, tx, p, d)
		if towpath.KindOf(tooMany) == towpath.KindExhausted {
			return nil
		}
		return tooMany
	})
	if err != nil {
		return nil, err
	}
	var local *towpath.Quarantine
	for _, k := range revoked {
		if local != nil && !everywhere(k) {
			continue
		}
		why, err := look.onlySignedBy(ctx, p, k, all, attached, tooMany)
		if err != nil {
			return nil, err
		}
		if why == "" {
			continue
		}
		q := &towpath.Quarantine{
			Release: d, Cause: causeFor(k), Everywhere: everywhere(k),
			Reason: why + ", which was revoked by " + string(k.Revoked.By) + ": " + k.Revoked.Reason,
		}
		if q.Everywhere {
			return q, nil
		}
		local = q
	}
	return local, nil
}

// everywhere reports whether a key is revoked in every project.
func everywhere(k towpath.TrustedKey) bool { return k.Project == "" || k.Revoked.Everywhere }

// causeFor names a revocation. Of a project's key that everywhere is another one:
// who lifted what the project said has not lifted what was said of all.
func causeFor(k towpath.TrustedKey) string {
	at := k.Revoked.At.UTC().Format(time.RFC3339Nano)
	if k.Project != "" && k.Revoked.Everywhere {
		at = inEvery + at
	}
	return causeOf(k.Name) + at
}

// onlySignedBy says that a release has a signature or a provenance of a revoked
// key, and none of another one that counts; empty when that is not so. A release
// of which nobody can tell is said to be like that: who has the key must not get
// through by attaching what can't be read, or more than is looked at, which unread
// says from the start. A good signature saves it all the same.
func (l *look) onlySignedBy(ctx context.Context, p towpath.ProjectName, revoked towpath.TrustedKey, all []towpath.TrustedKey, attached []towpath.Artifact, unread error) (string, error) {
	var was []towpath.TrustedKey // what did it sign, when it was still trusted, by whatever authority?
	for _, k := range all {
		if k.ID == revoked.ID && k.Overlaps(revoked) {
			k.Revoked = nil
			was = append(was, k)
		}
	}
	before, err := newJudge(was)
	if err != nil {
		return "", err
	}
	now, err := newJudge(slices.DeleteFunc(slices.Clone(all), func(k towpath.TrustedKey) bool {
		return k.Project != "" && k.Project != p || k.ID == revoked.ID
	}))
	if err != nil {
		return "", err
	}
	did := false
	for _, a := range attached {
		for _, j := range []*judge{now, before} {
			x, err := l.verify(ctx, j, a)
			if err != nil && (ctx.Err() != nil || towpath.KindOf(err) == towpath.KindUnavailable) {
				return "", err
			}
			if err != nil {
				unread = err
				break
			}
			if x.Type != towpath.EvidenceSignature && x.Type != towpath.EvidenceProvenance || !x.Verified() {
				continue
			}
			if j == now {
				return "", nil
			}
			did = true
		}
	}
	switch {
	case did:
		return "only the key " + string(revoked.Name) + " signed it", nil
	case unread != nil:
		why, _ := towpath.PublicMessage(unread)
		return "nobody can tell whether only the key " + string(revoked.Name) + " signed it (it could not be looked at: " + why + ")", nil
	}
	return "", nil
}
