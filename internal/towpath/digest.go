package towpath

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"regexp"
)

// Digest names bytes by their hash: "sha256:" and 64 lower-case hex digits.
// The digest of a release is that of its OCI manifest.
type Digest string

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// DigestOf is the digest of b.
func DigestOf(b []byte) Digest {
	s := sha256.Sum256(b)
	return DigestFrom(s[:])
}

// DigestFrom makes a digest of a SHA-256 sum (32 bytes).
func DigestFrom(sum []byte) Digest { return Digest("sha256:" + hex.EncodeToString(sum)) }

// Valid reports whether d has the form of a digest.
func (d Digest) Valid() bool { return digestPattern.MatchString(string(d)) }

// Hex is the digest without its algorithm; it is empty for an invalid digest.
func (d Digest) Hex() string {
	if !d.Valid() {
		return ""
	}
	return string(d[len("sha256:"):])
}

// The algorithms that bytes are named by. Whatever Towpath names itself has a
// SHA-256 digest, and only that is [Digest.Valid]; what clients push into the
// registry may be named by SHA-512.
const (
	SHA256 = "sha256"
	SHA512 = "sha512"
)

var sha512Pattern = regexp.MustCompile(`^sha512:[0-9a-f]{128}$`)

// Algorithm is what a digest of either algorithm was made with; it is empty for
// what has the form of neither.
func (d Digest) Algorithm() string {
	switch {
	case d.Valid():
		return SHA256
	case sha512Pattern.MatchString(string(d)):
		return SHA512
	}
	return ""
}

// Encoded is the digest without its algorithm, which may be either.
func (d Digest) Encoded() string {
	if d.Algorithm() == "" {
		return ""
	}
	return string(d[len("sha256:"):]) // both names have the same length
}

// NewHash is the hash that digests of an algorithm are made with: SHA-512 for
// its name, SHA-256 for any other.
func NewHash(algorithm string) hash.Hash {
	if algorithm == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// DigestSum makes a digest of what was written to a hash of [NewHash].
func DigestSum(algorithm string, h hash.Hash) Digest {
	if algorithm != SHA512 {
		algorithm = SHA256
	}
	return Digest(algorithm + ":" + hex.EncodeToString(h.Sum(nil)))
}

// ParseDigest checks the form of s.
func ParseDigest(s string) (Digest, error) {
	d := Digest(s)
	if !d.Valid() {
		return "", E(KindInvalid, "digest.parse", "%q is not a digest", s).
			WithHint("a digest is sha256: and 64 hex digits")
	}
	return d, nil
}

// hashParts is the SHA-256 of the parts, each preceded by its length as eight
// bytes, big-endian.
func hashParts(parts []string) [32]byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

// HashOf is a digest over length-delimited parts, for plans and settings.
func HashOf(parts ...string) Digest {
	s := hashParts(parts)
	return DigestFrom(s[:])
}
