package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// shownRefusals is how many bundles are named that none of the user's keys
// signed as it should be.
const shownRefusals = 5

// refusals are such bundles, each with the reason.
type refusals []refusal

type refusal struct {
	bundle towpath.Digest
	err    error
}

// words say why each bundle proves nothing. What one of the user's keys signed, or
// seems to have signed, comes before the bundles of others.
func (r refusals) words() (out []string) {
	sorted := slices.Clone(r)
	others := func(x refusal) bool { return signing.ReasonOf(x.err) == signing.ReasonUnknownKey }
	slices.SortStableFunc(sorted, func(a, b refusal) int {
		switch {
		case others(a) == others(b):
			return 0
		case others(a):
			return 1
		}
		return -1
	})
	for i, x := range sorted {
		if i == shownRefusals {
			return append(out, fmt.Sprintf("%d more bundles do not hold either", len(sorted)-i))
		}
		message, _ := towpath.PublicMessage(x.err)
		text := string(x.bundle) + ": " + strings.TrimSuffix(message, ".")
		if reason := signing.ReasonOf(x.err); reason != "" {
			text += " (" + string(reason) + ")"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		out = append(out, "no signature is attached to it")
	}
	return out
}

// signedHere looks for a signature by one of the user's own keys.
func (v *verifiedRelease) signedHere(ctx context.Context, c *client.Client, own *signing.Verifier) error {
	var refused refusals
	for _, a := range v.Statements {
		if a.Type != towpath.EvidenceSignature || a.Bundle == "" {
			continue
		}
		b, err := v.read(ctx, c, a.Bundle, false, signing.MaxBundle)
		if err != nil {
			return err
		}
		if b == nil {
			continue // that is a problem already
		}
		got, err := own.Verify(b, signing.Requirement{Type: evidence.TypeSignature, Subject: v.Release, At: a.Recorded})
		if err == nil {
			v.SignedBy = got.KeyName
			return nil
		}
		refused = append(refused, refusal{a.Bundle, err})
	}
	v.problem("None of the given keys signed it.")
	for _, w := range refused.words() {
		v.problem("Not signed: " + w + ".")
	}
	return nil
}
