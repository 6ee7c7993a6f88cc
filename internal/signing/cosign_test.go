package signing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
)

// offline are the flags that keep cosign from logs and services.
func offline(args ...string) []string {
	return append(args, "--use-signing-config=false", "--tlog-upload=false", "--yes")
}

// pair writes a key's files where cosign runs.
func pair(t *testing.T, c *cosigntest.Cosign, name string) *signing.Key {
	t.Helper()
	k := newKey(t)
	at := filepath.Join(c.Dir, name)
	if err := signing.WriteNew(k, []byte(c.Password), at+".key", at+".pub"); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCosign_keys(t *testing.T) {
	c := cosigntest.New(t)
	t.Run("cosign decrypts our key", func(t *testing.T) {
		pair(t, c, "ours")
		if got := c.Must("public-key", "--key", "ours.key"); got != string(c.Read("ours.pub")) {
			t.Fatalf("%s\n%s", got, c.Read("ours.pub"))
		}
	})
	theirs := func(name string) {
		t.Helper()
		k, err := signing.Load(filepath.Join(c.Dir, name+".key"), password(c.Password))
		if err != nil {
			t.Fatal(err)
		}
		public, err := signing.ParsePublic(c.Read(name + ".pub"))
		if err != nil || !public.Equal(k.Public()) {
			t.Fatal(err)
		}
	}
	t.Run("we decrypt cosign's, also one without a password", func(t *testing.T) {
		c.Must("generate-key-pair", "--output-key-prefix", "theirs")
		theirs("theirs")
		c.Password = ""
		c.Must("generate-key-pair", "--output-key-prefix", "bare")
		theirs("bare")
	})
	t.Run("we decrypt one that cosign imported", func(t *testing.T) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalECPrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		c.Write("ec.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
		c.Password = "imported"
		c.Must("import-key-pair", "--key", "ec.pem", "--output-key-prefix", "imported")
		theirs("imported")
	})
}

// TestCosign_verifiesOurs holds our verifier and cosign's against the same
// bundles: cosign accepts what we sign, and whatever it refuses we refuse.
func TestCosign_verifiesOurs(t *testing.T) {
	c := cosigntest.New(t)
	k := pair(t, c, "ours")
	pair(t, c, "other")
	subject := []byte(`{"a":"manifest"}`)
	digest := towpath.DigestOf(subject)
	c.Write("manifest", subject)
	trust := trusting(t, k)
	trust.Types = []string{evidence.TypeSignature, evidence.TypeProvenance, evidence.TypeSBOM, evidence.TypePromotion}
	v := verifier(t, trust)

	sbom, err := evidence.MakeBill(evidence.Bill{Project: "shop", Release: digest, Parts: []evidence.Part{{Name: "api", Kind: "process", Layer: release}}})
	if err != nil {
		t.Fatal(err)
	}
	makers := map[string]func() ([]byte, error){
		evidence.TypeSignature: func() ([]byte, error) { return evidence.MakeSignature(digest) },
		evidence.TypeSBOM:      func() ([]byte, error) { return evidence.Make("shop", digest, evidence.TypeSBOM, rawJSON(sbom)) },
		evidence.TypeProvenance: func() ([]byte, error) {
			return evidence.Make("shop", digest, evidence.TypeProvenance, rawJSON(`{"buildDefinition":{}}`))
		},
		evidence.TypePromotion: func() ([]byte, error) {
			return evidence.MakePromotion(evidence.Promotion{
				Environment: "prod", Outcome: towpath.PromotionSucceeded, Candidate: evidence.PromotedCandidate{Release: digest},
			})
		},
	}
	accepted := func(key, predicate string, about towpath.Digest) bool {
		_, err := c.Run("verify-blob-attestation", "--key", key, "--bundle", "bundle", "--insecure-ignore-tlog=true",
			"--type", predicate, "--digest", about.Hex(), "--digestAlg", "sha256")
		return err == nil
	}
	for predicate, statement := range makers {
		t.Run("accepts our "+predicate, func(t *testing.T) {
			b, err := statement()
			if err != nil {
				t.Fatal(err)
			}
			bundle := signed(t, k, b)
			c.Write("bundle", bundle)
			if out, err := c.Run("verify-blob-attestation", "--key", "ours.pub", "--bundle", "bundle", "--insecure-ignore-tlog=true", "--type", predicate, "manifest"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !accepted("ours.pub", predicate, digest) {
				t.Fatal("not by its digest")
			}
			if _, err := v.Verify(bundle, signing.Requirement{Type: predicate, Subject: digest, At: noon()}); err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]bool{
				"another key":     accepted("other.pub", predicate, digest),
				"another type":    accepted("ours.pub", "https://example.com/another", digest),
				"another subject": accepted("ours.pub", predicate, release),
			} {
				if got {
					t.Errorf("cosign accepts %s: the test proves nothing", what)
				}
			}
		})
	}
	t.Run("refuses nothing that we accept", func(t *testing.T) {
		b, err := evidence.MakeSignature(digest)
		if err != nil {
			t.Fatal(err)
		}
		good := signed(t, k, b)
		disagree := 0
		for name, bundle := range tampered(t, k, good) {
			c.Write("bundle", bundle)
			theirs := accepted("ours.pub", evidence.TypeSignature, digest)
			_, err := v.Verify(bundle, signing.Requirement{Type: evidence.TypeSignature, Subject: digest, At: noon()})
			if err == nil && !theirs {
				t.Errorf("%s: cosign refuses it, and we do not", name)
			}
			if err != nil && theirs {
				disagree++
				t.Logf("%s: we refuse what cosign accepts: %v", name, err)
			}
		}
		if disagree == 0 {
			t.Log("cosign and we agree on all of them")
		}
	})
}

// tampered are bundles that a verifier may stumble over.
func tampered(t *testing.T, k *signing.Key, good []byte) map[string][]byte {
	t.Helper()
	payload := payloadOf(t, good)
	dsse := func(change func(b, envelope map[string]any)) []byte { return changed(t, good, change) }
	return map[string][]byte{
		"unchanged": good,
		"cut off":   good[:len(good)/2],
		"two signatures": dsse(func(_, e map[string]any) {
			e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)[0])
		}),
		"no signature":        dsse(func(_, e map[string]any) { e["signatures"] = []any{} }),
		"another type":        dsse(func(_, e map[string]any) { e["payloadType"] = "application/json" }),
		"signed as text":      rawBundle(t, k, "text/plain", payload),
		"no hint":             dsse(func(b, _ map[string]any) { b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{}} }),
		"another version":     dsse(func(b, _ map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2" }),
		"an unknown member":   dsse(func(b, _ map[string]any) { b["x"] = 1 }),
		"a predicate twice":   rawBundle(t, k, signing.PayloadType, strings.Replace(payload, `"predicate":`, `"predicate":{"a":1},"predicate":`, 1)),
		"a type twice":        rawBundle(t, k, signing.PayloadType, strings.Replace(payload, `"predicateType":`, `"predicateType":"x","predicateType":`, 1)),
		"a subject in a case": rawBundle(t, k, signing.PayloadType, strings.Replace(payload, `"subject":`, `"SUBJECT":[],"subject":`, 1)),
		"no subject":          rawBundle(t, k, signing.PayloadType, strings.Replace(payload, `"subject":`, `"object":`, 1)),
	}
}

func TestCosign_weVerifyItsAttestation(t *testing.T) {
	c := cosigntest.New(t)
	c.Must("generate-key-pair")
	c.Write("blob", []byte("hello\n"))
	c.Write("predicate.json", []byte(`{"found": []}`))
	const scan = "https://example.com/scan/v1"
	c.Must(offline("attest-blob", "--key", "cosign.key", "--predicate", "predicate.json", "--type", scan, "--bundle", "bundle", "blob")...)
	about := towpath.DigestOf([]byte("hello\n"))
	v := verifier(t, signing.TrustedKey{Name: "scanner", PublicKey: string(c.Read("cosign.pub")), Types: []string{scan, evidence.TypeSignature}})
	got, err := v.Verify(c.Read("bundle"), signing.Requirement{Type: scan, Subject: about, At: noon()})
	if err != nil || string(got.Statement.Predicate) != `{"found":[]}` {
		t.Fatalf("%+v, %v", got, err)
	}
	// cosign verify passes on an artifact that carries any attestation; we do not.
	if _, err := v.Verify(c.Read("bundle"), signing.Requirement{Type: evidence.TypeSignature, Subject: about, At: noon()}); signing.ReasonOf(err) != signing.ReasonPredicate {
		t.Fatal(err)
	}
	if _, err := v.Verify(c.Read("bundle"), signing.Requirement{Type: scan, Subject: release, At: noon()}); signing.ReasonOf(err) != signing.ReasonSubject {
		t.Fatal(err)
	}
}

func TestCosign_weVerifyItsBlobs(t *testing.T) {
	c := cosigntest.New(t)
	k := pair(t, c, "cosign") // and it signs with a key of ours
	c.Write("blob", []byte("hello\n"))
	c.Must(offline("sign-blob", "--key", "cosign.key", "--new-bundle-format", "--bundle", "bundle", "blob")...)
	v := verifier(t, trusting(t, k, func(k *signing.TrustedKey) { k.Types = []string{signing.TypeBlob} }))
	if got, err := v.VerifyBlob(c.Read("bundle"), towpath.DigestOf([]byte("hello\n")), noon()); err != nil || got.Key != k.ID() {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := v.VerifyBlob(c.Read("bundle"), release, noon()); signing.ReasonOf(err) != signing.ReasonSubject {
		t.Fatal(err)
	}
	if _, err := v.Verify(c.Read("bundle"), wanted()); signing.ReasonOf(err) != signing.ReasonContent {
		t.Fatal(err)
	}
}
