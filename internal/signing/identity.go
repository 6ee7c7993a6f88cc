package signing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/towpath/towpath/internal/towpath"
)

// Identity is who may sign without a key that anybody keeps: an authority (Fulcio)
// certifies for minutes that a key is that of a subject, as its issuer says.
type Identity struct {
	Issuer  string // of the subject's name: https://token.actions.githubusercontent.com
	Subject string // an email address, or the URI of a workflow
	// Authority are the certificates of the authority in PEM: its roots, and what
	// stands between them and those that it hands out.
	Authority string
}

// pemIdentity is the type of the PEM block that an [Identity] is in, where there
// would be a public key. Its headers are issuer and subject, its bytes the DER of the
// authority's certificates.
const (
	pemIdentity    = "TOWPATH IDENTITY"
	pemCertificate = "CERTIFICATE"
	headerIssuer   = "Issuer"
	headerSubject  = "Subject"
)

const (
	maxIdentityText = 1000 // bytes of an issuer or a subject
	maxAuthority    = 8    // certificates
	// maxEncoded is what the API takes, bytes. Each authorisation of an agent repeats
	// the identities that its release was signed by.
	maxEncoded = 10_000
)

// identity is an [Identity], read.
type identity struct {
	issuer, subject string
	certificates    []*x509.Certificate // of the authority
	// pools are they, sorted; whose chains nobody asks for is not, for that takes a
	// millisecond, and everybody who is trusted is read for each judgement.
	pools func() pools
}

// pools are the certificates of an authority.
type pools struct {
	roots, between *x509.CertPool
	n              int // roots
}

func sorted(all []*x509.Certificate) pools {
	out := pools{roots: x509.NewCertPool(), between: x509.NewCertPool()}
	for _, c := range all {
		if c.CheckSignatureFrom(c) == nil {
			out.roots.AddCert(c)
			out.n++
		} else {
			out.between.AddCert(c)
		}
	}
	return out
}

// rooted refuses an authority without a root: nobody could be believed by it.
func (i *identity) rooted() error {
	if n := i.pools().n; n == 0 {
		return badIdentity("none of the authority's %d certificates is a root, and at least one has to be", len(i.certificates))
	}
	return nil
}

// identityID is what an identity is known by in place of a key's ID. Whoever
// certifies it is left out: a bundle names only these.
func identityID(issuer, subject string) KeyID {
	sum := sha256.Sum256([]byte("towpath identity\x00" + issuer + "\x00" + subject))
	return KeyID(base64.StdEncoding.EncodeToString(sum[:]))
}

// Encode is the identity in PEM, for [TrustedKey] in the place of a public key.
func (i Identity) Encode() ([]byte, error) {
	var der []byte
	for rest := []byte(i.Authority); len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != pemCertificate {
			return nil, badIdentity("the authority is not certificates in PEM").WithHint("give the root of Fulcio, and what stands between")
		}
		der = append(der, block.Bytes...)
	}
	read, err := newIdentity(i.Issuer, i.Subject, der)
	if err == nil {
		err = read.rooted()
	}
	if err != nil {
		return nil, err
	}
	out := read.encode()
	if len(out) > maxEncoded {
		return nil, badIdentity("the identity has %d bytes with the certificates of its authority; %d are the most", len(out), maxEncoded).
			WithHint("leave out what certifies nobody any more; each authority may have a record of its own, with towpath trust add")
	}
	return out, nil
}

func (i *identity) encode() []byte {
	var der []byte
	for _, c := range i.certificates {
		der = append(der, c.Raw...)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemIdentity, Headers: map[string]string{headerIssuer: i.issuer, headerSubject: i.subject}, Bytes: der})
}

// newIdentity checks an identity.
func newIdentity(issuer, subject string, der []byte) (*identity, error) {
	for _, x := range []struct{ what, text string }{{"issuer", issuer}, {"subject", subject}} {
		if !identifies(x.text) {
			return nil, badIdentity("%q is no %s", shown(x.text), x.what).WithHint("as the certificate has them: a URL of who says whose it is, and an email address or a URI")
		}
	}
	all, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, badIdentity("the authority's certificates can't be read").WithCause(err)
	}
	if len(all) == 0 || len(all) > maxAuthority {
		return nil, badIdentity("the authority has %d certificates; 1 to %d are read", len(all), maxAuthority)
	}
	for _, c := range all {
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, badIdentity("the certificate of %q is not one of an authority", shown(c.Subject.String()))
		}
	}
	pools := sync.OnceValue(func() pools { return sorted(all) })
	return &identity{issuer: issuer, subject: subject, certificates: all, pools: pools}, nil
}

// identifies reports whether a text can be an issuer or a subject. What is not printed
// as it stands, and not kept by JSON, would be another one each time that it is read.
func identifies(text string) bool {
	return text != "" && len(text) <= maxIdentityText && utf8.ValidString(text) && text == strings.TrimSpace(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func badIdentity(format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindInvalid, "signing.identity", format, args...)
}

// parseIdentity reads what [Identity.Encode] wrote.
func parseIdentity(b []byte) (*identity, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemIdentity || len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) != 2 || len(b) > maxKeyFile {
		return nil, badIdentity("it is not one identity in PEM").WithHint("`towpath trust add` makes it of --issuer, --subject and --authority")
	}
	return newIdentity(block.Headers[headerIssuer], block.Headers[headerSubject], block.Bytes)
}

// isIdentity tells an identity from a public key.
func isIdentity(b []byte) bool {
	block, _ := pem.Decode(b)
	return block != nil && block.Type == pemIdentity
}

// ReadTrusted reads what may stand in a [TrustedKey]: a public key, or an identity,
// in PEM. It returns the ID by which bundles name it, and the one form of it.
func ReadTrusted(b []byte) (KeyID, []byte, error) {
	read, err := readTrusted(TrustedKey{PublicKey: string(b)})
	if err != nil {
		return "", nil, err
	}
	if i := read.identity; i != nil {
		return read.id, i.encode(), i.rooted()
	}
	text, err := EncodePublic(read.public)
	return read.id, text, err
}

// ReadIdentity reads what [Identity.Encode] wrote; ok is false of a public key.
func ReadIdentity(b []byte) (i Identity, ok bool, err error) {
	if !isIdentity(b) {
		return Identity{}, false, nil
	}
	read, err := parseIdentity(b)
	if err != nil {
		return Identity{}, true, err
	}
	var authority bytes.Buffer
	for _, c := range read.certificates {
		authority.Write(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw}))
	}
	return Identity{Issuer: read.issuer, Subject: read.subject, Authority: authority.String()}, true, nil
}

// Certified is a [Signer] that nobody trusts by its key: a certificate says whose it
// is. nil: it is trusted by its key after all.
type Certified interface {
	Signer
	Certificate() *x509.Certificate
}

func certificateOf(s Signer) *x509.Certificate {
	if c, ok := s.(Certified); ok {
		return c.Certificate()
	}
	return nil
}

// SignerID is the ID by which bundles of a signer name it.
func SignerID(s Signer) (KeyID, error) {
	if leaf := certificateOf(s); leaf != nil {
		who, err := readLeaf(leaf.Raw)
		return who.claim.Key, err
	}
	return IDOf(s.Public())
}

// provided shows the certificate of a signer to sigstore-go.
type provided struct{ leaf *x509.Certificate }

// GetCertificate implements [sign.CertificateProvider].
func (p provided) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return p.leaf.Raw, nil
}

// who signed, as a bundle says.
type who struct {
	claim  Claim             // less the type
	leaf   *x509.Certificate // nil of a key, as public is
	public *ecdsa.PublicKey
}

// signerOf reads who a bundle says that signed it. Nothing of it is proven.
func signerOf(b *bundle.Bundle) (who, error) {
	if leaf := b.GetVerificationMaterial().GetCertificate(); leaf != nil {
		return readLeaf(leaf.GetRawBytes())
	}
	return who{claim: Claim{Key: KeyID(b.GetVerificationMaterial().GetPublicKey().GetHint())}}, nil
}

// readLeaf reads the certificate of a signature, which must be about one subject.
func readLeaf(der []byte) (who, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return who{}, refuse(ReasonCertificate, "the certificate of the bundle can't be read").WithCause(err)
	}
	public, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return who{}, refuse(ReasonCertificate, "the certificate is not one of ECDSA P-256, the only algorithm that is accepted")
	}
	about, err := certificate.SummarizeCertificate(leaf)
	if err != nil || leaf.IsCA || !saysOnce(leaf, about) {
		return who{}, refuse(ReasonCertificate, "the certificate does not say which one subject signs, and who knows that").WithCause(err)
	}
	return who{leaf: leaf, public: public, claim: Claim{
		Key: identityID(about.Issuer, about.SubjectAlternativeName), Identity: shown(about.SubjectAlternativeName) + " (" + shown(about.Issuer) + ")",
		From: leaf.NotBefore, Until: leaf.NotAfter,
	}}, nil
}

// saysOnce reports whether a certificate says one subject and one issuer, and has them
// letter for letter: of two, or of what one reader tidies up, two readers might believe
// different ones.
func saysOnce(leaf *x509.Certificate, about certificate.Summary) bool {
	var names []asn1.RawValue
	issuers := 0
	for _, e := range leaf.Extensions {
		text := string(e.Value) // of an issuer as it was written before
		switch {
		case e.Id.Equal(cryptoutils.SANOID):
			if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
				return false
			}
			continue
		case e.Id.Equal(certificate.OIDIssuerV2):
			if certificate.ParseDERString(e.Value, &text) != nil {
				return false
			}
		case !e.Id.Equal(certificate.OIDIssuer): //nolint:staticcheck // it is read, so it is compared
			continue
		}
		if issuers++; text != about.Issuer {
			return false
		}
	}
	return len(names) == 1 && string(names[0].Bytes) == about.SubjectAlternativeName && issuers > 0 &&
		identifies(about.SubjectAlternativeName) && identifies(about.Issuer)
}

// verify checks that the authority handed a certificate out, and that what it
// certifies signed. The chain is judged when the certificate begins and has to last
// until it ends: so the answer is the same at any time, and when it counts is for
// [Verifier.Allows]. Else an authority that has expired, whose key may be anybody's by
// now, could certify for ever, with certificates that begin in its time.
func (i *identity) verify(b *bundle.Bundle, leaf *x509.Certificate) error {
	of := i.pools()
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: of.roots, Intermediates: of.between, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return refuse(ReasonCertificate, "the certificate of %s is not one of the authority that is trusted", shown(i.subject)).WithCause(err)
	}
	ends := func(c *x509.Certificate) bool { return c.NotAfter.Before(leaf.NotAfter) }
	if !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return !slices.ContainsFunc(chain, ends) }) {
		return refuse(ReasonCertificate, "the certificate of %s is valid for longer than the authority that handed it out", shown(i.subject))
	}
	content, err := b.SignatureContent()
	if err != nil {
		return refuse(ReasonMalformed, "the bundle has no signature").WithCause(err)
	}
	material, err := b.VerificationContent()
	if err == nil {
		err = verify.VerifySignature(content, material, nil)
	}
	if err != nil {
		return refuse(ReasonSignature, "the signature is not one of %s over this content: one of them was changed", shown(i.subject)).WithCause(err)
	}
	return nil
}
