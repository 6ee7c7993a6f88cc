package secretscan

import (
	"bytes"
	"slices"
	"strings"
)

const (
	mostName      = 40  // bytes of a name after its telling part
	mostValue     = 200 // bytes of a value that is looked at
	leastQuoted   = 8   // bytes of a value in quotes, or of an environment file
	leastUnquoted = 16  // bytes of any other value
)

// findAssigned tells a value that is given to a telling name, in code or
// configuration: name = "value", "name": "value", NAME=value. The name is at
// `at`, and its telling part ends at end.
func findAssigned(text []byte, at, end int) (from, to int, ok bool) {
	name := endOf(text, end, func(b byte) bool { return !wordByte(b) && b != '-' && b != '.' })
	is, ok := skipIs(text, name)
	if !ok || is.ofAnARN(text[:at]) {
		return 0, 0, false
	}
	if c := text[is.end]; c == '"' || c == '\'' || c == '`' {
		from = is.end + 1
		to = endOf(text, from, func(b byte) bool { return b == c || b < ' ' })
		ok = to < len(text) && text[to] == c && secretValue(text[from:to], leastQuoted)
	} else {
		from, to = is.end, endOf(text, is.end, endsPlain)
		least := leastUnquoted
		if !is.spaced && lineOfEnv(text, at) {
			least = leastQuoted
		}
		ok = to-from >= least && (endsLine(text, to) || is.endsItem(text, to)) && plain(text[from:to]) && secretValue(text[from:to], least)
	}
	return from, to, ok && !ofThePublic(text[:at]) && !tellsAbout(text[end:name])
}

// endsPlain says that a byte ends a value without quotes.
func endsPlain(b byte) bool { return b <= ' ' || strings.IndexByte(",;\"'`\\&}", b) >= 0 }

// assignment is what stands between a name and its value.
type assignment struct {
	sign   string
	spaced bool // there is a space before or after the sign
	end    int  // where the value begins
}

// skipIs goes over what stands between a name and its value. Formatters align
// values, so there may be many spaces.
func skipIs(text []byte, i int) (is assignment, ok bool) {
	i += len(text[i:min(len(text), i+2)]) - len(bytes.TrimLeft(text[i:min(len(text), i+2)], `"'])`))
	blank := func() {
		from := i
		i = endOf(text, i, func(b byte) bool { return b != ' ' && b != '\t' })
		is.spaced = is.spaced || i > from
	}
	blank()
	for _, sign := range []string{":=", "=>", "=", ":"} {
		if bytes.HasPrefix(text[i:], []byte(sign)) {
			i += len(sign)
			blank()
			is.sign, is.end = sign, i
			// == and =~ compare; they give nothing.
			return is, i < len(text) && text[i] != '=' && text[i] != '~'
		}
	}
	return is, false
}

// endsItem says whether a value without quotes that does not end its line ends
// at i all the same: with the string that it stands in, or as an item of a list.
// After a name and its = without a space that is so in connection strings, in
// queries of URLs and on command lines; after a colon in YAML's {a: b, c: d}. In
// other places the same bytes go on an expression.
func (is assignment) endsItem(text []byte, i int) bool {
	tight := is.sign == "=" && !is.spaced
	switch text[i] {
	case '"', '\'', '`':
		return true
	case '\\': // of a quote or the end of a line in a string
		return i+1 < len(text) && strings.IndexByte(`nrt"'`, text[i+1]) >= 0
	case ',', '}':
		return tight || is.sign == ":"
	case ';', '&', ' ', '\t':
		return tight
	}
	return false
}

// ofAnARN says whether what is assigned is a part of an AWS resource's name,
// which before ends: arn:aws:secretsmanager:region:account:secret:name.
func (is assignment) ofAnARN(before []byte) bool {
	return is.sign == ":" && !is.spaced && bytes.HasSuffix(before, []byte(":"))
}

func endOf(text []byte, i int, stop func(byte) bool) int {
	end := min(len(text), i+mostValue)
	for i < end && !stop(text[i]) {
		i++
	}
	return i
}

// lineOfEnv says whether a line is one of an environment file: NAME=value, with
// the name in capitals, from the line's beginning on.
func lineOfEnv(text []byte, at int) bool {
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	line := bytes.TrimPrefix(text[start:], []byte("export "))
	name, _, _ := bytes.Cut(line[:min(len(line), mostValue)], []byte("="))
	for _, b := range name {
		if b != '_' && (b < '0' || b > '9') && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return true
}

// endsLine says whether nothing but a comment follows on the line.
func endsLine(text []byte, i int) bool {
	rest := text[i:min(len(text), i+mostValue)]
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	rest = bytes.TrimLeft(rest, " \t\r,;")
	return len(rest) == 0 || rest[0] == '#' || bytes.HasPrefix(rest, []byte("//"))
}

// plain says that a value without quotes is no expression of a language.
func plain(value []byte) bool {
	return !bytes.ContainsAny(value, "()[]{}<>") && !bytes.Contains(value, []byte("::")) && !dotted(value)
}

// dotted says that a value is a chain of names, such as request.token.
func dotted(value []byte) bool {
	if bytes.IndexByte(value, '.') < 0 {
		return false
	}
	for part := range bytes.SplitSeq(value, []byte(".")) {
		if len(part) == 0 || '0' <= part[0] && part[0] <= '9' {
			return false
		}
		for _, b := range part {
			if !wordByte(b) {
				return false
			}
		}
	}
	return true
}

// secretValue says that a value looks as if a machine or a careful person had
// made it: letters and digits, no words, enough variety.
func secretValue(value []byte, least int) bool {
	if len(value) < least || len(value) >= mostValue || placeholder(value) || refers(value) || !mixed(value) {
		return false
	}
	bits := 3.0
	if len(value) >= 16 {
		bits = 3.3
	}
	return entropy(value) >= bits-entropySlack(len(value))
}

// mixed says that letters and digits alternate as they do in what is random:
// words, a word with a number and names in camel case do not.
func mixed(value []byte) bool {
	var count [256]int // by class
	var digitTurns, turns int
	var last byte
	for _, b := range value {
		var class byte
		switch {
		case 'a' <= b && b <= 'z':
			class = 'a'
		case 'A' <= b && b <= 'Z':
			class = 'A'
		case '0' <= b && b <= '9':
			class = '0'
		case b <= ' ' || b > '~':
			return false // prose, or nothing that is typed
		default:
			continue
		}
		count[class]++
		if last != 0 && class != last {
			turns++
			if class == '0' || last == '0' {
				digitTurns++
			}
		}
		last = class
	}
	if count['0'] >= 2 && digitTurns >= 3 {
		return true
	}
	return count['0'] >= 1 && count['a'] >= 2 && count['A'] >= 2 && turns*9 >= len(value)*4
}

// entropySlack lets short values pass that repeat one byte: eight bytes can
// have no more than three bits.
func entropySlack(n int) float64 {
	if n < 12 {
		return 0.5
	}
	return 0
}

// refers says that a value stands for something that is filled in elsewhere, or
// is a place.
func refers(value []byte) bool {
	s := strings.ToLower(string(value))
	for _, mark := range []string{"${", "$(", "{{", "}}", "<%", "%(", "%s", "%v", "%d", "://", "arn:", "sha256:", "sha512:", "sha1:", "sha256-", "sha384-", "sha512-", "aws4_request", "$argon2", "$2a$", "$2b$", "$2y$"} {
		if strings.Contains(s, mark) {
			return true
		}
	}
	for _, word := range []string{"password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "credential", "test", "fake", "sample", "demo", "foobar", "default", "none", "null"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return s[0] == '$' || s[0] == '%' || s[0] == '<' || s[0] == '/' || s[0] == '.' || s[0] == '@' || s[0] == '#' || s[0] == '&' || s[0] == '*'
}

// findURLPassword tells scheme://user:password@host.
func findURLPassword(text []byte, at, user int) (from, to int, ok bool) {
	if at == 0 || !wordByte(text[at-1]) {
		return 0, 0, false
	}
	stop := func(b byte) bool {
		return b <= ' ' || b > '~' || strings.IndexByte("/:@\"'`<>\\,;(){}[]|", b) >= 0
	}
	colon := endOf(text, user, stop)
	if colon >= len(text) || text[colon] != ':' {
		return 0, 0, false
	}
	from = colon + 1
	to = endOf(text, from, stop)
	if to >= len(text)-1 || text[to] != '@' || to-from < 4 || !wordByte(text[to+1]) && text[to+1] != '[' {
		return 0, 0, false
	}
	secret := text[from:to]
	return from, to, !commonPassword(text[user:colon], secret) && !placeholder(secret) && secret[0] != '$' && secret[0] != '%' && !digitsOnly(secret)
}

// commonPassword says that a password is one that only documentation and local
// databases have.
func commonPassword(user, secret []byte) bool {
	s := strings.ToLower(string(secret))
	return bytes.EqualFold(user, secret) || slices.Contains([]string{
		"password", "passwd", "pass", "pwd", "secret", "token", "user", "username", "admin", "root", "test", "guest",
		"postgres", "mysql", "redis", "rabbitmq", "foobar", "hunter2", "s3cret",
	}, s)
}

// digitsOnly is a port, not a password: http://host:8080@…
func digitsOnly(b []byte) bool {
	return len(bytes.Trim(b, "0123456789")) == 0
}
