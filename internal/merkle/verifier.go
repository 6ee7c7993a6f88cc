package merkle

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/towpath"
)

// Verifier checks what a [Key] signed.
type Verifier struct {
	verifier note.Verifier
	public   string
}

// NewVerifier reads what [Key.Public] gave.
func NewVerifier(public string) (*Verifier, error) {
	public = strings.TrimSpace(public)
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "merkle.verifier", "the text is not the public key of a ledger").
			WithHint("it reads name+hash+key; the server shows it").WithCause(err)
	}
	return &Verifier{verifier: v, public: public}, nil
}

// Name is the origin of the checkpoints.
func (v *Verifier) Name() string { return v.verifier.Name() }

// Public is the text of the key.
func (v *Verifier) Public() string { return v.public }

// Open checks the signature of a checkpoint's note and reads it.
func (v *Verifier) Open(signed string) (Checkpoint, error) {
	text, err := v.open(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, towpath.E(towpath.KindConflict, "merkle.open", "the checkpoint is of another log").On(c.Origin)
	}
	return c, nil
}

// OpenStatement checks the signature of a statement of a kind and returns its
// body.
func (v *Verifier) OpenStatement(kind, signed string) (body string, err error) {
	text, err := v.open(signed)
	if err != nil {
		return "", err
	}
	first, body, _ := strings.Cut(text, "\n")
	if first != kind || kind == v.Name() {
		return "", towpath.E(towpath.KindConflict, "merkle.open", "the statement is of another kind").On(first)
	}
	return strings.TrimSuffix(body, "\n"), nil
}

func (v *Verifier) open(signed string) (string, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(v.verifier))
	if err != nil {
		return "", towpath.E(towpath.KindConflict, "merkle.open", "the signature is not of the ledger's key").
			On(v.Name()).WithHint("it was altered, or the ledger's key is not the one you know").WithCause(err)
	}
	return n.Text, nil
}

// publicOf derives the verifier's key from the text of a valid signing key,
// whose last part is base64 of the algorithm's byte and the seed.
func publicOf(secret string) (string, error) {
	parts := strings.SplitN(secret, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 5 || len(raw) != 1+ed25519.SeedSize {
		return "", towpath.E(towpath.KindInvalid, "merkle.key", "the signing key is not an Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", towpath.E(towpath.KindInternal, "merkle.key", "the signing key has no public half")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
