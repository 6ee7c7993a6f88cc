package secretscan

import (
	"slices"
	"strings"
)

// secretNames are the endings of names that secrets are given.
func secretNames() []string {
	return []string{
		"password", "passwd", "passphrase", "pwd", "secret", "token", "credential",
		"api_key", "apikey", "api-key", "access_key", "accesskey", "access-key", "auth_key", "authkey", "auth-key",
		"private_key", "privatekey", "private-key", "signing_key", "signingkey", "signing-key",
		"encryption_key", "encryptionkey", "encryption-key", "secret_key", "secretkey", "secret-key", "_pass", "dbpass",
	}
}

// aboutASecret are words with which a name does not hold the secret but says
// something about it: tokenUrl, password_file, secretName. Those of "tokenizer"
// are what is left of it after "token".
func aboutASecret() []string {
	return []string{
		"name", "username", "hostname", "filename", "namespace", "id", "uuid", "guid", "identifier", "ref", "reference", "path", "file", "dir", "directory",
		"type", "kind", "url", "uri", "endpoint", "host", "addr", "address", "issuer", "audience", "field", "label", "column", "param", "parameter", "header",
		"prefix", "suffix", "format", "formatter", "pattern", "regex", "regexp", "policy", "length", "len", "size", "hash", "hashed", "hasher", "digest", "sha", "sha256sum", "md", "md5sum", "checksum",
		"salt", "count", "counter", "limit", "ttl", "expiry", "expire", "expired", "expiration", "age", "time", "timeout", "timestamp", "lifetime", "date", "updated",
		"izer", "ization", "ize", "ized", "hint", "help", "helper", "text", "title", "message", "error", "description", "manager", "store", "storage", "usage",
		"provider", "version", "magic", "class", "public", "pub",
	}
}

// ofThePublic says whether a name's beginning, which text ends with, says that
// its value is shown to anyone: publicKeyToken, csrf_token.
func ofThePublic(text []byte) bool {
	from := len(text)
	for from > 0 && len(text)-from < mostName && (wordByte(text[from-1]) || text[from-1] == '-') {
		from--
	}
	name := strings.ToLower(string(text[from:]))
	return strings.Contains(name, "public") || strings.Contains(name, "csrf") || strings.Contains(name, "xsrf")
}

// tellsAbout says whether the rest of a name says that it does not hold the
// secret itself: by its first or its last word. Only whole words count, since
// DB_PASSWORD_STAGE says nothing of an age. An s that follows at once is one of
// the plural, as in secretsManagerPath, or the first letter of a word.
func tellsAbout(rest []byte) bool {
	name := string(rest)
	if len(name) > mostName || describes(name) {
		return true
	}
	return name != "" && (name[0] == 's' || name[0] == 'S') && describes(name[1:])
}

func describes(name string) bool {
	words := wordsOf(name)
	return len(words) > 0 && (about(words[0]) || about(words[len(words)-1]))
}

// about says whether a word, in any number, is one of aboutASecret.
func about(word string) bool {
	word = strings.TrimRight(strings.ToLower(word), "0123456789")
	known := aboutASecret()
	return slices.Contains(known, word) || slices.Contains(known, strings.TrimSuffix(word, "s")) || slices.Contains(known, strings.TrimSuffix(word, "es"))
}

// wordsOf are the words of a name: token_url, token-url, tokenUrl and tokenURL
// have two, tokenIDs too.
func wordsOf(name string) []string {
	var words []string
	from := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && alnum(name[i]) && (i == from || !beginsWord(name, i)) {
			continue
		}
		if i > from {
			words = append(words, name[from:i])
		}
		if from = i; i < len(name) && !alnum(name[i]) {
			from++
		}
	}
	return words
}

// beginsWord says whether a capital at i begins a word: one after a small
// letter or a digit, and the last of several that a small letter follows, unless
// that is the s of a plural.
func beginsWord(name string, i int) bool {
	if !capital(name[i]) {
		return false
	}
	if !capital(name[i-1]) {
		return true
	}
	return i+1 < len(name) && small(name[i+1]) && (name[i+1] != 's' || i+2 < len(name) && small(name[i+2]))
}

func capital(b byte) bool { return 'A' <= b && b <= 'Z' }

func small(b byte) bool { return 'a' <= b && b <= 'z' }

func alnum(b byte) bool { return b != '_' && wordByte(b) }
