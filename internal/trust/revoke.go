package trust

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Revocations is the loop over revoked keys.
type Revocations struct{ *Service }

// Kind is the kind of work of the loop.
func (Revocations) Kind() string { return WorkRevocation }

// Reconcile quarantines every release that only a revoked key signed. It may
// begin again at any time: what is quarantined is left alone.
func (l Revocations) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	revoked, others, projects, err := l.revoked(ctx, towpath.KeyName(key))
	if err != nil || revoked.Revoked == nil {
		return reconcile.Done(), err
	}
	for _, p := range projects {
		if revoked.Project != "" && revoked.Project != p.Name {
			continue
		}
		if err := l.quarantine(ctx, p.Name, revoked, others); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Done(), nil
}

// revoked reads a key, the others, and the projects.
func (l Revocations) revoked(ctx context.Context, name towpath.KeyName) (k towpath.TrustedKey, others []towpath.TrustedKey, projects []towpath.Project, err error) {
	err = l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(x towpath.TrustedKey) bool { return x.Name == name })
		if i < 0 {
			return nil
		}
		k = all[i]
		others = slices.Delete(all, i, i+1)
		projects, err = tx.Projects(ctx)
		return err
	})
	return k, others, projects, err
}

// quarantine looks at every release of a project.
func (l Revocations) quarantine(ctx context.Context, p towpath.ProjectName, revoked towpath.TrustedKey, others []towpath.TrustedKey) error {
	var releases []towpath.Release
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		releases, err = tx.Whole(ctx, p)
		return err
	})
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(others), func(k towpath.TrustedKey) bool { return k.Project != "" && k.Project != p || k.ID == revoked.ID })
	was := revoked
	was.Revoked = nil // what did it sign, when it was still trusted?
	before, err := newJudge([]towpath.TrustedKey{was})
	if err != nil {
		return err
	}
	now, err := newJudge(rest)
	if err != nil {
		return err
	}
	for _, r := range releases {
		only, err := l.onlySignedBy(ctx, p, r.Digest, before, now)
		if err != nil {
			return err
		}
		if !only {
			continue
		}
		_, err = l.quarantiner.Quarantine(ctx, towpath.System(), p, string(r.Digest),
			"only the key "+string(revoked.Name)+" signed it, which was revoked by "+string(revoked.Revoked.By)+": "+revoked.Revoked.Reason)
		if err != nil {
			return err
		}
	}
	return nil
}

// onlySignedBy reports whether a release, not quarantined yet, has a signature
// or a provenance of the one judge's keys, and none of the other's.
func (l Revocations) onlySignedBy(ctx context.Context, p towpath.ProjectName, release towpath.Digest, before, now *judge) (bool, error) {
	var attached []towpath.Artifact
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		q, err := tx.Quarantine(ctx, p, release)
		if err != nil || q != nil {
			return err
		}
		attached, err = bundles(ctx, tx, p, release)
		return err
	})
	if err != nil {
		return false, err
	}
	did, others := false, false
	for _, a := range attached {
		for _, j := range []*judge{before, now} {
			x, err := l.verify(ctx, j, a, release)
			if err != nil {
				return false, err
			}
			if x.Type != towpath.EvidenceSignature && x.Type != towpath.EvidenceProvenance || !x.Verified() {
				continue
			}
			if j == before {
				did = true
			} else {
				others = true
			}
		}
	}
	return did && !others, nil
}
