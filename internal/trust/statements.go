package trust

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// Whoever may push can attach any number of statements to a release. Those that
// are verified are all told, however many others there are: else a flood of what
// proves nothing would hide them, or stop every gate. maxRefused bounds those
// that are told although they prove nothing, maxStatements how many are looked
// at, and pageStatements how many at a time.
const (
	maxRefused     = 1000
	maxStatements  = 50_000
	pageStatements = 100
)

// Statements are the signed statements that are attached to a release, each
// verified under the keys that are trusted in an environment, or with none under
// all that are trusted anywhere in the project. A statement that proves nothing is listed with the
// reason. It authorises nobody: see [Service.Evidence].
func (s *Service) Statements(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest) ([]towpath.Attestation, error) {
	var keys []towpath.TrustedKey
	var attached []towpath.Artifact
	var look *look
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		if look, err = s.look(p, release, all); err != nil {
			return err
		}
		keys = slices.DeleteFunc(all, func(k towpath.TrustedKey) bool {
			return !counts(k, p, e) && (k.Revoked == nil || !k.Revoked.Everywhere)
		})
		// A key that is revoked everywhere may have names in other projects: it is told
		// by the one that it has here.
		slices.SortStableFunc(keys, func(a, b towpath.TrustedKey) int { return first(counts(a, p, e), counts(b, p, e)) })
		keys = append(keys, s.cfg.Own)
		attached, err = bundles(ctx, tx, p, release)
		return err
	})
	if err != nil {
		return nil, err
	}
	judge, err := newJudge(keys)
	if err != nil {
		return nil, err
	}
	out := make([]towpath.Attestation, 0, min(len(attached), maxRefused))
	refused := 0
	for _, a := range attached {
		x, err := look.verify(ctx, judge, a)
		if err != nil {
			return nil, err
		}
		if !x.Verified() {
			if refused++; refused > maxRefused {
				continue
			}
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b towpath.Attestation) int { return cmp.Compare(a.Artifact, b.Artifact) })
	repeated(out)
	return out, nil
}

// repeated notes since when each statement is known. The same words by the same
// key are the same statement, whatever is around them: that somebody attached
// them once more, who need not have the key, says nothing new. Only what was
// verified counts, so that nobody makes a statement old before it is made.
func repeated(all []towpath.Attestation) {
	first := map[towpath.Words]time.Time{}
	for _, a := range all {
		w := a.Words()
		if at, ok := first[w]; a.Verified() && (!ok || a.Recorded.Before(at)) {
			first[w] = a.Recorded
		}
	}
	for i, a := range all {
		all[i].First = a.Recorded
		if a.Verified() {
			all[i].First = first[a.Words()]
		}
	}
}

// Evidence is what is said about a release, and what of it counts.
type Evidence struct {
	Project     towpath.ProjectName     `json:"project"`
	Release     towpath.Digest          `json:"release"`
	Version     string                  `json:"version"`
	Commit      towpath.CommitID        `json:"commit"`
	Environment towpath.EnvironmentName `json:"environment,omitempty"` // whose keys count; empty: those of the project in any
	// Wanted is what the environment's rules ask for; a signature without one.
	Wanted     []towpath.EvidenceType `json:"wanted"`
	Statements []towpath.Attestation  `json:"statements"`
	Quarantine *towpath.Quarantine    `json:"quarantine,omitempty"` // revoked everywhere, whatever is said
}

// Evidence is [Service.Statements] of a release by any of its names, for people.
func (s *Service) Evidence(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name string, e towpath.EnvironmentName) (Evidence, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return Evidence{}, err
	}
	var c towpath.Candidate
	var quarantine *towpath.Quarantine
	wanted := []towpath.EvidenceType{towpath.EvidenceSignature}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		if e != "" {
			env, err := tx.Environment(ctx, p, e)
			if err != nil {
				return err
			}
			wanted = append([]towpath.EvidenceType{}, env.Rules.Gates.EvidenceTypes()...)
		}
		found, err := tx.FindCandidates(ctx, p, name, towpath.MaxMeanings)
		if err != nil {
			return err
		}
		if c, err = towpath.ChooseCandidate(p, name, found); err != nil {
			return err
		}
		quarantine, err = tx.Quarantine(ctx, p, c.Release)
		return err
	})
	if err != nil {
		return Evidence{}, err
	}
	said, err := s.Statements(ctx, p, e, c.Release)
	return Evidence{
		Project: p, Release: c.Release, Version: c.Version, Commit: c.Commit, Environment: e, Wanted: wanted, Statements: said,
		Quarantine: quarantine,
	}, err
}

// PublicKeys are the keys that are trusted in an environment, in PEM by name.
func (s *Service) PublicKeys(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (map[towpath.KeyName]string, error) {
	out := map[towpath.KeyName]string{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.TrustedKeys(ctx)
		for _, k := range all {
			if counts(k, p, e) {
				out[k.Name] = k.PublicKey
			}
		}
		return err
	})
	return out, err
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func counts(k towpath.TrustedKey, p towpath.ProjectName, e towpath.EnvironmentName) bool {
	return (k.Project == "" || k.Project == p) && (e == "" || k.Environment == "" || k.Environment == e)
}

// bundles lists the manifests that attach a bundle to a release, the oldest first:
// what the build attached is there before anybody can see the release, and no flood
// pushes it out. With the error that there are too many, some of them.
func bundles(ctx context.Context, tx Tx, p towpath.ProjectName, release towpath.Digest) ([]towpath.Artifact, error) {
	out, err := listed(ctx, tx, p, release)
	slices.SortFunc(out, func(a, b towpath.Artifact) int {
		return cmp.Or(a.Pushed.Compare(b.Pushed), cmp.Compare(a.Digest, b.Digest))
	})
	return out, err
}

func listed(ctx context.Context, tx Tx, p towpath.ProjectName, release towpath.Digest) ([]towpath.Artifact, error) {
	var out []towpath.Artifact
	after := towpath.Digest("")
	for {
		page, err := tx.Referrers(ctx, towpath.ReleaseRepository(p), release, oci.MediaTypeBundle, after, pageStatements)
		if err != nil {
			return nil, err
		}
		for _, a := range page { // only what is needed: they may be many
			out = append(out, towpath.Artifact{Digest: a.Digest, Pushed: a.Pushed})
		}
		if len(out) > maxStatements {
			return out[:maxStatements], towpath.E(towpath.KindExhausted, "trust.statements", "more than %d statements are attached to the release", maxStatements).
				On(string(release)).WithHint("delete those that are not needed in the registry")
		}
		if len(page) < pageStatements {
			return out, nil
		}
		after = page[len(page)-1].Digest
	}
}

// judge verifies under some keys.
type judge struct {
	nobody  *signing.Verifier // says of any other key that it is not trusted
	records map[signing.KeyID][]record
}

// record is what one name of a key lets it say.
type record struct {
	name     towpath.KeyName
	verifier *signing.Verifier
}

func newJudge(keys []towpath.TrustedKey) (*judge, error) {
	nobody, err := signing.NewVerifier(signing.Trust{})
	if err != nil {
		return nil, err
	}
	j := &judge{nobody: nobody, records: map[signing.KeyID][]record{}}
	for _, k := range dedupe(keys) {
		v, err := signing.NewVerifier(trustOf([]towpath.TrustedKey{k}))
		if err != nil {
			return nil, err
		}
		id := signing.KeyID(k.ID)
		j.records[id] = append(j.records[id], record{k.Name, v})
	}
	return j, nil
}

// of are the records of a key, or nobody's.
func (j *judge) of(id signing.KeyID) []record {
	if all := j.records[id]; len(all) > 0 {
		return all
	}
	return []record{{"", j.nobody}}
}

// refuse notes why a bundle proves nothing, as a part of a sentence.
func refuse(x *towpath.Attestation, err error) {
	message, _ := towpath.PublicMessage(err)
	x.Key, x.Payload, x.Hand, x.Refused, x.Rule = "", "", "", strings.TrimSuffix(message, "."), string(signing.ReasonOf(err))
	if x.Rule == "" {
		x.Rule = "malformed"
	}
}

// dedupe keeps the records of each key: in environments of its own each it may have
// several. One that was revoked anywhere counts nowhere; of those the first is kept.
func dedupe(keys []towpath.TrustedKey) []towpath.TrustedKey {
	revoked := map[string]towpath.KeyName{}
	for _, k := range keys {
		if _, ok := revoked[k.ID]; !ok && k.Revoked != nil {
			revoked[k.ID] = k.Name
		}
	}
	var out []towpath.TrustedKey
	for _, k := range keys {
		if name, ok := revoked[k.ID]; !ok || name == k.Name {
			out = append(out, k)
		}
	}
	return out
}
