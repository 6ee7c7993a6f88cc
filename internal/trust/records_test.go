package trust

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// TestFits: of a key there is one record in an environment, and of an identity one for
// each authority: authorities follow one another, and there is no other identity.
func TestFits(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	one, other := fulciotest.New(t, at), fulciotest.New(t, at)
	record := func(name towpath.KeyName, env towpath.EnvironmentName, id, text string) towpath.TrustedKey {
		return towpath.TrustedKey{Name: name, ID: id, PublicKey: text, Project: "shop", Environment: env}
	}
	identity := func(name towpath.KeyName, env towpath.EnvironmentName, a *fulciotest.Authority) towpath.TrustedKey {
		t.Helper()
		text, err := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}.Encode()
		check(t, err)
		id, text, err := signing.ReadTrusted(text)
		check(t, err)
		return record(name, env, string(id), string(text))
	}
	revoked := func(k towpath.TrustedKey, everywhere bool) towpath.TrustedKey {
		k.Revoked = &towpath.KeyRevocation{Reason: "it was taken over", Everywhere: everywhere}
		return k
	}
	for _, tt := range []struct {
		name string
		have towpath.TrustedKey
		add  towpath.TrustedKey
		says string // empty: it fits
	}{
		{"a key in another environment", record("a", "dev", "k", ""), record("b", "prod", "k", ""), ""},
		{"a key that is there", record("a", "dev", "k", ""), record("b", "", "k", ""), "this key is there already, as a"},
		{"a key that was revoked", revoked(record("a", "dev", "k", ""), false), record("b", "", "k", ""), "make another key"},
		{"an identity that is there", identity("a", "", one), identity("b", "dev", one), "this identity is there already, as a"},
		{"an identity by another authority", identity("a", "", one), identity("b", "", other), ""},
		{"one that was revoked, by another authority", revoked(identity("a", "", one), false), identity("b", "", other), "have another subject sign"},
		{"one that was revoked everywhere", revoked(identity("a", "dev", one), true), identity("b", "prod", other), "have another subject sign"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e *towpath.Error
			switch err := fits(tt.add, []towpath.TrustedKey{tt.have}); {
			case tt.says == "":
				check(t, err)
			case !errors.As(err, &e) || e.Kind != towpath.KindConflict || !strings.Contains(e.Message+"; "+e.Hint, tt.says):
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
}

// TestLook_SeveralRecords: a key that has a record of its own in each of several
// environments counts in the project when one of them lets it, whatever the others
// are called.
func TestLook_SeveralRecords(t *testing.T) {
	store, err := blob.NewDisk(blob.DiskConfig{Dir: t.TempDir()})
	check(t, err)
	put := func(b []byte) towpath.Digest {
		t.Helper()
		_, _, err := store.Put(t.Context(), towpath.DigestOf(b), bytes.NewReader(b), int64(len(b)))
		check(t, err)
		return towpath.DigestOf(b)
	}
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	release := towpath.DigestOf([]byte("a release"))
	signedBy := func(s signing.Signer) towpath.Artifact {
		t.Helper()
		statement, err := evidence.MakeSignature(release)
		check(t, err)
		bundle, err := signing.Sign(t.Context(), s, statement)
		check(t, err)
		a, err := oci.AttachBundle(oci.Blob{Digest: release, Size: 9}, evidence.TypeSignature, bundle, at)
		check(t, err)
		put(bundle)
		return towpath.Artifact{Digest: put(a.Manifest), Pushed: at}
	}
	record := func(name towpath.KeyName, env towpath.EnvironmentName, text []byte) towpath.TrustedKey {
		t.Helper()
		id, text, err := signing.ReadTrusted(text)
		check(t, err)
		return towpath.TrustedKey{
			Name: name, ID: string(id), PublicKey: string(text), Project: "shop", Environment: env, Types: []towpath.EvidenceType{towpath.EvidenceSignature},
		}
	}
	key := func() (*signing.Key, []byte) {
		t.Helper()
		k, err := signing.Generate()
		check(t, err)
		text, err := signing.EncodePublic(k.Public())
		check(t, err)
		return k, text
	}
	stolen, stolenText := key()
	builder, builderText := key()
	revoked := record("stolen", "", stolenText)
	revoked.Revoked = &towpath.KeyRevocation{Reason: "stolen", By: "ana", At: at}
	one, other := fulciotest.New(t, at), fulciotest.New(t, at)
	identity := func(a *fulciotest.Authority) []byte {
		t.Helper()
		text, err := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}.Encode()
		check(t, err)
		return text
	}
	scans, expired := record("a", "dev", builderText), record("a", "dev", builderText)
	scans.Types, expired.NotAfter = []towpath.EvidenceType{towpath.EvidenceScan}, at.Add(-time.Hour)
	later := record("b", "prod", builderText)
	later.NotBefore = at.Add(time.Hour)
	gone := record("a", "dev", builderText)
	gone.Revoked = revoked.Revoked

	for _, tt := range []struct {
		name   string
		signer signing.Signer
		keys   []towpath.TrustedKey
		key    towpath.KeyName // that it counts by; empty: by none
		// quarantined says whether the revocation of the first record reaches it; empty:
		// that is not asked.
		quarantined string
	}{
		{"the first lets it", builder, []towpath.TrustedKey{record("a", "dev", builderText), record("b", "prod", builderText)}, "a", ""},
		{"the first is for scans", builder, []towpath.TrustedKey{scans, record("b", "prod", builderText)}, "b", ""},
		{"the first expired", builder, []towpath.TrustedKey{expired, record("b", "prod", builderText)}, "b", ""},
		{"the first has an identity of another authority", other.Signer(), []towpath.TrustedKey{record("a", "dev", identity(one)), record("b", "prod", identity(other))}, "b", "no"},
		{"its authority was followed by another", other.Signer(), []towpath.TrustedKey{record("a", "", identity(one)), record("b", "", identity(other))}, "b", "yes"},
		{"none lets it", builder, []towpath.TrustedKey{scans, later}, "", ""},
		{"one is revoked", builder, []towpath.TrustedKey{gone, record("b", "prod", builderText)}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := append(tt.keys, revoked)
			a := signedBy(tt.signer)
			l, err := New(Config{}, nil, store, nil).look("shop", release, all)
			check(t, err)
			j, err := newJudge(all)
			check(t, err)
			for range 2 { // also when it was looked at before
				x, err := l.verify(t.Context(), j, a)
				check(t, err)
				if x.Key != tt.key || x.Verified() != (tt.key != "") {
					t.Errorf("it counts by %q, not %q: %s", x.Key, tt.key, x.Refused)
				}
			}
			if tt.quarantined != "" {
				gone := tt.keys[0]
				gone.Revoked = revoked.Revoked
				why, err := l.onlySignedBy(t.Context(), "shop", gone, append([]towpath.TrustedKey{gone}, all[1:]...), []towpath.Artifact{a}, nil)
				if check(t, err); (why != "") != (tt.quarantined == "yes") {
					t.Errorf("when the first is revoked, what it signed is quarantined: %q", why)
				}
			}
			why, err := l.onlySignedBy(t.Context(), "shop", revoked, all, []towpath.Artifact{signedBy(stolen), a}, nil)
			if check(t, err); (why != "") != (tt.key == "") {
				t.Errorf("what a revoked key signed besides is to be quarantined: %q", why)
			}
		})
	}
}
