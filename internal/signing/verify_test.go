package signing_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

const release = towpath.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func newKey(t testing.TB) *signing.Key {
	t.Helper()
	k, err := signing.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// trusting is a key that is trusted for signatures and provenance, unless the
// test changes it.
func trusting(t testing.TB, k *signing.Key, change ...func(*signing.TrustedKey)) signing.TrustedKey {
	t.Helper()
	public, err := signing.EncodePublic(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	trusted := signing.TrustedKey{Name: "builder", PublicKey: string(public), Types: []string{evidence.TypeSignature, evidence.TypeProvenance}}
	for _, c := range change {
		c(&trusted)
	}
	return trusted
}

func verifier(t testing.TB, keys ...signing.TrustedKey) *signing.Verifier {
	t.Helper()
	v, err := signing.NewVerifier(signing.Trust{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func signed(t testing.TB, k signing.Signer, statement []byte) []byte {
	t.Helper()
	b, err := signing.Sign(t.Context(), k, statement)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signature(t testing.TB, k signing.Signer) []byte {
	t.Helper()
	statement, err := evidence.MakeSignature(release)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, k, statement)
}

func wanted() signing.Requirement {
	return signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: noon()}
}

// changed is a bundle with something else in it.
func changed(t testing.TB, bundle []byte, change func(b, envelope map[string]any)) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	envelope, _ := b["dsseEnvelope"].(map[string]any)
	change(b, envelope)
	out, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVerifier_Verify(t *testing.T) {
	k := newKey(t)
	got, err := verifier(t, trusting(t, k)).Verify(signature(t, k), wanted())
	if err != nil {
		t.Fatal(err)
	}
	if got.Key != k.ID() || got.KeyName != "builder" || !got.Statement.About(release) || got.Statement.Type != evidence.TypeSignature {
		t.Fatalf("%+v", got)
	}
}

// TestVerifier_Verify_failsClosed breaks every rule, one at a time.
func TestVerifier_Verify_failsClosed(t *testing.T) {
	k, other := newKey(t), newKey(t)
	good := signature(t, k)
	provenance, err := evidence.Make("shop", release, evidence.TypeProvenance, map[string]any{"buildDefinition": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	dsse := func(change func(b, envelope map[string]any)) []byte { return changed(t, good, change) }
	otherPayload := func() any {
		var b struct {
			E struct {
				Payload any `json:"payload"`
			} `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(signed(t, k, provenance), &b); err != nil {
			t.Fatal(err)
		}
		return b.E.Payload
	}()
	// raw signs what is no statement, as a careless or hostile holder of the key may.
	raw := func(payload string) []byte { return rawBundle(t, k, signing.PayloadType, payload) }
	tests := []struct {
		name   string
		reason signing.Reason
		bundle []byte
		trust  func(*signing.TrustedKey)
		want   func(*signing.Requirement)
	}{
		{name: "a key that is not trusted", reason: signing.ReasonUnknownKey, bundle: signature(t, other)},
		{name: "another key that claims to be the trusted one", reason: signing.ReasonSignature, bundle: changed(t, signature(t, other), func(b, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{"hint": string(k.ID())}}
		})},
		{name: "no key named", reason: signing.ReasonUnknownKey, bundle: dsse(func(b, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{}}
		})},
		{name: "another predicate type", reason: signing.ReasonPredicate, bundle: signed(t, k, provenance)},
		{name: "an unrelated subject", reason: signing.ReasonSubject, bundle: good, want: func(r *signing.Requirement) {
			r.Subject = towpath.DigestOf([]byte("another"))
		}},
		{name: "a key that has expired", reason: signing.ReasonExpired, bundle: good, trust: func(k *signing.TrustedKey) { k.NotAfter = noon() }},
		{name: "a key that is not valid yet", reason: signing.ReasonNotYetValid, bundle: good, trust: func(k *signing.TrustedKey) { k.NotBefore = noon().Add(1) }},
		{name: "a key that was revoked later", reason: signing.ReasonRevoked, bundle: good, trust: func(k *signing.TrustedKey) {
			k.Revoked = &signing.Revocation{Reason: "the laptop was stolen", At: noon().AddDate(1, 0, 0)}
		}},
		{name: "a key that may not sign such a predicate", reason: signing.ReasonNotAllowed, bundle: good, trust: func(k *signing.TrustedKey) { k.Types = []string{evidence.TypePromotion} }},
		{name: "another payload under the signature", reason: signing.ReasonSignature, bundle: dsse(func(_, e map[string]any) { e["payload"] = otherPayload })},
		{name: "no payload", reason: signing.ReasonStatement, bundle: dsse(func(_, e map[string]any) { delete(e, "payload") })},
		{name: "a changed signature", reason: signing.ReasonSignature, bundle: dsse(func(_, e map[string]any) {
			sig := e["signatures"].([]any)[0].(map[string]any)
			sig["sig"] = strings.Repeat("A", len(sig["sig"].(string))-2) + "=="
		})},
		{name: "an empty signature", reason: signing.ReasonSignature, bundle: dsse(func(_, e map[string]any) { e["signatures"] = []any{map[string]any{}} })},
		{name: "a second signature", reason: signing.ReasonSignatures, bundle: dsse(func(_, e map[string]any) {
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
		})},
		{name: "no signature", reason: signing.ReasonSignatures, bundle: dsse(func(_, e map[string]any) { e["signatures"] = []any{} })},
		{name: "another payload type", reason: signing.ReasonPayloadType, bundle: dsse(func(_, e map[string]any) { e["payloadType"] = "text/plain" })},
		{name: "a payload that was signed as another type", reason: signing.ReasonSignature, bundle: changed(t, rawBundle(t, k, "text/plain", payloadOf(t, good)), func(_, e map[string]any) {
			e["payloadType"] = signing.PayloadType
		})},
		{name: "a signed payload that is no statement", reason: signing.ReasonStatement, bundle: raw("hello")},
		{name: "a signed statement with two predicate types", reason: signing.ReasonStatement, bundle: raw(strings.Replace(payloadOf(t, good),
			`"predicateType":`, `"predicateType":"https://example.com/other","predicateType":`, 1))},
		{name: "a certificate instead of a key", reason: signing.ReasonCertificate, bundle: dsse(func(b, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		})},
		{name: "a signature of plain bytes", reason: signing.ReasonContent, bundle: dsse(func(b, _ map[string]any) {
			delete(b, "dsseEnvelope")
			b["messageSignature"] = map[string]any{"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"}
		})},
		{name: "another version of bundles", reason: signing.ReasonMalformed, bundle: dsse(func(b, _ map[string]any) {
			b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
		})},
		{name: "an unknown member", reason: signing.ReasonMalformed, bundle: dsse(func(b, _ map[string]any) { b["more"] = 1 })},
		{name: "a bundle that is cut off", reason: signing.ReasonMalformed, bundle: good[:len(good)-1]},
		{name: "something after the bundle", reason: signing.ReasonMalformed, bundle: append(slices.Clone(good), good...)},
		{name: "nothing", reason: signing.ReasonMalformed},
		{name: "an empty envelope", reason: signing.ReasonMalformed, bundle: dsse(func(b, _ map[string]any) { b["dsseEnvelope"] = nil })},
		{name: "a huge bundle", reason: signing.ReasonTooLarge, bundle: make([]byte, signing.MaxBundle+1)},
	}
	reached := map[signing.Reason]bool{}
	for _, tt := range tests {
		t.Run("refuses "+tt.name, func(t *testing.T) {
			trust, want := trusting(t, k), wanted()
			if tt.trust != nil {
				tt.trust(&trust)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			got, err := verifier(t, trust).Verify(tt.bundle, want)
			if got != nil || towpath.KindOf(err) != towpath.KindDenied || signing.ReasonOf(err) != tt.reason {
				t.Fatalf("%+v, %v (%s, %s), want %s", got, err, towpath.KindOf(err), signing.ReasonOf(err), tt.reason)
			}
			reached[tt.reason] = true
		})
	}
	for _, r := range signing.Reasons() {
		if !reached[r] {
			t.Errorf("no test is refused for the reason %s", r)
		}
	}
	t.Run("refuses to verify without being told what must be proved", func(t *testing.T) {
		for _, want := range []signing.Requirement{
			{Subject: release, At: noon()}, {Type: evidence.TypeSignature, At: noon()}, {Type: evidence.TypeSignature, Subject: release},
		} {
			if got, err := verifier(t, trusting(t, k)).Verify(good, want); got != nil || towpath.KindOf(err) != towpath.KindInternal {
				t.Fatalf("%+v: %+v, %v", want, got, err)
			}
		}
	})
	t.Run("trusts nobody when no key is trusted", func(t *testing.T) {
		if _, err := verifier(t).Verify(good, wanted()); signing.ReasonOf(err) != signing.ReasonUnknownKey {
			t.Fatal(err)
		}
	})
}

// TestVerifier_Verify_rotation has two keys with an overlap: either is good
// while both are valid, and each alone before and after.
func TestVerifier_Verify_rotation(t *testing.T) {
	before, after := newKey(t), newKey(t)
	v := verifier(t,
		trusting(t, before, func(k *signing.TrustedKey) { k.Name = "before"; k.NotAfter = noon().Add(time.Hour) }),
		trusting(t, after, func(k *signing.TrustedKey) { k.Name = "after"; k.NotBefore = noon().Add(-time.Hour) }))
	for _, tt := range []struct {
		at       time.Duration
		key      *signing.Key
		name     string
		accepted bool
	}{
		{-2 * time.Hour, before, "before", true}, {-2 * time.Hour, after, "after", false},
		{0, before, "before", true}, {0, after, "after", true},
		{2 * time.Hour, before, "before", false}, {2 * time.Hour, after, "after", true},
	} {
		want := wanted()
		want.At = noon().Add(tt.at)
		got, err := v.Verify(signature(t, tt.key), want)
		if (err == nil) != tt.accepted || tt.accepted && got.KeyName != tt.name {
			t.Errorf("%s at noon%+v: %+v, %v", tt.name, tt.at, got, err)
		}
	}
}

// TestVerifier_Verify_flips flips every bit of a bundle: whatever is still
// accepted says exactly what was signed.
func TestVerifier_Verify_flips(t *testing.T) {
	k := newKey(t)
	v, good := verifier(t, trusting(t, k)), signature(t, k)
	refused := 0
	for i := range good {
		for bit := range 8 {
			b := slices.Clone(good)
			b[i] ^= 1 << bit
			got, err := v.Verify(b, wanted())
			if err != nil {
				refused++
				continue
			}
			// The last letter of base64 has bits that no byte comes from.
			if got.Key != k.ID() || payloadOf(t, b) != payloadOf(t, good) {
				t.Fatalf("bit %d of byte %d: %s was accepted", bit, i, b)
			}
		}
	}
	if refused < len(good)*8*99/100 {
		t.Errorf("%d of %d flips were refused", refused, len(good)*8)
	}
}

func TestNewVerifier_ReportsEveryProblemAtOnce(t *testing.T) {
	k := newKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := signing.EncodePublic(&p384.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{
		trusting(t, k),
		trusting(t, k, func(k *signing.TrustedKey) { k.Name = "twin" }),
		{Name: "empty"},
		trusting(t, newKey(t), func(k *signing.TrustedKey) { k.Name, k.Types = "", nil }),
		trusting(t, newKey(t), func(k *signing.TrustedKey) {
			k.NotBefore, k.NotAfter, k.Revoked = noon(), noon(), &signing.Revocation{}
		}),
		{Name: "large", PublicKey: string(public), Types: []string{"x"}},
	}})
	for _, want := range []string{
		`key 2 (twin): it is the same key as "builder"`, "key 3 (empty): the public key is not one block of PEM",
		"key 4: it has no name", "key 4: it is allowed to sign nothing", "key 5 (builder): it is never valid",
		"key 5 (builder): it is revoked without a reason", "key 6 (large): the key is not one of ECDSA P-256",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// liar is a service that signs something else than it was asked to, or nothing.
type liar struct {
	*signing.Key
	err error
}

func (l liar) Sign(ctx context.Context, message []byte) ([]byte, error) {
	b, err := l.Key.Sign(ctx, append(message, ' '))
	return b, errors.Join(err, l.err)
}

func TestSign(t *testing.T) {
	statement, err := evidence.MakeSignature(release)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("refuses to sign what is no statement", func(t *testing.T) {
		if _, err := signing.Sign(t.Context(), newKey(t), []byte(`{"predicate": {}}`)); towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
	t.Run("checks what a service signed", func(t *testing.T) {
		if b, err := signing.Sign(t.Context(), liar{newKey(t), nil}, statement); b != nil || towpath.KindOf(err) != towpath.KindUnavailable {
			t.Fatalf("%s, %v", b, err)
		}
	})
	t.Run("says that a service does not sign", func(t *testing.T) {
		down := errors.New("down")
		if _, err := signing.Sign(t.Context(), liar{newKey(t), down}, statement); !errors.Is(err, down) || towpath.KindOf(err) != towpath.KindUnavailable {
			t.Fatal(err)
		}
	})
}
