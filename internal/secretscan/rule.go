package secretscan

import (
	"crypto/sha256"
	"embed" // this package's source
	"encoding/hex"
	"math"
	"regexp"
	"strings"
)

// Rule is what one kind of credential is called.
type Rule struct {
	ID          string
	Description string // completes "this looks like …"
}

// rule is how one kind of credential is told: a keyword that every one of them
// has, and a test of what stands round it.
type rule struct {
	Rule
	keywords []string // in lower case; the engine finds them in any case
	// exact says that the keyword's own case counts.
	exact []string
	// before is how many bytes the credential begins before its keyword.
	before int
	loose  bool // what stands before that does not matter
	// pattern must match where the credential begins; its first group, or
	// without one all of it, is the secret. Nothing beyond reach is looked at:
	// a format without a longest may fill that, any other must be shorter.
	pattern *regexp.Regexp
	reach   int
	entropy float64 // the least of the secret, in bits a byte
	// token says that the format is so particular that it can also be told
	// inside a binary, where any byte may stand before and after it.
	token bool
	// accept, if set, has the last word on a match of the pattern.
	accept func(text []byte, groups []int) bool
	// find, if set, stands in the place of the pattern: it gets the text round
	// the keyword that goes from `at` to end, and says what in it is the secret.
	find func(text []byte, at, end int) (from, to int, ok bool)
	// guess says that the rule goes by the name that a value is given. What
	// another rule tells by its format is not reported by this one too.
	guess bool
}

const (
	// lookBehind and lookAhead are how far round the beginning of a keyword a
	// rule may look. They bound the memory of a scan, and make a finding depend
	// on these bytes alone: where a stream is cut makes no difference.
	lookBehind = 64
	lookAhead  = 4096
	// longestKeyword bounds the keywords; a test holds the rules to it.
	longestKeyword = 64
	// usualReach is enough for all but a few formats.
	usualReach = 320
)

// match says whether a keyword at `at` belongs to a credential, and where its
// secret stands in text.
func (r *rule) match(text []byte, at, keyword int, binary bool) (from, to int, ok bool) {
	if r.find != nil {
		return r.find(text, at, at+len(r.keywords[keyword]))
	}
	start := at - r.before
	if start < 0 || r.exact != nil && (string(text[at:at+len(r.exact[keyword])]) != r.exact[keyword] || !binary && !r.loose && insideWord(text, start)) {
		return 0, 0, false
	}
	end := min(len(text), start+r.reach)
	groups := r.pattern.FindSubmatchIndex(text[start:end])
	if groups == nil {
		return 0, 0, false
	}
	for i := range groups {
		groups[i] += start
	}
	// What goes on where the window ends is as much of the credential as was
	// looked at: a key may be longer than any reach.
	if !binary && groups[1] < end && wordByte(text[groups[1]-1]) && wordByte(text[groups[1]]) {
		return 0, 0, false
	}
	from, to = groups[0], groups[1]
	if len(groups) > 2 {
		from, to = groups[2], groups[3]
	}
	if secret := text[from:to]; entropy(secret) < r.entropy || placeholder(secret) {
		return 0, 0, false
	}
	return from, to, r.accept == nil || r.accept(text, groups)
}

//go:embed assignment.go automaton.go formats.go names.go rule.go scan.go
var sources embed.FS

// Version names the rules and how they are applied: equal versions find the
// same in the same bytes. It is made of this package's own source, because a
// number that is raised by hand is forgotten, and then what an older version
// took for clean stays clean.
func Version() string {
	files, err := sources.ReadDir(".")
	if err != nil {
		panic("secretscan: its own source is embedded: " + err.Error())
	}
	sum := sha256.New()
	for _, f := range files {
		src, err := sources.ReadFile(f.Name())
		if err != nil {
			panic("secretscan: its own source is embedded: " + err.Error())
		}
		one := sha256.Sum256(src)
		_, _ = sum.Write(one[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// Rules are all rules, in a fixed order.
func Rules() []Rule {
	all := rules()
	out := make([]Rule, len(all))
	for i, r := range all {
		out[i] = r.Rule
	}
	return out
}

// insideWord says whether text goes on a word at `at`. What is written for a
// line break or another byte, as in "\nword" or "%3Dword", ends one.
func insideWord(text []byte, at int) bool {
	if at == 0 || !wordByte(text[at-1]) || !wordByte(text[at]) {
		return false
	}
	escaped := at >= 2 && text[at-2] == '\\' && strings.IndexByte("nrt", text[at-1]) >= 0
	encoded := at >= 3 && text[at-3] == '%'
	return !escaped && !encoded
}

func wordByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// entropy is Shannon's, of the bytes' frequencies, in bits a byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	h, n := 0.0, float64(len(b))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}

// placeholder says that a value is written to be replaced, as documentation
// does, and is no secret.
func placeholder(secret []byte) bool {
	s := strings.ToLower(string(secret[:min(len(secret), usualReach)]))
	for _, word := range []string{"example", "placeholder", "changeme", "change_me", "change-me", "replaceme", "replace_me", "replace-me",
		"your_", "your-", "yourpass", "yourtoken", "yoursecret", "xxxxx", "*****", ".....", "redacted", "dummy", "0123456789abcdef", "1234567890abcdef", "abcdefghij"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
