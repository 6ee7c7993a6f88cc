package signing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
)

// TestIdentity_publicFulcio: what a workflow signed with a certificate of the public
// Fulcio, the provenance of sigstore-js 2.0.0, is believed by who that was. It is about
// something that is named in no way that releases are, which is judged last.
func TestIdentity_publicFulcio(t *testing.T) {
	good, err := os.ReadFile("testdata/sigstore-js-2.0.0.json")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile("testdata/fulcio.pem")
	if err != nil {
		t.Fatal(err)
	}
	who := signing.Identity{
		Issuer: "https://token.actions.githubusercontent.com", Subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
		Authority: string(authority),
	}
	signed := time.Date(2023, 8, 18, 16, 6, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		change func(*signing.Identity)
		bundle []byte
		at     time.Time
		reason signing.Reason
	}{
		{"by the workflow", nil, good, signed, signing.ReasonSubject},
		{"by nobody after ten minutes", nil, good, signed.Add(11 * time.Minute), signing.ReasonExpired},
		{"of another branch", func(i *signing.Identity) { i.Subject = strings.Replace(i.Subject, "main", "other", 1) }, good, signed, signing.ReasonUnknownKey},
		{"by another authority", func(i *signing.Identity) { i.Authority = fulciotest.New(t, signed).PEM() }, good, signed, signing.ReasonCertificate},
		{"with another text", nil, changed(t, good, func(_, e map[string]any) {
			text, err := base64.StdEncoding.DecodeString(e["payload"].(string))
			if err != nil {
				t.Fatal(err)
			}
			e["payload"] = append(text, ' ')
		}), signed, signing.ReasonSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := who
			if tt.change != nil {
				tt.change(&i)
			}
			text, err := i.Encode()
			if err != nil {
				t.Fatal(err)
			}
			v := verifier(t, signing.TrustedKey{Name: "js", PublicKey: string(text), Types: []string{evidence.TypeProvenance}})
			_, err = v.Verify(tt.bundle, signing.Requirement{Type: evidence.TypeProvenance, Subject: release, At: tt.at})
			if got := signing.ReasonOf(err); got != tt.reason {
				t.Errorf("%q, not %q: %v", got, tt.reason, err)
			}
		})
	}
}

// TestReadTrusted_withoutRoot: an identity whose authority has no root is not taken, and
// one that was nevertheless believes nobody.
func TestReadTrusted_withoutRoot(t *testing.T) {
	a := fulciotest.New(t, noon())
	between := a.Between()
	text := pem.EncodeToMemory(&pem.Block{
		Type: "TOWPATH IDENTITY", Headers: map[string]string{"Issuer": fulciotest.Issuer, "Subject": fulciotest.Subject}, Bytes: between.Certificate.Raw,
	})
	if _, _, err := signing.ReadTrusted(text); towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "is a root") {
		t.Errorf("it is taken: %v", err)
	}
	v := verifier(t, signing.TrustedKey{Name: "ci", PublicKey: string(text), Types: []string{evidence.TypeSignature}})
	if _, err := v.Verify(certifies(t, between, nil), wanted()); signing.ReasonOf(err) != signing.ReasonCertificate {
		t.Errorf("%v", err)
	}
}

// large is a root of some 4,000 bytes.
func large(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{strings.Repeat("x", 1300)}}, NotBefore: noon(), NotAfter: noon().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
