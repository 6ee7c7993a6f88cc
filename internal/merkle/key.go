package merkle

import (
	"crypto/rand"
	"log/slog"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/towpath"
)

// Key signs checkpoints and statements. It redacts itself when it is printed
// or logged.
type Key struct {
	signer note.Signer
	public string
	secret string
}

// GenerateKey makes a key. name becomes the origin of its checkpoints; it has
// no space nor plus.
func GenerateKey(name string) (*Key, error) {
	secret, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, "merkle.key", "no key could be generated").WithCause(err)
	}
	return ParseKey(secret)
}

// ParseKey reads what [Key.Secret] gave.
func ParseKey(secret string) (*Key, error) {
	secret = strings.TrimSpace(secret)
	signer, err := note.NewSigner(secret)
	if err != nil {
		// The cause quotes nothing of the key.
		return nil, towpath.E(towpath.KindInvalid, "merkle.key", "the text is not a signing key").
			WithHint("it starts with PRIVATE+KEY+").WithCause(err)
	}
	public, err := publicOf(secret)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, public: public, secret: secret}, nil
}

// Name is the origin of the checkpoints that the key signs.
func (k *Key) Name() string { return k.signer.Name() }

// Public is the text of the verifier's key, for [NewVerifier].
func (k *Key) Public() string { return k.public }

// Secret is the text to be kept in a file that nobody else reads.
func (k *Key) Secret() string { return k.secret }

// String shows the public half only.
func (k *Key) String() string { return k.public }

// GoString shows the public half only.
func (k *Key) GoString() string { return k.public }

// LogValue shows the public half only.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.public) }

// Verifier is the public half.
func (k *Key) Verifier() (*Verifier, error) { return NewVerifier(k.public) }

// Sign makes a signed note of a checkpoint, whose origin becomes the key's
// name.
func (k *Key) Sign(c Checkpoint) (string, error) {
	c.Origin = k.Name()
	return k.sign(c.Text())
}

// SignStatement signs something else than a checkpoint, such as a record of
// approval. kind is its first line, which keeps statements of one kind from
// being taken for another or for a checkpoint.
func (k *Key) SignStatement(kind, body string) (string, error) {
	if kind == "" || strings.Contains(kind, "\n") || kind == k.Name() {
		return "", towpath.E(towpath.KindInternal, "merkle.sign", "%q can't be the kind of a statement", kind)
	}
	return k.sign(kind + "\n" + strings.TrimSuffix(body, "\n") + "\n")
}

func (k *Key) sign(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		return "", towpath.E(towpath.KindInternal, "merkle.sign", "the text can't be signed").WithCause(err)
	}
	return string(signed), nil
}
