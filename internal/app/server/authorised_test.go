package server

import (
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_IssuesWhatAgentsCheck: agents compare the digest of a spec and the
// plans that an approval names, so the server has to issue both.
func TestServer_IssuesWhatAgentsCheck(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one <&> \u2028")
	h.runs("staging", "1.0.0")
	key, err := note.NewVerifier(h.s.PublicKey())
	must(t, 0, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	compared := 0
	for _, op := range h.ops {
		d, err := op.Spec.Digest()
		must(t, 0, err)
		if d != op.SpecDigest {
			t.Errorf("%s: its spec has the digest %s and it says %s", op.Verb, d, op.SpecDigest)
		}
		if op.Verb != towpath.VerbPrepare {
			continue
		}
		auth, err := agentrpc.VerifyAuthorisation(op.Spec.Authorisation, key)
		must(t, 0, err)
		if len(auth.Changes) != 1 {
			t.Fatalf("%s: the approval names %+v", op.ID, auth.Changes)
		}
		c := auth.Changes[0]
		sum := towpath.PlanOf(auth.Previous, []towpath.ComponentPlan{{Component: c.Component, Hash: c.Hash}}, time.Time{}).Hash
		if sum != auth.PlanHash || c.Component != op.Target.Component || c.From != op.Spec.Previous || c.To != op.Spec.Revision {
			t.Errorf("%+v does not agree with its approval %+v", op, auth)
		}
		compared++
	}
	if compared < 2 {
		t.Errorf("compared only %d operations", compared)
	}
}
