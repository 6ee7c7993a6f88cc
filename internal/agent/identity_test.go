package agent_test

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

func identity(t *testing.T, a *fulciotest.Authority) string {
	t.Helper()
	b, err := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNewVerified: when an identity signed only a server could say, whose word an
// agent's own keys are not to depend on.
func TestNewVerified(t *testing.T) {
	if _, err := agent.NewVerified([]string{identity(t, fulciotest.New(t, time.Now()))}); towpath.KindOf(err) != towpath.KindInvalid {
		t.Errorf("an identity: %v", err)
	}
	if _, err := agent.NewVerified([]string{public(t, newKey(t))}); err != nil {
		t.Error(err)
	}
}
