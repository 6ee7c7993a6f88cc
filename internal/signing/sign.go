package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"

	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// PayloadType is what a bundle's envelope says that it holds.
const PayloadType = "application/vnd.in-toto+json"

// Signer signs with a key that it need not have: a file ([Key]), or a program
// that asks a key management service ([Exec]). A bundle names its key, or has its
// certificate ([Certified]).
type Signer interface {
	Public() *ecdsa.PublicKey // P-256
	// Sign signs a message: ECDSA over its SHA-256, ASN.1 DER.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Open opens a key by its name: a program after [ExecPrefix], or else a file,
// whose password is asked for.
func Open(ctx context.Context, name string, password Password) (Signer, error) {
	if strings.HasPrefix(name, ExecPrefix) {
		return OpenExec(ctx, name, 0)
	}
	return Load(name, password)
}

// Sign wraps a statement into a Sigstore bundle. The bundle names the key by
// its ID or has the signer's certificate, and carries neither a timestamp nor an entry of a transparency log:
// our ledger says when it was recorded.
func Sign(ctx context.Context, signer Signer, statement []byte) ([]byte, error) {
	const op = "signing.sign"
	if _, err := evidence.Parse(statement); err != nil {
		return nil, err // nobody would accept the signature
	}
	id, err := SignerID(signer)
	if err != nil {
		return nil, err
	}
	how := sign.BundleOptions{Context: ctx}
	if leaf := certificateOf(signer); leaf != nil {
		how.CertificateProvider = provided{leaf}
	}
	b, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: PayloadType}, keypair{signer, id}, how)
	var known *towpath.Error
	if errors.As(err, &known) {
		return nil, known // it says more
	}
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the key did not sign").On(string(id)).
			WithHint("check that the key, or the service that holds it, can be used").WithCause(err)
	}
	raw, err := protojson.Marshal(b)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the bundle can't be written").WithCause(err)
	}
	return oci.Canonical(json.RawMessage(raw))
}

// keypair shows a signer to sigstore-go.
type keypair struct {
	signer Signer
	id     KeyID
}

func (k keypair) GetHashAlgorithm() common.HashAlgorithm { return common.HashAlgorithm_SHA2_256 }

func (k keypair) GetSigningAlgorithm() common.PublicKeyDetails {
	return common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
}

func (k keypair) GetHint() []byte                { return []byte(k.id) }
func (k keypair) GetKeyAlgorithm() string        { return "ECDSA" }
func (k keypair) GetPublicKey() crypto.PublicKey { return k.signer.Public() }

func (k keypair) GetPublicKeyPem() (string, error) {
	b, err := EncodePublic(k.signer.Public())
	return string(b), err
}

// SignData checks what it signed: a fault in the key, or of who holds it, must
// not become a bundle that nobody can verify.
func (k keypair) SignData(ctx context.Context, data []byte) (signature, digest []byte, err error) {
	sum := sha256.Sum256(data)
	signature, err = k.signer.Sign(ctx, data)
	if err != nil {
		return nil, nil, err
	}
	if !ecdsa.VerifyASN1(k.signer.Public(), sum[:], signature) {
		return nil, nil, towpath.E(towpath.KindUnavailable, "signing.sign", "the signature is not one of the key %s", k.id)
	}
	return signature, sum[:], nil
}
