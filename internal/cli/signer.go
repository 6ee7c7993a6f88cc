package cli

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// warnUnbelieved says when what a key signs counts in no environment of a
// project, and what to do. That the server can't tell is no error: the release is
// published, and the gates say so too.
func (s *session) warnUnbelieved(ctx context.Context, c *client.Client, p towpath.ProjectName, b Built) {
	if b.SignedBy == "" {
		return
	}
	keys, err := c.TrustedKeys(ctx, p, "")
	if err != nil {
		return
	}
	why, hint := s.unbelieved(p, b, keys)
	if why == "" {
		return
	}
	s.say("%s the gate `signed` of no environment of %s counts this signature: %s", s.style.warn("warning:"), p, why)
	s.say("%s %s", s.style.note("hint:"), hint)
}

// unbelieved says why no environment believes that a key signed a release, and
// what to do; nothing when one does. A key may have several records, of
// environments of their own.
func (s *session) unbelieved(p towpath.ProjectName, b Built, keys []towpath.TrustedKey) (why, hint string) {
	const again = "build it again with a key that is trusted"
	now, id := s.apps.Now(), b.SignedBy
	if !b.Until.IsZero() && now.After(b.Until) {
		return "the certificate of " + b.Certified + " ended " + at(b.Until) + ", before the server had the release", "sign it once more: `cosign sign`, or build it again"
	}
	for _, k := range keys {
		if k.ID != id {
			continue
		}
		switch {
		case k.Revoked != nil:
			why, hint = "the key "+string(k.Name)+" was revoked: "+k.Revoked.Reason, again+"; `towpath key generate` makes one, `towpath trust add` trusts it"
		case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
			why, hint = "the key "+string(k.Name)+" expired "+at(k.NotAfter), again+"; `towpath trust list` shows them"
		case !k.NotBefore.IsZero() && now.Before(k.NotBefore):
			why, hint = "the key "+string(k.Name)+" counts only from "+at(k.NotBefore)+" on", again+" now, or with this one then; `towpath trust list` shows them"
		case !slices.Contains(k.Types, towpath.EvidenceSignature):
			why, hint = "the key "+string(k.Name)+" may sign only "+join(k.Types), again+" for signatures; `towpath trust list` shows them"
		default:
			return "", ""
		}
	}
	if why == "" {
		if b.Certified != "" {
			return b.Certified + " is not trusted", "an admin trusts it with `towpath trust add NAME --issuer … --subject … --authority … -p " + string(p) + "`; until then it proves nothing"
		}
		why = "the key " + id + " is not trusted"
		hint = "an admin trusts it with `towpath trust add NAME --key FILE.pub -p " + string(p) + "`; until then it proves nothing"
	}
	return why, hint
}
