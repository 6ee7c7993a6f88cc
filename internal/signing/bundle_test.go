package signing_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// rawBundle signs any payload as any type, which [signing.Sign] refuses to.
func rawBundle(t testing.TB, k *signing.Key, payloadType, payload string) []byte {
	t.Helper()
	sig, err := k.SignDigest(t.Context(), sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{
		"mediaType":            oci.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": string(k.ID())}},
		"dsseEnvelope": map[string]any{
			"payload": base64.StdEncoding.EncodeToString([]byte(payload)), "payloadType": payloadType,
			"signatures": []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(sig)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// payloadOf is what a bundle's envelope holds.
func payloadOf(t testing.TB, bundle []byte) string {
	t.Helper()
	payload, err := signing.Payload(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

// TestPayload: what the verifier takes is read, however it is written, by whomever
// it was signed.
func TestPayload(t *testing.T) {
	k := newKey(t)
	v := verifier(t, trusting(t, k))
	statement, err := evidence.Make("", release, evidence.TypeSignature, map[string]any{"note": "???>>>~~"})
	if err != nil {
		t.Fatal(err)
	}
	good := signed(t, k, statement)
	for name, change := range map[string]func(b, envelope map[string]any){
		"as it was made": func(_, _ map[string]any) {},
		"the envelope by its other name": func(b, e map[string]any) {
			b["dsse_envelope"] = e
			delete(b, "dsseEnvelope")
		},
		"base64 without its end":         func(_, e map[string]any) { e["payload"] = base64.RawStdEncoding.EncodeToString(statement) },
		"base64 for addresses":           func(_, e map[string]any) { e["payload"] = base64.URLEncoding.EncodeToString(statement) },
		"base64 for addresses, unpadded": func(_, e map[string]any) { e["payload"] = base64.RawURLEncoding.EncodeToString(statement) },
	} {
		t.Run("reads "+name, func(t *testing.T) {
			b := changed(t, good, change)
			if _, err := v.Verify(b, wanted()); err != nil {
				t.Fatal("no verifier reads it: ", err)
			}
			if got, err := signing.Payload(b); err != nil || string(got) != string(statement) {
				t.Fatalf("%s, %v", got, err)
			}
		})
	}
	for name, b := range map[string][]byte{
		"no JSON": []byte("{"), "no bundle": []byte(`{"dsseEnvelope":{"payload":"e30="}}`), "a signature of plain bytes": blobBundle(t, k, []byte("x")),
		"the envelope twice": changed(t, good, func(b, e map[string]any) { b["dsse_envelope"] = e }),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := signing.Payload(b); got != nil || signing.ReasonOf(err) == "" {
				t.Fatalf("%s, %v", got, err)
			}
		})
	}
}

// blobBundle is the signature of plain bytes, as `cosign sign-blob` makes it.
func blobBundle(t testing.TB, k *signing.Key, content []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(content)
	sig, err := k.SignDigest(t.Context(), sum)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{
		"mediaType":            oci.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": string(k.ID())}},
		"messageSignature": map[string]any{
			"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": base64.StdEncoding.EncodeToString(sum[:])},
			"signature":     base64.StdEncoding.EncodeToString(sig),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerifier_VerifyBlob(t *testing.T) {
	k := newKey(t)
	content := []byte("plain bytes")
	good, digest := blobBundle(t, k, content), towpath.DigestOf(content)
	allowed := func(k *signing.TrustedKey) { k.Types = []string{signing.TypeBlob} }
	v := verifier(t, trusting(t, k, allowed))
	if got, err := v.VerifyBlob(good, digest, noon()); err != nil || got.Key != k.ID() || got.Statement != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	statement, err := evidence.MakeSignature(digest)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		v      *signing.Verifier
		bundle []byte
		digest towpath.Digest
		reason signing.Reason
	}{
		"other bytes":                {v, good, release, signing.ReasonSubject},
		"a statement about them":     {v, signed(t, k, statement), digest, signing.ReasonContent},
		"a key for statements only":  {verifier(t, trusting(t, k)), good, digest, signing.ReasonNotAllowed},
		"another key":                {v, blobBundle(t, newKey(t), content), digest, signing.ReasonUnknownKey},
		"a signature of other bytes": {v, changed(t, good, func(b, _ map[string]any) { b["messageSignature"].(map[string]any)["signature"] = "MAYCAQECAQE=" }), digest, signing.ReasonSignature},
		"no digest":                  {v, changed(t, good, func(b, _ map[string]any) { delete(b["messageSignature"].(map[string]any), "messageDigest") }), digest, signing.ReasonSubject},
		"a digest of another algorithm": {v, changed(t, good, func(b, _ map[string]any) {
			b["messageSignature"].(map[string]any)["messageDigest"].(map[string]any)["algorithm"] = "SHA2_512"
		}), digest, signing.ReasonSubject},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := tt.v.VerifyBlob(tt.bundle, tt.digest, noon()); got != nil || signing.ReasonOf(err) != tt.reason {
				t.Fatalf("%+v, %v, want %s", got, err, tt.reason)
			}
		})
	}
}

func FuzzVerifier_Verify(f *testing.F) {
	k := newKey(f)
	a := fulciotest.New(f, noon())
	v := verifier(f, trusting(f, k, func(t *signing.TrustedKey) { t.Types = append(t.Types, signing.TypeBlob) }), identity(f, a))
	good := signature(f, k)
	for _, seed := range [][]byte{
		good, signature(f, a.Signer()), blobBundle(f, k, []byte("x")), rawBundle(f, k, "text/plain", "x"), rawBundle(f, k, signing.PayloadType, "{}"),
		[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":""},"tlogEntries":[{}]},"dsseEnvelope":{}}`),
		[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"x509CertificateChain":{}},"messageSignature":{}}`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := v.Verify(b, wanted())
		if (err == nil) != (got != nil) || err != nil && signing.ReasonOf(err) == "" {
			t.Fatalf("%+v, %v", got, err)
		}
		// The fuzzer has no key: it can only bring what was signed here.
		if got != nil && payloadOf(t, b) != payloadOf(t, good) {
			t.Fatalf("forged: %s", b)
		}
		if got, err := v.VerifyBlob(b, release, noon()); got != nil || signing.ReasonOf(err) == "" {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

// rawJSON is JSON as it is, for a predicate.
func rawJSON[T ~string | ~[]byte](s T) json.RawMessage { return json.RawMessage(s) }
