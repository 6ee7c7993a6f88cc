package signing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// KeyID names a public key: the base64 of the SHA-256 of its PKIX DER. It is
// the hint that a bundle carries to say which key signed it.
type KeyID string

// pemPublic is the type of the PEM block that a public key is in.
const pemPublic = "PUBLIC KEY"

// maxKeyFile bounds the file of a key, in bytes.
const maxKeyFile = 64 << 10

// IDOf is the ID of a public key.
func IDOf(public *ecdsa.PublicKey) (KeyID, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", towpath.E(towpath.KindInvalid, "signing.key-id", "the public key is not a valid one").WithCause(err)
	}
	sum := sha256.Sum256(der)
	return KeyID(base64.StdEncoding.EncodeToString(sum[:])), nil
}

// EncodePublic is a public key in PEM, as cosign writes it to cosign.pub.
func EncodePublic(public *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "signing.encode-public", "the public key is not a valid one").WithCause(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParsePublic reads a public key in PEM: one block, and nothing else.
func ParsePublic(b []byte) (*ecdsa.PublicKey, error) {
	const op = "signing.parse-public"
	block, err := onlyBlock(op, "public key", b)
	if err != nil {
		return nil, err
	}
	if block.Type != pemPublic {
		return nil, towpath.E(towpath.KindInvalid, op, "a %q is no public key", shown(block.Type)).
			WithHint("give cosign.pub; `towpath key public` prints it")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the public key can't be read").WithCause(err)
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, notP256(op)
	}
	return public, nil
}

// notP256 refuses keys of other algorithms: each of them comes with a choice of
// hashes on which signer and verifier may differ.
func notP256(op string) error {
	return towpath.E(towpath.KindInvalid, op, "the key is not one of ECDSA P-256, the only algorithm that is accepted").
		WithHint("make one with `towpath key generate` or `cosign generate-key-pair`")
}

// onlyBlock is the one PEM block of a file.
func onlyBlock(op, what string, b []byte) (*pem.Block, error) {
	if len(b) > maxKeyFile {
		return nil, towpath.E(towpath.KindExhausted, op, "the file of the %s is larger than %d bytes", what, maxKeyFile).
			WithHint("give the file of one key")
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) > 0 {
		return nil, towpath.E(towpath.KindInvalid, op, "the %s is not one block of PEM", what).
			WithHint("give a file of one key, as `towpath key generate` writes it")
	}
	return block, nil
}

// shown is text from outside, short enough for a message.
func shown(text string) string {
	const most = 100
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
