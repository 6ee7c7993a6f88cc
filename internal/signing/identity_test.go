package signing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// identity is who an authority certifies as one that is trusted, unless the test
// changes it.
func identity(t testing.TB, a *fulciotest.Authority, change ...func(*signing.Identity)) signing.TrustedKey {
	t.Helper()
	i := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}
	for _, c := range change {
		c(&i)
	}
	text, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return signing.TrustedKey{Name: "ci", PublicKey: string(text), Types: []string{evidence.TypeSignature}}
}

// certifies is a signature with a certificate, which need not be one that a signer takes.
func certifies(t testing.TB, a *fulciotest.Authority, change func(*x509.Certificate)) []byte {
	t.Helper()
	leaf, key := a.Hand(change)
	return with(t, signature(t, fulciotest.Signer{Key: key}), leaf)
}

// with is a bundle with a certificate.
func with(t testing.TB, bundle []byte, leaf *x509.Certificate) []byte {
	t.Helper()
	return changed(t, bundle, func(b, _ map[string]any) {
		b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": leaf.Raw}}
	})
}

// named is a certificate with these names, each a tag and its content, and nothing of
// what crypto/x509 writes of them.
func named(t testing.TB, names ...asn1.RawValue) func(*x509.Certificate) {
	t.Helper()
	for i := range names {
		names[i].Class = asn1.ClassContextSpecific
	}
	all, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.URIs = nil
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: all})
	}
}

const tagOther, tagURI = 0, 6 // of a certificate's name

// issued is a certificate that has its issuer as it was written before, too.
func issued(issuer string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		first := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)}
		c.ExtraExtensions = append([]pkix.Extension{first}, c.ExtraExtensions...)
	}
}

// TestIdentity: who signs with a certificate of minutes is believed by who it is.
func TestIdentity(t *testing.T) {
	a := fulciotest.New(t, noon())
	signer := a.Signer()
	good := signature(t, signer)
	id, err := signing.SignerID(signer)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, identity(t, a))
	for _, at := range []time.Time{noon(), noon().Add(10 * time.Minute)} {
		got, err := v.Verify(good, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: at})
		if err != nil || got.Key != id || got.KeyName != "ci" || !got.Statement.About(release) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	t.Run("by another certificate as well, which has another key", func(t *testing.T) {
		if got, err := v.Verify(certifies(t, a, nil), wanted()); err != nil || got.Key != id {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("also through a certificate between", func(t *testing.T) {
		between := a.Between()
		both := identity(t, a, func(i *signing.Identity) { i.Authority += between.PEM() })
		if _, err := verifier(t, both).Verify(certifies(t, between, nil), wanted()); err != nil {
			t.Error(err)
		}
		if _, err := v.Verify(certifies(t, between, nil), wanted()); signing.ReasonOf(err) != signing.ReasonCertificate {
			t.Errorf("without it: %v", err)
		}
	})
	t.Run("and with which key, which anybody may show as that key's own", func(t *testing.T) {
		leaf, k := a.Hand(nil)
		plain := signature(t, fulciotest.Signer{Key: k})
		public, err := signing.EncodePublic(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		both := verifier(t, signing.TrustedKey{Name: "builder", PublicKey: string(public), Types: []string{evidence.TypeSignature}}, identity(t, a))
		by, err := both.Verify(plain, wanted())
		if err != nil {
			t.Fatal(err)
		}
		as, err := both.Verify(with(t, plain, leaf), wanted())
		if err != nil {
			t.Fatal(err)
		}
		if by.Key == as.Key || by.Hand != by.Key || as.Hand != by.Hand {
			t.Errorf("%s by %s, and %s by %s", by.Key, by.Hand, as.Key, as.Hand)
		}
	})
	t.Run("also when it says the issuer as it was written before", func(t *testing.T) {
		if _, err := v.Verify(certifies(t, a, issued(fulciotest.Issuer)), wanted()); err != nil {
			t.Error(err)
		}
		if _, err := v.Verify(certifies(t, a, func(c *x509.Certificate) { c.ExtraExtensions = nil; issued(fulciotest.Issuer)(c) }), wanted()); err != nil {
			t.Errorf("and in no other way: %v", err)
		}
	})
	t.Run("what is shown of it is text, wherever it is cut", func(t *testing.T) {
		long := "https://ci.example.com/" + strings.Repeat("ü", 100)
		_, err := v.Verify(certifies(t, a, func(c *x509.Certificate) { c.ExtraExtensions = nil; issued(long)(c) }), wanted())
		if message, _ := towpath.PublicMessage(err); signing.ReasonOf(err) != signing.ReasonUnknownKey || !utf8.ValidString(message) {
			t.Errorf("%q", message)
		}
	})
	t.Run("what it claims is judged by time before it is read again", func(t *testing.T) {
		claim, err := signing.Read(good)
		if err != nil || claim.Key != id || !strings.Contains(claim.Identity, fulciotest.Subject) || !claim.Until.Equal(signer.Leaf.NotAfter) {
			t.Fatalf("%+v, %v", claim, err)
		}
		if err := v.Allows(claim, noon()); err != nil {
			t.Error(err)
		}
		if err := v.Allows(claim, noon().Add(11*time.Minute)); signing.ReasonOf(err) != signing.ReasonExpired {
			t.Errorf("%v", err)
		}
	})
	t.Run("an identity and a key stand beside each other", func(t *testing.T) {
		k := newKey(t)
		both := verifier(t, identity(t, a), trusting(t, k))
		for _, b := range [][]byte{good, signature(t, k)} {
			if _, err := both.Verify(b, wanted()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("its text is read as it was written", func(t *testing.T) {
		text := identity(t, a).PublicKey
		got, same, err := signing.ReadTrusted([]byte(text))
		if err != nil || got != id || string(same) != text || !strings.Contains(text, fulciotest.Subject) {
			t.Errorf("%s, %v\n%s", got, err, same)
		}
		if i, ok, err := signing.ReadIdentity([]byte(text)); err != nil || !ok || i != (signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}) {
			t.Errorf("%+v, %t, %v", i, ok, err)
		}
		if _, ok, err := signing.ReadIdentity([]byte(trusting(t, newKey(t)).PublicKey)); ok || err != nil {
			t.Errorf("a key is an identity: %v", err)
		}
	})
}

// TestIdentity_failsClosed breaks every rule about identities, one at a time.
func TestIdentity_failsClosed(t *testing.T) {
	a, other := fulciotest.New(t, noon()), fulciotest.New(t, noon())
	good := certifies(t, a, nil)
	trusts := func(change func(*signing.Identity)) *signing.Verifier { return verifier(t, identity(t, a, change)) }
	us := verifier(t, identity(t, a))
	mail := func(c *x509.Certificate) { c.URIs, c.EmailAddresses = nil, []string{"ana@example.com"} }
	k := newKey(t)
	foreign, _ := a.Hand(nil)
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		v      *signing.Verifier
		bundle []byte
		after  time.Duration
		reason signing.Reason
	}{
		{"before the certificate", us, good, -time.Second, signing.ReasonNotYetValid},
		{"after it", us, good, 10*time.Minute + time.Second, signing.ReasonExpired},
		{"another authority's", us, certifies(t, other, nil), 0, signing.ReasonCertificate},
		{"another subject", us, certifies(t, a, mail), 0, signing.ReasonUnknownKey},
		{"a subject that is trusted otherwise", trusts(func(i *signing.Identity) { i.Subject += "x" }), good, 0, signing.ReasonUnknownKey},
		{"another issuer", trusts(func(i *signing.Identity) { i.Issuer = "https://elsewhere.example.com" }), good, 0, signing.ReasonUnknownKey},
		{"two subjects", us, certifies(t, a, func(c *x509.Certificate) { c.EmailAddresses = []string{"ana@example.com"} }), 0, signing.ReasonCertificate},
		{"a name of another kind beside the subject", us, certifies(t, a, named(t,
			asn1.RawValue{Tag: tagURI, Bytes: []byte(fulciotest.Subject)}, asn1.RawValue{Tag: tagOther, IsCompound: true, Bytes: []byte{asn1.TagOID, 1, 42}})), 0, signing.ReasonCertificate},
		{"a subject that reads as the trusted one", us, certifies(t, a, named(t, asn1.RawValue{Tag: tagURI, Bytes: []byte(fulciotest.Subject + "#")})), 0, signing.ReasonCertificate},
		{"two issuers", us, certifies(t, a, issued("https://elsewhere.example.com")), 0, signing.ReasonCertificate},
		{"an issuer that is no text", us, certifies(t, a, func(c *x509.Certificate) { c.ExtraExtensions = nil; issued("https://ci.example.com\xff")(c) }), 0, signing.ReasonCertificate},
		{"an issuer that drives a terminal", us, certifies(t, a, func(c *x509.Certificate) { c.ExtraExtensions = nil; issued("\x1b[2J")(c) }), 0, signing.ReasonCertificate},
		{"a subject of two lines", us, certifies(t, a, func(c *x509.Certificate) { c.URIs, c.EmailAddresses = nil, []string{"ana@example.com\nben"} }), 0, signing.ReasonCertificate},
		{"no subject", us, certifies(t, a, func(c *x509.Certificate) { c.URIs = nil }), 0, signing.ReasonCertificate},
		{"no issuer", us, certifies(t, a, func(c *x509.Certificate) { c.ExtraExtensions = nil }), 0, signing.ReasonCertificate},
		{"a certificate for servers", us, certifies(t, a, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), 0, signing.ReasonCertificate},
		{"an authority's own", us, certifies(t, a, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), 0, signing.ReasonCertificate},
		{"nobody trusts identities", verifier(t, trusting(t, k)), good, 0, signing.ReasonUnknownKey},
		{"a key that has the identity's name", us, changed(t, signature(t, k), func(b, _ map[string]any) {
			id, _, err := signing.ReadTrusted([]byte(identity(t, a).PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			b["verificationMaterial"] = map[string]any{"publicKey": map[string]any{"hint": string(id)}}
		}), 0, signing.ReasonUnknownKey},
		{"the certificate of another key", us, with(t, good, foreign), 0, signing.ReasonSignature},
		{"a certificate of another algorithm", us, with(t, good, a.Certify(wide)), 0, signing.ReasonCertificate},
		{"a certificate that outlives the authority", us, certifies(t, a, func(c *x509.Certificate) { c.NotAfter = noon().AddDate(10, 0, 0) }), 2 * 365 * 24 * time.Hour, signing.ReasonCertificate},
		{"no certificate", us, changed(t, good, func(b, _ map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": []byte("none")}}
		}), 0, signing.ReasonCertificate},
		{"another statement", us, changed(t, good, func(_, e map[string]any) {
			statement, err := evidence.MakeSignature(towpath.DigestOf([]byte("another")))
			if err != nil {
				t.Fatal(err)
			}
			e["payload"] = statement
		}), 0, signing.ReasonSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.v.Verify(tt.bundle, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: noon().Add(tt.after)})
			if got := signing.ReasonOf(err); got != tt.reason {
				t.Errorf("%q, not %q: %v", got, tt.reason, err)
			}
		})
	}
	for name, change := range map[string]func(*signing.Identity){
		"no issuer":              func(i *signing.Identity) { i.Issuer = "" },
		"a subject of two lines": func(i *signing.Identity) { i.Subject = "a\nb" },
		"no authority":           func(i *signing.Identity) { i.Authority = "" },
		"a leaf in the authority's place": func(i *signing.Identity) {
			leaf, _ := a.Hand(nil)
			i.Authority = fulciotest.PEM(leaf)
		},
		"an authority that is too large": func(i *signing.Identity) {
			for range 3 {
				i.Authority += large(t)
			}
		},
		"a leaf beside the authority": func(i *signing.Identity) {
			leaf, _ := a.Hand(nil)
			i.Authority += fulciotest.PEM(leaf)
		},
		"what stands between alone": func(i *signing.Identity) { i.Authority = a.Between().PEM() },
		"a key in its place":        func(i *signing.Identity) { i.Authority = trusting(t, k).PublicKey },
	} {
		t.Run(name, func(t *testing.T) {
			i := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: a.PEM()}
			change(&i)
			if _, err := i.Encode(); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestIdentity_Program: a program that prints a certificate signs as whom that names,
// and the real cosign believes it by the same identity, and by no other.
func TestIdentity_Program(t *testing.T) {
	a := fulciotest.New(t, noon())
	now := time.Now().UTC().Truncate(time.Second)
	leaf, key := a.Hand(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now, now.Add(10*time.Minute) })
	dir := t.TempDir()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"cert.pem": []byte(fulciotest.PEM(leaf)),
		"signer":   []byte("#!/bin/sh\nset -eu\ncd " + dir + "\ncase \"$1\" in\npublic-key) cat cert.pem ;;\nsign) openssl dgst -sha256 -sign key.pem | base64 ;;\nesac\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	signer, err := signing.Open(t.Context(), "exec:"+filepath.Join(dir, "signer"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := signature(t, signer)
	if _, err := verifier(t, identity(t, a)).Verify(b, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: now}); err != nil {
		t.Fatal(err)
	}
	c := cosigntest.New(t)
	c.Write("bundle", b)
	root := map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"certificateAuthorities": []any{map[string]any{
			"subject": map[string]any{"organization": "example.com", "commonName": "root"}, "uri": "https://fulcio.example.com",
			"certChain": map[string]any{"certificates": []any{map[string]any{"rawBytes": a.Certificate.Raw}}}, "validFor": map[string]any{"start": a.Certificate.NotBefore},
		}},
	}
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	c.Write("root.json", text)
	verify := func(issuer, subject string, digest towpath.Digest) (string, error) {
		return c.Run("verify-blob-attestation", "--bundle", "bundle", "--trusted-root", "root.json", "--certificate-identity", subject, "--certificate-oidc-issuer", issuer,
			"--insecure-ignore-sct", "--insecure-ignore-tlog=true", "--use-signed-timestamps=false", "--type", evidence.TypeSignature, "--digest", digest.Hex(), "--digestAlg", "sha256")
	}
	if out, err := verify(fulciotest.Issuer, fulciotest.Subject, release); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, wrong := range [][3]string{{"https://elsewhere.example.com", fulciotest.Subject, string(release)}, {fulciotest.Issuer, "ana@example.com", string(release)}, {fulciotest.Issuer, fulciotest.Subject, string(towpath.DigestOf([]byte("another")))}} {
		if out, err := verify(wrong[0], wrong[1], towpath.Digest(wrong[2])); err == nil {
			t.Errorf("%v: %s", wrong, out)
		}
	}
}
