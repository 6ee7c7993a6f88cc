package signing

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/towpath/towpath/internal/towpath"
)

// Types of the PEM block of an encrypted private key; cosign before 2.0 wrote
// the second.
const (
	pemPrivate       = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemPrivateBefore = "ENCRYPTED COSIGN PRIVATE KEY"
)

// PasswordEnv names the variable with the password of a key, as for cosign.
const PasswordEnv = "COSIGN_PASSWORD"

// Password asks for the password of a private key.
type Password func() ([]byte, error)

// Key is a private key in memory. Printed in any way, it shows its ID only.
type Key struct {
	private *ecdsa.PrivateKey
	id      KeyID
}

// Generate makes a new key.
func Generate() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "signing.generate", "no key can be made").WithCause(err)
	}
	return keyOf(private)
}

func keyOf(private *ecdsa.PrivateKey) (*Key, error) {
	id, err := IDOf(&private.PublicKey)
	return &Key{private: private, id: id}, err
}

// ID is the ID of its public key.
func (k *Key) ID() KeyID { return k.id }

// Public implements [Signer].
func (k *Key) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

// Sign implements [Signer].
func (k *Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	return k.SignDigest(ctx, sha256.Sum256(message))
}

// SignDigest signs a SHA-256 digest.
func (k *Key) SignDigest(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.private, digest[:])
}

// String shows no secret.
func (k *Key) String() string { return "key " + string(k.id) }

// GoString shows no secret.
func (k *Key) GoString() string { return k.String() }

// Format shows no secret, whatever the verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// Encrypt writes the key in cosign's format: PKCS #8 in NaCl's secret box, whose
// key is made of the password by scrypt.
func (k *Key) Encrypt(password []byte) ([]byte, error) {
	const op = "signing.encrypt"
	if len(password) == 0 {
		return nil, towpath.E(towpath.KindInvalid, op, "a key without a password is anybody's who reads the file").
			WithHint("set %s", PasswordEnv)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the key can't be written").WithCause(err)
	}
	box, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the key can't be encrypted").WithCause(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: box}), nil
}

// Decrypt reads a private key in cosign's format.
func Decrypt(b []byte, password Password) (*Key, error) {
	const op = "signing.decrypt"
	block, err := onlyBlock(op, "private key", b)
	if err != nil {
		return nil, err
	}
	if block.Type != pemPrivate && block.Type != pemPrivateBefore {
		return nil, towpath.E(towpath.KindInvalid, op, "a %q is no encrypted private key", shown(block.Type)).
			WithHint("give cosign.key as `towpath key generate` or cosign makes it; import others with `cosign import-key-pair`")
	}
	secret, err := password()
	if err != nil {
		return nil, err
	}
	der, err := encrypted.Decrypt(block.Bytes, secret)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the key can't be decrypted: the password is wrong, or the file is damaged").
			WithHint("set %s to the key's password", PasswordEnv).WithCause(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The cause may quote what was decrypted.
		return nil, towpath.E(towpath.KindInvalid, op, "what the file holds is not a private key")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, notP256(op)
	}
	return keyOf(private)
}

// Load reads the file of a private key.
func Load(path string, password Password) (*Key, error) {
	b, err := ReadKeyFile(path)
	if err != nil {
		return nil, err
	}
	key, err := Decrypt(b, password)
	var known *towpath.Error
	if errors.As(err, &known) && known.Subject == "" {
		known.Subject = path
	}
	return key, err
}

// ReadKeyFile reads the file of a private or a public key.
func ReadKeyFile(path string) ([]byte, error) {
	const op = "signing.load"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, towpath.E(towpath.KindNotFound, op, "there is no key").On(path).
			WithHint("make one with `towpath key generate`").WithCause(err)
	} else if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the key's file can't be read").On(path).WithCause(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the key's file can't be read").On(path).WithCause(err)
	}
	return b, nil
}

// WriteNew writes a new pair of files, the private key for its owner only. It
// replaces nothing: whatever was signed with a lost key can't be signed again.
func WriteNew(k *Key, password []byte, privatePath, publicPath string) (err error) {
	private, err := k.Encrypt(password)
	if err != nil {
		return err
	}
	public, err := EncodePublic(k.Public())
	if err != nil {
		return err
	}
	if err := writeNew(publicPath, public, 0o644); err != nil {
		return err
	}
	if err := writeNew(privatePath, private, 0o600); err != nil {
		_ = os.Remove(publicPath) // of a key that nobody will have
		return err
	}
	return nil
}

// Refuse is the error when one of the files is there already.
func Refuse(paths ...string) error {
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			return inTheWay(path, fs.ErrExist)
		}
	}
	return nil
}

func inTheWay(path string, cause error) error {
	return towpath.E(towpath.KindConflict, "signing.write", "there is such a file already, and a key is never replaced").On(path).
		WithHint("choose another name, or move the file away").WithCause(cause)
}

func writeNew(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return inTheWay(path, err)
	}
	if err == nil {
		_, err = f.Write(b)
		if err == nil {
			err = f.Sync()
		}
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(path)
		}
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "signing.write", "the key can't be written").On(path).WithCause(err)
	}
	return nil
}
