package cli_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestReleaseBuild_unbelieved: who signs with a key that counts nowhere hears
// that when it is published, not when a gate stays closed.
func TestReleaseBuild_unbelieved(t *testing.T) {
	signatures := []towpath.EvidenceType{towpath.EvidenceProvenance, towpath.EvidenceSignature}
	mine := towpath.TrustedKey{Name: "builder", ID: "mine=", Types: signatures}
	other := towpath.TrustedKey{Name: "other", ID: "other=", Types: signatures}
	changed := func(change func(k *towpath.TrustedKey)) towpath.TrustedKey { k := mine; change(&k); return k }
	revoked := changed(func(k *towpath.TrustedKey) {
		k.Environment, k.Revoked = "prod", &towpath.KeyRevocation{Reason: "the laptop is gone", By: "ana"}
	})
	for _, tt := range []struct {
		name      string
		keys      []towpath.TrustedKey
		unsigned  bool
		until     time.Time // when the certificate ends; zero: a key signed
		says      string    // empty: nothing
		whatToDo  string
		unanswers bool // the server can't say
	}{
		{name: "nothing of a key that is trusted", keys: []towpath.TrustedKey{other, mine}},
		{name: "nothing of a key that is trusted in one environment", keys: []towpath.TrustedKey{
			revoked, changed(func(k *towpath.TrustedKey) { k.Name, k.Environment = "builder-dev", "dev" }),
		}},
		{name: "nothing of a release that nobody signed", unsigned: true},
		{name: "nothing when the server can't be asked", unanswers: true},
		{name: "that nobody trusts it", keys: []towpath.TrustedKey{other}, says: "the key mine= is not trusted", whatToDo: "towpath trust add NAME --key FILE.pub -p shop"},
		{name: "nothing of an identity that is trusted", keys: []towpath.TrustedKey{mine}, until: noon()},
		{name: "that nobody trusts the identity", keys: []towpath.TrustedKey{other}, until: noon(), says: "ana@example.com (https://ci.example.com) is not trusted", whatToDo: "towpath trust add NAME --issuer … --subject … --authority … -p shop"},
		{name: "that the certificate ended on the way", keys: []towpath.TrustedKey{mine}, until: noon().Add(-time.Second), says: "the certificate of ana@example.com (https://ci.example.com) ended 2026-11-20", whatToDo: "sign it once more"},
		{name: "that it was revoked", keys: []towpath.TrustedKey{other, revoked}, says: "the key builder was revoked: the laptop is gone", whatToDo: "build it again with a key that is trusted"},
		{name: "that it expired", keys: []towpath.TrustedKey{changed(func(k *towpath.TrustedKey) { k.NotAfter = noon() })}, says: "the key builder expired 2026-11-20", whatToDo: "towpath trust list"},
		{name: "that it is too early", keys: []towpath.TrustedKey{changed(func(k *towpath.TrustedKey) { k.NotBefore = noon().Add(time.Hour) })}, says: "the key builder counts only from 2026-11-20", whatToDo: "towpath trust list"},
		{name: "that it may not sign releases", keys: []towpath.TrustedKey{changed(func(k *towpath.TrustedKey) { k.Types = signatures[:1] })}, says: "the key builder may sign only provenance", whatToDo: "for signatures"},
	} {
		t.Run("says "+tt.name, func(t *testing.T) {
			w := apitest.NewWorld()
			w.Keys = tt.keys
			w.Fail = func(_ context.Context, m string) error {
				if m == "trust.List" && tt.unanswers {
					return errors.New("it is broken")
				}
				return nil
			}
			sh, closed := newShell(t, apitest.New(t, w)), false
			build := builder(&closed, nil)
			sh.apps.Build = func(ctx context.Context, r cli.BuildRequest, p cli.Progress) (cli.Built, error) {
				b, err := build(ctx, r, p)
				if b.SignedBy = "mine="; tt.unsigned {
					b.SignedBy = ""
				}
				if b.Until = tt.until; !b.Until.IsZero() {
					b.Certified = "ana@example.com (https://ci.example.com)"
				}
				return b, err
			}
			got := sh.run("release", "build")
			said := strings.Contains(got.stderr, "warning: the gate `signed` of no environment of shop counts this signature: "+tt.says)
			if got.code != cli.ExitOK || w.Called("releases.Publish") != 1 || said != (tt.says != "") || !strings.Contains(got.stderr, tt.whatToDo) {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
			if strings.Contains(got.stdout, "warning") {
				t.Errorf("progress among the data: %s", got.stdout)
			}
		})
	}
}
