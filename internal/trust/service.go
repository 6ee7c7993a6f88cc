package trust

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// Work kinds of the loops that look for what only a revoked key signed, and for
// what scanners found in what runs.
const (
	WorkRevocation = "revocation" // key: the name of the trusted key
	WorkSigners    = "signers"    // key: project/digest of a release
	WorkFindings   = "findings"   // likewise: look whether it has findings that nobody was told of
)

// maxKeys bounds how many keys are kept, the revoked ones among them.
const maxKeys = 1000

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what trust reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	Enqueue(ctx context.Context, kind, key string, due time.Time) error
	// WakePromotions has every promotion of a project that has not ended judged
	// again; of all projects when it is empty.
	WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error

	InsertTrustedKey(ctx context.Context, k towpath.TrustedKey) error // conflict: the name is taken
	LockTrustedKey(ctx context.Context, name towpath.KeyName) (towpath.TrustedKey, error)
	SaveTrustedKey(ctx context.Context, k towpath.TrustedKey) error
	TrustedKeys(ctx context.Context) ([]towpath.TrustedKey, error) // all of them, by name

	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)
	Projects(ctx context.Context) ([]towpath.Project, error)
	Environment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error)
	// FlaggedFindings are those of a release of which an environment was told.
	FlaggedFindings(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, d towpath.Digest) (Flagged, error)
	SaveFlaggedFindings(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, d towpath.Digest, f Flagged) error
	Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	Whole(ctx context.Context, p towpath.ProjectName) ([]towpath.Release, error) // those that were not collected
	Release(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (r towpath.Release, content towpath.Digest, err error)
	Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error) // nil: it is not
	// LiftedQuarantines are the causes of those of a release that were lifted.
	LiftedQuarantines(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]string, error)
	Referrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) ([]towpath.Artifact, error)
}

// Quarantiner revokes a release everywhere.
type Quarantiner interface {
	// QuarantineFor leaves a release alone that is quarantined, or of which a
	// person said that the cause does not matter. What is so everywhere replaces
	// what a project said by itself.
	QuarantineFor(ctx context.Context, p towpath.ProjectName, q towpath.Quarantine) error
	// AffectedBy says which releases are quarantined for causes that begin in one
	// of some ways, as far as the actor may see it, and whether work is pending.
	AffectedBy(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, causes []string,
		work func(projects []towpath.ProjectName) (kind string, keys []string)) (towpath.Affected, error)
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	// Own is the server's key, which counts everywhere for what it attests.
	Own towpath.TrustedKey
	// MaxLook is how many bytes of statements one look at a release reads that none
	// has read before; 512 MiB when it is 0.
	MaxLook int64
}

// Service is the use case.
type Service struct {
	cfg         Config
	store       Store
	blobs       blob.Store
	quarantiner Quarantiner

	known *memory[seen, found] // what looks found out before
}

// New makes the service.
func New(cfg Config, store Store, blobs blob.Store, q Quarantiner) *Service {
	cfg.MaxLook = cmp.Or(cfg.MaxLook, maxLook)
	return &Service{cfg: cfg, store: store, blobs: blobs, quarantiner: q, known: newMemory[seen, found](maxRemembered)}
}

// AddRequest asks for a key to be trusted.
type AddRequest struct {
	Name        towpath.KeyName
	PublicKey   string                  // PEM
	Project     towpath.ProjectName     // empty: every project
	Environment towpath.EnvironmentName // empty: every environment
	Types       []towpath.EvidenceType  // empty: signature, provenance and sbom
	NotBefore   time.Time
	NotAfter    time.Time
}

var namePattern = regexp.MustCompile(towpath.NamePattern)

// Add trusts a key from now on. Names are never used twice, also not after a
// revocation: rules of environments mean keys by name.
func (s *Service) Add(ctx context.Context, actor towpath.Actor, r AddRequest) (towpath.TrustedKey, error) {
	if err := access.Check(actor, access.TrustManage, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return towpath.TrustedKey{}, err
	}
	k, err := s.read(r, actor)
	if err != nil {
		return k, err
	}
	ev := towpath.NewEvent(k.AddedAt, string(actor.Account), "key.trusted")
	ev.Project, ev.Environment, ev.Subject, ev.RequestID = k.Project, k.Environment, string(k.Name), actor.RequestID
	ev.Reason = k.ID + certifies(k) + " may sign " + joinTypes(k.Types)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := exists(ctx, tx, k); err != nil {
			return err
		}
		all, err := tx.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		if err := fits(k, all); err != nil {
			return err
		}
		if err := tx.InsertTrustedKey(ctx, k); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return tx.WakePromotions(ctx, k.Project, k.AddedAt)
	})
	return k, err
}

// read makes a key of a request.
func (s *Service) read(r AddRequest, actor towpath.Actor) (towpath.TrustedKey, error) {
	const op = "trust.add"
	var none towpath.TrustedKey
	if !namePattern.MatchString(string(r.Name)) {
		return none, towpath.E(towpath.KindInvalid, op, "%q is no name for a key", r.Name).
			WithHint("use lower-case letters, digits and hyphens, starting with a letter: builder-2026")
	}
	if r.Name == s.cfg.Own.Name {
		return none, towpath.E(towpath.KindInvalid, op, "%q is the server's own key", r.Name).WithHint("choose another name")
	}
	if r.Environment != "" && r.Project == "" {
		return none, towpath.E(towpath.KindInvalid, op, "an environment belongs to a project, and none is named").
			WithHint("give the project too, or trust the key everywhere")
	}
	id, pem, err := signing.ReadTrusted([]byte(r.PublicKey)) // one form, whatever came around it
	if err != nil {
		return none, err
	}
	types := r.Types
	if len(types) == 0 {
		types = []towpath.EvidenceType{towpath.EvidenceSignature, towpath.EvidenceProvenance, towpath.EvidenceSBOM}
	}
	types = slices.Clone(types)
	slices.Sort(types)
	k := towpath.TrustedKey{
		Name: r.Name, ID: string(id), PublicKey: string(pem), Project: r.Project, Environment: r.Environment,
		Types: slices.Compact(types), NotBefore: r.NotBefore, NotAfter: r.NotAfter, AddedBy: actor.Account, AddedAt: s.cfg.Now(),
	}
	for _, t := range k.Types {
		if !slices.Contains(towpath.EvidenceTypes(), t) && !strings.Contains(string(t), ":") {
			return none, towpath.E(towpath.KindInvalid, op, "there is no type of evidence %q", t).
				WithHint("one of %s, or a predicate type such as https://slsa.dev/provenance/v1", joinTypes(towpath.EvidenceTypes()))
		}
	}
	_, err = signing.NewVerifier(trustOf([]towpath.TrustedKey{k}))
	return k, err
}

// exists makes sure that what a key is for is there: a project that is misspelt
// would trust it in nothing.
func exists(ctx context.Context, tx Tx, k towpath.TrustedKey) error {
	if k.Project != "" {
		if _, err := tx.Project(ctx, k.Project); err != nil {
			return err
		}
	}
	if k.Environment == "" {
		return nil
	}
	_, err := tx.Environment(ctx, k.Project, k.Environment)
	return err
}

// fits makes sure that a key has one record in every environment, and an identity one
// for each authority: as keys follow one another, authorities do, and there is no
// other identity to go on with.
func fits(k towpath.TrustedKey, all []towpath.TrustedKey) error {
	if len(all) >= maxKeys {
		return towpath.E(towpath.KindExhausted, "trust.add", "there are %d keys already", len(all))
	}
	for _, old := range all {
		everywhere := old.Revoked != nil && old.Revoked.Everywhere
		if old.ID != k.ID || !everywhere && !old.Overlaps(k) {
			continue
		}
		what, instead := "key", "make another key: towpath key generate"
		if _, ok, _ := signing.ReadIdentity([]byte(k.PublicKey)); ok {
			if old.Revoked == nil && old.PublicKey != k.PublicKey {
				continue
			}
			what, instead = "identity", "have another subject sign, such as a workflow of another name, and trust that: a revocation is not taken back"
		}
		e := towpath.E(towpath.KindConflict, "trust.add", "this %s is there already, as %s", what, old.Name).On(string(old.Name))
		if old.Revoked != nil {
			e.Message = fmt.Sprintf("this %s was revoked, as %s: %s", what, old.Name, old.Revoked.Reason)
			return e.WithHint("%s", instead)
		}
		return e.WithHint("`towpath trust list` shows what it may sign, and where")
	}
	return nil
}

// List lists keys: those that count in a project, in an environment of it, or
// with neither all that the actor may see; the server's own is the last.
func (s *Service) List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.TrustedKey, error) {
	if err := access.Check(actor, access.TrustRead, access.Subject{Project: p, Environment: e}); err != nil {
		return nil, err
	}
	every, in := access.Projects(actor, access.TrustRead)
	var out []towpath.TrustedKey
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.TrustedKeys(ctx)
		out = slices.DeleteFunc(all, func(k towpath.TrustedKey) bool {
			switch {
			case k.Project != "" && !every && !slices.Contains(in, k.Project):
				return true
			case p != "" && k.Project != "" && k.Project != p:
				return true
			}
			return e != "" && k.Environment != "" && k.Environment != e
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return append(out, s.cfg.Own), nil
}

// Expire says until when signatures of a key count: of those that the ledger
// took before, nothing changes. It is how keys are rotated.
func (s *Service) Expire(ctx context.Context, actor towpath.Actor, name towpath.KeyName, at time.Time) (towpath.TrustedKey, error) {
	return s.change(ctx, actor, name, "key.expires", at.UTC().Format(time.RFC3339), func(k *towpath.TrustedKey, _ time.Time) error {
		switch {
		case at.IsZero():
			return towpath.E(towpath.KindInvalid, "trust.expire", "there is no time").WithHint("say when, as in 2027-01-31T00:00:00Z")
		case !k.NotBefore.IsZero() && !k.NotBefore.Before(at):
			return towpath.E(towpath.KindInvalid, "trust.expire", "the key is valid from %s on", k.NotBefore.UTC().Format(time.RFC3339)).
				WithHint("choose a later time, or revoke it: towpath trust revoke %s", name)
		}
		k.NotAfter = at
		return nil
	})
}

// Revoke makes everything that a key ever signed worthless, and has what only
// it signed quarantined: where it is trusted under this name, or everywhere, under
// whatever names, and for ever.
func (s *Service) Revoke(ctx context.Context, actor towpath.Actor, name towpath.KeyName, reason string, everywhere bool) (towpath.TrustedKey, error) {
	if reason == "" {
		return towpath.TrustedKey{}, towpath.E(towpath.KindInvalid, "trust.revoke", "a revocation needs a reason").
			WithHint("say why with --reason: it stands on everything that the key signed")
	}
	if everywhere {
		return s.revokeEverywhere(ctx, actor, name, reason)
	}
	return s.change(ctx, actor, name, "key.revoked", reason, func(k *towpath.TrustedKey, now time.Time) error {
		k.Revoked = &towpath.KeyRevocation{Reason: reason, By: actor.Account, At: now}
		return nil
	})
}

// change changes a key that was not revoked. What its signatures are worth is
// looked at again everywhere.
func (s *Service) change(ctx context.Context, actor towpath.Actor, name towpath.KeyName, action, reason string, f func(*towpath.TrustedKey, time.Time) error) (towpath.TrustedKey, error) {
	now := s.cfg.Now()
	var out towpath.TrustedKey
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		k, err := tx.LockTrustedKey(ctx, name)
		if err != nil {
			return err
		}
		if err := access.Check(actor, access.TrustManage, access.Subject{Project: k.Project, Environment: k.Environment}); err != nil {
			return err
		}
		if k.Revoked != nil {
			return towpath.E(towpath.KindConflict, "trust.change", "the key %s was revoked by %s: %s", name, k.Revoked.By, k.Revoked.Reason).On(string(name)).
				WithHint("trust another key: a revocation is not taken back")
		}
		if err := f(&k, now); err != nil {
			return err
		}
		out = k
		return changed(ctx, tx, actor, k, action, reason, now)
	})
	return out, err
}

// changed writes a key that was changed, and has looked at again what its
// signatures are worth.
func changed(ctx context.Context, tx Tx, actor towpath.Actor, k towpath.TrustedKey, action, reason string, now time.Time) error {
	if err := tx.SaveTrustedKey(ctx, k); err != nil {
		return err
	}
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Reason, ev.RequestID = k.Project, k.Environment, string(k.Name), reason, actor.RequestID
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	if err := tx.WakePromotions(ctx, k.Project, now); err != nil {
		return err
	}
	if k.Revoked == nil {
		return nil
	}
	return tx.Enqueue(ctx, WorkRevocation, string(k.Name), now)
}

// trustOf is what package signing believes, of records.
func trustOf(keys []towpath.TrustedKey) signing.Trust {
	var out signing.Trust
	for _, k := range keys {
		t := signing.TrustedKey{Name: string(k.Name), PublicKey: k.PublicKey, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
		for _, e := range k.Types {
			t.Types = append(t.Types, evidence.URI(e))
		}
		if k.Revoked != nil {
			t.Revoked = &signing.Revocation{Reason: k.Revoked.Reason, At: k.Revoked.At}
		}
		out.Keys = append(out.Keys, t)
	}
	return out
}

// certifies says which identity an ID stands for, and by whose certificates; empty of a
// key. A key's ID says all that is trusted, an identity's neither of them.
func certifies(k towpath.TrustedKey) string {
	i, ok, err := signing.ReadIdentity([]byte(k.PublicKey))
	if !ok || err != nil {
		return ""
	}
	return fmt.Sprintf(", which is %s (%s) by the authority %s,", i.Subject, i.Issuer, towpath.DigestOf([]byte(i.Authority)))
}

func joinTypes(types []towpath.EvidenceType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}
