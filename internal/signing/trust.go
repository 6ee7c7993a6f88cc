package signing

import (
	"crypto/ecdsa"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Trust is whom to believe, and what. Several keys are trusted at once, so that
// one can follow another with an overlap.
type Trust struct {
	Keys []TrustedKey `json:"keys"`
}

// TrustedKey is one public key, or one [Identity], and what it may say. Nothing is
// allowed unless it is listed.
type TrustedKey struct {
	Name      string `json:"name"`      // for people: "builder 2026"
	PublicKey string `json:"publicKey"` // PEM, see [ReadTrusted]
	// Types are the predicate types that the key may sign; [TypeBlob] for
	// signatures of plain bytes.
	Types []string `json:"types"`
	// NotBefore and NotAfter bound when a signature must be known to have
	// existed; zero is no bound. NotAfter is the first instant that is too late.
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// Revoked, if set, makes every signature of the key worthless, also those of
	// before: who has the key can make them look old.
	Revoked *Revocation `json:"revoked,omitempty"`
}

// TypeBlob stands among the types of a key for signatures of plain bytes, which
// have no predicate: what `cosign sign-blob` makes.
const TypeBlob = "blob"

// Revocation says why a key is not trusted any more.
type Revocation struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Verifier verifies bundles by a [Trust]. It is immutable and safe for
// concurrent use.
type Verifier struct{ keys map[KeyID]trusted }

// trusted is a key or an identity, read.
type trusted struct {
	TrustedKey
	id       KeyID
	public   *ecdsa.PublicKey // nil of an identity
	identity *identity
}

func readTrusted(k TrustedKey) (out trusted, err error) {
	out.TrustedKey = k
	if isIdentity([]byte(k.PublicKey)) {
		if out.identity, err = parseIdentity([]byte(k.PublicKey)); err == nil {
			out.id = identityID(out.identity.issuer, out.identity.subject)
		}
		return out, err
	}
	if out.public, err = ParsePublic([]byte(k.PublicKey)); err == nil {
		out.id, err = IDOf(out.public)
	}
	return out, err
}

// NewVerifier reads a trust. It reports all that is wrong with it at once.
func NewVerifier(t Trust) (*Verifier, error) {
	v := &Verifier{keys: map[KeyID]trusted{}}
	var problems []string
	for i, k := range t.Keys {
		at := fmt.Sprintf("key %d", i+1)
		if k.Name != "" {
			at += " (" + shown(k.Name) + ")"
		}
		problem := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
		read, err := readTrusted(k)
		if err != nil {
			message, _ := towpath.PublicMessage(err)
			problem("%s", message)
			continue
		}
		if other, twice := v.keys[read.id]; twice {
			problem("it is the same key as %q", other.Name)
		}
		if k.Name == "" {
			problem("it has no name")
		}
		if len(k.Types) == 0 || slices.Contains(k.Types, "") {
			problem("it is allowed to sign nothing: list the predicate types in `types`")
		}
		if !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter) {
			problem("it is never valid: notBefore is not before notAfter")
		}
		if k.Revoked != nil && k.Revoked.Reason == "" {
			problem("it is revoked without a reason")
		}
		v.keys[read.id] = read
	}
	if len(problems) > 0 {
		return nil, towpath.E(towpath.KindInvalid, "signing.trust", "the trusted keys are wrong: %s", strings.Join(problems, "; ")).
			WithHint("correct them; `towpath key public` prints a public key")
	}
	return v, nil
}

// usable is why a key can't vouch for a type of predicate at a time, or nil.
func (k trusted) usable(at time.Time, predicate string) error {
	switch {
	case k.Revoked != nil:
		return refuse(ReasonRevoked, "the key %q was revoked: %s", k.Name, k.Revoked.Reason).
			WithHint("build and sign again with a key that is trusted")
	case !k.NotBefore.IsZero() && at.Before(k.NotBefore):
		return refuse(ReasonNotYetValid, "the key %q is valid from %s, and the signature is of %s", k.Name, stamp(k.NotBefore), stamp(at))
	case !k.NotAfter.IsZero() && !at.Before(k.NotAfter):
		return refuse(ReasonExpired, "the key %q was valid until %s, and the signature is known since %s only", k.Name, stamp(k.NotAfter), stamp(at)).
			WithHint("sign again with a key that is valid")
	case !slices.Contains(k.Types, predicate):
		return refuse(ReasonNotAllowed, "the key %q may not sign %s", k.Name, predicate).
			WithHint("sign with a key that may, or add the type to the key's `types`")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
