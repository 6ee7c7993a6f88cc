package signing

import (
	"crypto"
	"encoding/hex"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// MaxBundle is the largest bundle that is read, in bytes: a bill of materials
// of a large project, in base64.
const MaxBundle = 16 << 20

// Requirement is what a bundle must prove. Everything is required: a bundle
// that proves something else proves nothing.
type Requirement struct {
	Type    string         // of the predicate
	Subject towpath.Digest // what the statement must be about
	// At is when the bundle is known to have existed: when our ledger recorded
	// it, or else now. Never a time that the bundle itself claims.
	At time.Time
}

// Verified is what a bundle proves.
type Verified struct {
	Statement *evidence.Statement // nil of a blob's signature
	// Payload is of the bytes that hold the statement and were signed. Those of the
	// bundle around them are anybody's to change.
	Payload towpath.Digest
	Key     KeyID
	KeyName string
	// Hand is the key that made the signature: that of an identity's certificate, else Key.
	Hand KeyID
}

// Verify checks that a bundle holds a statement of the required type about the
// required subject, signed once, by a key that may sign such statements and was
// valid. Its errors are denials with a [Reason].
func (v *Verifier) Verify(b []byte, want Requirement) (*Verified, error) {
	if err := want.check(); err != nil {
		return nil, err
	}
	read, err := parse(b)
	if err != nil {
		return nil, err
	}
	if err := onlyStatement(read.Bundle); err != nil {
		return nil, err
	}
	by, err := signerOf(read)
	if err != nil {
		return nil, err
	}
	key, err := v.key(by.claim, want.At, want.Type)
	if err != nil {
		return nil, err
	}
	statement, err := evidence.Parse(read.GetDsseEnvelope().GetPayload())
	if err != nil {
		message, _ := towpath.PublicMessage(err)
		return nil, refuse(ReasonStatement, "%s", message).WithCause(err)
	}
	// Nothing of the statement is believed before this. Its subject is checked
	// below, on the stricter of the two readings.
	hand := key.id
	if key.identity != nil {
		if err = key.identity.verify(read, by.leaf); err == nil {
			hand, err = IDOf(by.public)
		}
	} else {
		err = key.verify(read, verify.WithoutArtifactUnsafe())
	}
	if err != nil {
		return nil, err
	}
	if statement.Type != want.Type {
		return nil, refuse(ReasonPredicate, "the bundle says something else: it is a %q, not a %q", shown(statement.Type), want.Type)
	}
	if !statement.About(want.Subject) {
		return nil, refuse(ReasonSubject, "the bundle is about something else than %s", want.Subject).On(string(want.Subject))
	}
	return &Verified{
		Statement: statement, Payload: towpath.DigestOf(read.GetDsseEnvelope().GetPayload()), Key: key.id, KeyName: key.Name, Hand: hand,
	}, nil
}

// VerifyBlob checks the signature of plain bytes, which are given by digest:
// what `cosign sign-blob` makes.
func (v *Verifier) VerifyBlob(b []byte, blob towpath.Digest, at time.Time) (*Verified, error) {
	if err := (Requirement{Type: TypeBlob, Subject: blob, At: at}).check(); err != nil {
		return nil, err
	}
	read, err := parse(b)
	if err != nil {
		return nil, err
	}
	message := read.GetMessageSignature()
	if message == nil {
		return nil, refuse(ReasonContent, "the bundle holds no signature of plain bytes")
	}
	by, err := signerOf(read)
	if err != nil {
		return nil, err
	}
	key, err := v.key(by.claim, at, TypeBlob)
	if err != nil {
		return nil, err
	}
	if key.identity != nil {
		return nil, refuse(ReasonNotAllowed, "plain bytes are believed of keys only")
	}
	sum, err := hex.DecodeString(blob.Hex())
	if err != nil {
		return nil, err
	}
	if d := message.GetMessageDigest(); d.GetAlgorithm() != common.HashAlgorithm_SHA2_256 || string(d.GetDigest()) != string(sum) {
		return nil, refuse(ReasonSubject, "the bundle is about something else than %s", blob).On(string(blob))
	}
	if err := key.verify(read, verify.WithArtifactDigest("sha256", sum)); err != nil {
		return nil, err
	}
	return &Verified{Key: key.id, KeyName: key.Name, Hand: key.id}, nil
}

// Claim is what a bundle says that it is; nothing of it is proven.
type Claim struct {
	Type string // of the predicate
	Key  KeyID
	// Identity is whose certificate the bundle has, for people; empty: it names a key.
	// A signature counts while the certificate does: from From until Until.
	Identity    string
	From, Until time.Time
}

// Read says what a bundle claims to be, so that it can be verified as that.
func Read(b []byte) (Claim, error) {
	read, err := parse(b)
	if err != nil {
		return Claim{}, err
	}
	if err := onlyStatement(read.Bundle); err != nil {
		return Claim{}, err
	}
	by, err := signerOf(read)
	if err != nil {
		return Claim{}, err
	}
	c := by.claim
	c.Key = KeyID(shown(string(c.Key)))
	statement, err := evidence.Parse(read.GetDsseEnvelope().GetPayload())
	if err != nil {
		message, _ := towpath.PublicMessage(err)
		return c, refuse(ReasonStatement, "%s", message).WithCause(err)
	}
	c.Type = statement.Type
	return c, nil
}

// Allows says why a bundle that claims something proves nothing, whatever its
// signature is: nobody trusts the key, or it may not sign this, or could not at the
// time (as of [Requirement]). When it may, Verify answers the same at any time and
// under any other keys: what it found out about the bundle can be used again.
func (v *Verifier) Allows(c Claim, at time.Time) error {
	if c.Type == "" || at.IsZero() {
		return less()
	}
	_, err := v.key(c, at, c.Type)
	return err
}

// Payload is what a bundle says, whoever signed it, read as [Verifier.Verify]
// reads it. Nothing of it is proven. Its error is that the bundle says nothing: no
// verifier takes it as a statement either.
func Payload(b []byte) ([]byte, error) {
	read, err := decode(b)
	if err != nil {
		return nil, err
	}
	envelope := read.GetDsseEnvelope()
	if envelope == nil {
		return nil, refuse(ReasonContent, "the bundle holds no statement")
	}
	return envelope.GetPayload(), nil
}

// check refuses a caller that asks for less than everything.
func (r Requirement) check() error {
	if r.Type == "" || !r.Subject.Valid() || r.At.IsZero() {
		return less()
	}
	return nil
}

func less() error {
	return towpath.E(towpath.KindInternal, "signing.verify", "a bundle was to be verified without saying what it must prove")
}

// parse reads a bundle of the one version that is accepted, which names a key or has
// one certificate.
func parse(b []byte) (*bundle.Bundle, error) {
	if len(b) > MaxBundle {
		return nil, refuse(ReasonTooLarge, "the bundle has %d bytes; at most %d are read", len(b), MaxBundle)
	}
	read, err := decode(b)
	if err != nil {
		return nil, err
	}
	if read.GetMediaType() != oci.MediaTypeBundle {
		return nil, refuse(ReasonMalformed, "the bundle is a %q, not a %s", shown(read.GetMediaType()), oci.MediaTypeBundle).
			WithHint("sign with cosign 3, or 2 with --new-bundle-format")
	}
	if m := read.GetVerificationMaterial(); m.GetPublicKey() == nil && m.GetCertificate() == nil {
		return nil, refuse(ReasonCertificate, "the bundle has neither the name of a key nor one certificate").
			WithHint("sign with a key (`cosign sign --key`, `towpath release build --key`), or with one certificate")
	}
	return read, nil
}

// decode is the one reader of bundles. Their JSON is that of protocol buffers,
// which has several ways to write the same: names of members, forms of base64. What
// is around a signature is anybody's to write, so that a second reader would be one
// to hide from.
func decode(b []byte) (*bundle.Bundle, error) {
	read := &bundle.Bundle{}
	if err := read.UnmarshalJSON(b); err != nil {
		return nil, refuse(ReasonMalformed, "it is not a Sigstore bundle").WithCause(err)
	}
	return read, nil
}

// onlyStatement refuses a bundle that is not one statement, signed once.
// Another payload type would have its bytes read as something that the signer
// did not mean.
func onlyStatement(b *protobundle.Bundle) error {
	envelope := b.GetDsseEnvelope()
	switch {
	case envelope == nil:
		return refuse(ReasonContent, "the bundle holds a signature of plain bytes, not a statement").
			WithHint("make statements with `towpath release build --key`, `cosign attest` or `cosign sign`")
	case envelope.GetPayloadType() != PayloadType:
		return refuse(ReasonPayloadType, "the bundle holds a %q, not an in-toto statement", shown(envelope.GetPayloadType()))
	case len(envelope.GetSignatures()) != 1:
		return refuse(ReasonSignatures, "the bundle has %d signatures; exactly one is accepted", len(envelope.GetSignatures()))
	}
	return nil
}

// key is who a bundle says that signed it, if that is trusted and may be.
func (v *Verifier) key(c Claim, at time.Time, predicate string) (trusted, error) {
	key, ok := v.keys[c.Key]
	certified := c.Identity != ""
	if !ok || certified != (key.identity != nil) {
		if certified {
			return trusted{}, refuse(ReasonUnknownKey, "the bundle was signed by %s, who is not trusted", c.Identity).
				WithHint("sign with a trusted key, or trust this identity: `towpath trust add NAME --issuer … --subject … --authority …`")
		}
		return trusted{}, refuse(ReasonUnknownKey, "the bundle was signed with the key %q, which is not trusted", shown(string(c.Key))).
			WithHint("sign with a trusted key, or trust this one")
	}
	if certified && at.Before(c.From) {
		return trusted{}, refuse(ReasonNotYetValid, "the certificate of %s is valid from %s, and the signature is of %s", c.Identity, stamp(c.From), stamp(at)).
			WithHint("compare the server's clock with the authority's, and sign again")
	}
	if certified && at.After(c.Until) {
		return trusted{}, refuse(ReasonExpired, "the certificate of %s was valid from %s until %s, and the signature is known since %s only",
			c.Identity, stamp(c.From), stamp(c.Until), stamp(at)).WithHint("publish what is signed while the certificate is valid")
	}
	return key, key.usable(at, predicate)
}

// verify checks the signature with this key and no other.
func (k trusted) verify(b *bundle.Bundle, about verify.ArtifactPolicyOption) error {
	verifier, err := signature.LoadVerifier(k.public, crypto.SHA256)
	if err != nil {
		return refuse(ReasonSignature, "the key %q can't verify", k.Name).WithCause(err)
	}
	only := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifier, k.NotBefore, k.NotAfter), nil
	})
	// No time in the bundle is believed, so none is asked for: when the key was
	// valid is judged by usable. The statement is read by package evidence.
	check, err := verify.NewVerifier(only, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	if err == nil {
		_, err = check.Verify(b, verify.NewPolicy(about, verify.WithKey()))
	}
	if err != nil {
		return refuse(ReasonSignature, "the signature is not one of the key %q over this content: one of them was changed", k.Name).WithCause(err)
	}
	return nil
}
