package access

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io"
	"strings"
)

// TokenPrefix begins every token, so that scanners of secrets find it.
const TokenPrefix = "twp_"

const (
	tokenRandom   = 30 // base62 characters: 178 bits
	tokenChecksum = 6  // base62 characters of a CRC-32 (IEEE) over the prefix and the random part
	tokenLength   = len(TokenPrefix) + tokenRandom + tokenChecksum

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewToken makes a bearer token from a source of random bytes, and the hash
// that is stored of it. The secret is shown once and never stored.
func NewToken(random io.Reader) (secret, hash string, err error) {
	var b strings.Builder
	b.WriteString(TokenPrefix)
	var buf [1]byte
	for b.Len() < len(TokenPrefix)+tokenRandom {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			return "", "", err
		}
		// 248 is the largest multiple of 62 in a byte: what is over it would
		// make the first characters of the alphabet likelier.
		if buf[0] < 248 {
			b.WriteByte(base62[buf[0]%62])
		}
	}
	secret = b.String() + checksum(b.String())
	return secret, Hash(secret), nil
}

// Hash is what is stored of a token: SHA-256 as lower-case hex. A token has
// 178 random bits, so that neither salt nor a slow hash adds anything.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// WellFormed reports whether s has the form and the checksum of a token. It
// lets a server refuse a mistyped token without asking its store, and a
// scanner drop false finds; it proves nothing about validity.
func WellFormed(s string) bool {
	if len(s) != tokenLength || !strings.HasPrefix(s, TokenPrefix) {
		return false
	}
	body, sum := s[:tokenLength-tokenChecksum], s[tokenLength-tokenChecksum:]
	for i := len(TokenPrefix); i < len(body); i++ {
		if strings.IndexByte(base62, body[i]) < 0 {
			return false
		}
	}
	return checksum(body) == sum
}

// checksum is the CRC-32 of s in base 62, most significant character first.
func checksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var out [tokenChecksum]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}
