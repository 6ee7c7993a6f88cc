package promote

import (
	"cmp"
	"context"
	"slices"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// proof is what an agent verifies again before it runs a release.
type proof struct {
	rules      *towpath.GateRules // that ask for evidence
	evidence   []towpath.Evidence // what the gates rely on
	signatures []towpath.Digest   // bundles of signatures that an agent may know the key of
	passed     *gate.Passed       // what the ledger says of bad findings; no agent needs it
}

// maxProof bounds the signatures that an authorisation names.
const maxProof = 32

// proof puts together what an authorisation says of the release's evidence.
func (s *Service) proof(ctx context.Context, in gate.Input) (proof, error) {
	gates := in.Environment.Rules.Gates
	out := proof{signatures: signatures(in.Attestations), rules: gates.Evidence(), passed: gate.PassedWith(in)}
	relied := gate.Relied(gates, in.Candidate.Commit, in.Attestations)
	if len(relied) == 0 {
		return out, nil
	}
	keys, err := s.said.PublicKeys(ctx, in.Promotion.Project, in.Promotion.Environment)
	if err != nil {
		return out, err
	}
	for _, a := range relied {
		out.evidence = append(out.evidence, towpath.Evidence{
			Type: evidence.URI(a.Type), Bundle: a.Bundle, PublicKey: keys[a.Key], Key: a.Key, Recorded: a.Recorded, First: a.First,
		})
	}
	return out, nil
}

// signatures are the bundles of signatures for agents that demand one of their
// own keys. Whoever may push can attach any number that nobody wants: what
// verifies comes first, one of each key, then what an agent may know the key of
// and this server does not, the oldest first, for the build's own is there before
// anybody can see the release.
func signatures(all []towpath.Attestation) []towpath.Digest {
	all = slices.DeleteFunc(slices.Clone(all), func(a towpath.Attestation) bool {
		return a.Type != towpath.EvidenceSignature || a.Bundle == ""
	})
	slices.SortStableFunc(all, func(a, b towpath.Attestation) int {
		return cmp.Or(cmp.Compare(worth(a), worth(b)), a.Recorded.Compare(b.Recorded))
	})
	var out []towpath.Digest
	keys := map[string]bool{}
	for _, a := range all {
		if len(out) == maxProof {
			break
		}
		if slices.Contains(out, a.Bundle) || a.Verified() && keys[a.KeyID] {
			continue
		}
		keys[a.KeyID] = keys[a.KeyID] || a.Verified()
		out = append(out, a.Bundle)
	}
	return out
}

// worth orders signatures, the best first, by what an agent may make of them.
func worth(a towpath.Attestation) int {
	if a.Verified() {
		return 0
	}
	switch signing.Reason(a.Rule) {
	case signing.ReasonUnknownKey, signing.ReasonRevoked, signing.ReasonExpired, signing.ReasonNotYetValid, signing.ReasonNotAllowed:
		return 1 // that is about this server's keys
	}
	return 2
}
