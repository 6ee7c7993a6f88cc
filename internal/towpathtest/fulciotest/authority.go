// Package fulciotest is an authority that certifies whose a key is, as Fulcio does:
// for minutes, with the issuer of the name in the certificate. Start reading at New.
package fulciotest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// Who is certified, unless a test changes it.
const (
	Issuer  = "https://ci.example.com"
	Subject = "https://git.example.com/acme/shop/.ci/release.yml@refs/heads/main"
)

// Life is for how long a certificate is valid.
const Life = 10 * time.Minute

// Authority certifies keys. Its own certificate is a year old.
type Authority struct {
	Certificate *x509.Certificate

	t       testing.TB
	key     *ecdsa.PrivateKey
	from    time.Time // of what it hands out
	serials int64
}

// New makes an authority whose certificates are valid from then on.
func New(t testing.TB, from time.Time) *Authority {
	t.Helper()
	a := &Authority{t: t, from: from}
	a.Certificate, a.key = a.hand(nil, func(c *x509.Certificate) {
		authority(c, "root", from)
		c.NotBefore = from.AddDate(-1, 0, 0)
	})
	return a
}

// Between is an authority that this one certifies.
func (a *Authority) Between() *Authority {
	a.t.Helper()
	b := &Authority{t: a.t, from: a.from}
	b.Certificate, b.key = a.Hand(func(c *x509.Certificate) { authority(c, "between", a.from) })
	return b
}

func authority(c *x509.Certificate, name string, from time.Time) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage, c.URIs, c.ExtraExtensions = true, true, x509.KeyUsageCertSign, nil, nil, nil
	c.Subject, c.NotAfter = pkix.Name{CommonName: name}, from.AddDate(1, 0, 0)
}

// PEM is its certificate.
func (a *Authority) PEM() string { return PEM(a.Certificate) }

// PEM is a certificate in PEM.
func PEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// Hand hands out a certificate of a new key; change changes what it says.
func (a *Authority) Hand(change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	return a.hand(a, change)
}

// hand is [Authority.Hand]; by nobody it is the key's own.
func (a *Authority) hand(by *Authority, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	return a.certify(by, key, change), key
}

// Certify is [Authority.Hand] of a key that is there.
func (a *Authority) Certify(key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	return a.certify(a, key, nil)
}

func (a *Authority) certify(by *Authority, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	a.t.Helper()
	uri, err := url.Parse(Subject)
	a.check(err)
	issuer, err := asn1.MarshalWithParams(Issuer, "utf8")
	a.check(err)
	a.serials++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.serials), NotBefore: a.from, NotAfter: a.from.Add(Life), URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}},
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	a.check(err)
	out, err := x509.ParseCertificate(der)
	a.check(err)
	return out
}

func (a *Authority) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// Signer signs with a key and, if there is one, its certificate.
type Signer struct {
	Key  *ecdsa.PrivateKey
	Leaf *x509.Certificate
}

// Signer is one with a certificate of the authority.
func (a *Authority) Signer() Signer {
	a.t.Helper()
	leaf, key := a.Hand(nil)
	return Signer{key, leaf}
}

// Public implements signing.Signer.
func (s Signer) Public() *ecdsa.PublicKey { return &s.Key.PublicKey }

// Certificate implements signing.Certified.
func (s Signer) Certificate() *x509.Certificate { return s.Leaf }

// Sign implements signing.Signer.
func (s Signer) Sign(_ context.Context, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return ecdsa.SignASN1(rand.Reader, s.Key, sum[:])
}
