package secretscan

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp/syntax"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// token is a GitHub token of the test's own making.
func token(random *rand.Rand) string {
	b := []byte("gh" + "p_")
	for range 36 {
		b = append(b, letters[random.IntN(len(letters))])
	}
	return string(b)
}

func key(random *rand.Rand) string {
	return "-----BEGIN EC PRIVATE" + " KEY-----\n" + token(random)[4:] + token(random)[4:] + "\n-----END EC PRIVATE" + " KEY-----\n"
}

// long are credentials that are longer than what their rules look at.
func long(random *rand.Rand) []string {
	text := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	in64 := base64.StdEncoding.EncodeToString([]byte("-----BEGIN RSA PRIVATE" + " KEY-----\n" + text(1592)))
	return []string{
		in64 + "\n", in64[:64] + "\n" + in64[64:128] + "\n", "op" + "s_ey" + "J" + text(850), "ya" + "29." + text(400),
		"ey" + "J" + text(40) + ".ey" + "J" + text(5000) + "." + text(342), `"au` + `th": "` + base64.StdEncoding.EncodeToString([]byte("AWS:"+text(1900))) + `"`,
		"pass" + "word" + strings.Repeat(" ", 150) + `= "` + text(17) + `"`, "Pass" + "word=" + text(17) + ";a=b",
	}
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) } //nolint:gosec // it is to repeat

func findings(t testing.TB, s *Scanner, r io.Reader) []Finding {
	t.Helper()
	var out []Finding
	if err := s.Scan(t.Context(), "dir/file", r, func(f Finding) { out = append(out, f) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestScanner_Scan(t *testing.T) {
	random := seeded()
	s := New()
	t.Run("names file, line and rule", func(t *testing.T) {
		got := findings(t, s, strings.NewReader("one\ntwo "+token(random)+"\r\n\nfour\n"+key(random)))
		if len(got) != 2 || got[0].String() != "dir/file:2: github-token: a GitHub token" || got[1].Line != 5 {
			t.Fatalf("%v", got)
		}
	})
	t.Run("has no field that could hold what was found", func(t *testing.T) {
		secret := token(random)
		got := findings(t, s, strings.NewReader(secret))
		b, err := json.Marshal(got)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		for _, text := range []string{string(b), fmt.Sprintf("%+v", got), got[0].String()} {
			for part := 4; part+8 <= len(secret); part++ {
				if strings.Contains(text, secret[part:part+8]) {
					t.Fatalf("a finding shows a part of the value: %s", text)
				}
			}
		}
		kind := reflect.TypeFor[Finding]()
		var fields []string
		for _, f := range reflect.VisibleFields(kind) {
			fields = append(fields, f.Name)
		}
		if want := []string{"Rule", "ID", "Description", "File", "Line", "Offset"}; !slices.Equal(fields, want) {
			t.Fatalf("a finding has %v, want %v: it must tell nothing of what it found", fields, want)
		}
	})
	t.Run("finds tokens and keys in a binary, wherever they stand, and guesses nothing there", func(t *testing.T) {
		guess := `pass` + `word = "` + token(random)[8:24] + `"`
		got := findings(t, s, strings.NewReader("\x7fELF\x00abc"+token(random)+"abc\x00"+key(random)+guess))
		if len(got) != 2 || got[0].Line != 0 || got[0].Place() != "dir/file (byte 8)" || got[1].ID != "private-key" {
			t.Fatalf("%v", got)
		}
	})
	t.Run("shows a name that can't be printed in quotes", func(t *testing.T) {
		if got := (Finding{File: "a\nb", Line: 3}).Place(); got != `"a\nb":3` {
			t.Fatal(got)
		}
	})
	t.Run("passes on what the reader and the context say", func(t *testing.T) {
		broken := errors.New("broken")
		if err := s.Scan(t.Context(), "f", iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Scan(ctx, "f", strings.NewReader(""), nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// Wherever a stream is cut, and however little its reader gives at a time, the
// same is found, once.
func TestScanner_CutsMakeNoDifference(t *testing.T) {
	random := seeded()
	var text bytes.Buffer
	count := 0
	for text.Len() < 120_000 {
		text.WriteString(strings.Repeat("x ", random.IntN(300)))
		for _, s := range []string{token(random), "\n", key(random), token(random)[8:22] + ".atlas" + "v1." + token(random)[4:] + token(random)[4:34], "secret" + "_key: " + token(random)[4:] + "\n", "-----BEGIN ", "gh" + "p_"} {
			if random.IntN(2) == 0 {
				text.WriteString(s + " ")
			}
		}
		text.WriteString(long(random)[count%8] + " ")
		count++
	}
	want := findings(t, newScanner(1<<20), bytes.NewReader(text.Bytes()))
	if len(want) < count*3/2 {
		t.Fatalf("only %d findings in %d pieces", len(want), count)
	}
	for _, rule := range []string{"private-key-base64", "onepassword-token", "gcp-access-token", "jwt", "docker-auth", "assigned-secret"} {
		if !slices.ContainsFunc(want, func(f Finding) bool { return f.ID == rule }) {
			t.Fatalf("nothing of %s is found", rule)
		}
	}
	for _, size := range []int{1, 2, 7, 64, 1000, lookAhead - 1, lookAhead, lookAhead + 1, 20_000} {
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(text.Bytes()), "halves": iotest.HalfReader(bytes.NewReader(text.Bytes())),
		} {
			if got := findings(t, newScanner(size), r); !slices.Equal(got, want) {
				t.Fatalf("cut by %d, read in %s: %d findings, want %d", size, name, len(got), len(want))
			}
		}
	}
}

// A file of one endless line is scanned in the memory of a short one.
func TestScanner_BoundedMemory(t *testing.T) {
	const size = 64 << 20
	s := New()
	r := io.MultiReader(io.LimitReader(endless{}, size), strings.NewReader(" "+token(seeded())))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := findings(t, s, r)
	runtime.ReadMemStats(&after)
	if len(got) != 1 || got[0].Line != 1 || got[0].Offset != size+1 {
		t.Fatalf("%v", got)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Fatalf("%d bytes were allocated for a file of %d", grown, size)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "key=value&token=abc; "[i%21]
	}
	return len(p), nil
}

func TestAutomaton(t *testing.T) {
	random := seeded()
	for range 300 {
		var words []string
		for range 1 + random.IntN(6) {
			w := make([]byte, 1+random.IntN(4))
			for i := range w {
				w[i] = "abc_"[random.IntN(4)]
			}
			words = append(words, string(w))
		}
		text := make([]byte, random.IntN(60))
		for i := range text {
			text[i] = "abcABC_x\xff"[random.IntN(9)]
		}
		a := newAutomaton(words)
		var got []string
		var state uint32
		for at := 0; at < len(text); {
			var read int
			state, read = a.step(state, text[at:])
			at += read
			for _, id := range a.ended(state) {
				got = append(got, fmt.Sprint(at, words[id], id))
			}
		}
		var want []string
		for end := 1; end <= len(text); end++ {
			for id, w := range words {
				if strings.HasSuffix(strings.ToLower(string(text[:end])), w) {
					want = append(want, fmt.Sprint(end, w, id))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q in %q: %v, want %v", words, text, got, want)
		}
	}
}

func TestRules_AreWellFormed(t *testing.T) {
	ids := map[string]bool{}
	for _, r := range rules() {
		if ids[r.ID] || r.Description == "" || len(r.keywords) == 0 || (r.pattern == nil) == (r.find == nil) {
			t.Errorf("%s: it is there twice, or lacks a description, keywords or a test", r.ID)
		}
		ids[r.ID] = true
		if r.before > lookBehind || r.before+r.reach > lookAhead {
			t.Errorf("%s looks further than the engine gives it", r.ID)
		}
		if r.pattern != nil {
			tree, err := syntax.Parse(r.pattern.String(), syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			if n := longest(tree); n >= r.reach {
				t.Errorf("%s: a match of %d bytes fills the window of %d, and is taken for one that goes on", r.ID, n, r.reach)
			}
		}
		for i, k := range r.keywords {
			if k != strings.ToLower(k) || k == "" || len(k) > longestKeyword || r.exact != nil && strings.ToLower(r.exact[i]) != k {
				t.Errorf("%s: the keyword %q", r.ID, k)
			}
		}
		if r.token && r.exact == nil {
			t.Errorf("%s is told in binaries without its case", r.ID)
		}
	}
}

// longest is how many bytes of ASCII a pattern matches at most; -1 means that
// there is no bound.
func longest(e *syntax.Regexp) int {
	switch e.Op {
	case syntax.OpLiteral:
		return len(e.Rune)
	case syntax.OpCharClass:
		return 1
	case syntax.OpStar, syntax.OpPlus:
		return -1
	}
	all := 0
	for _, sub := range e.Sub {
		n := longest(sub)
		switch {
		case n < 0:
			return -1
		case e.Op == syntax.OpAlternate:
			all = max(all, n)
		default:
			all += n
		}
	}
	if e.Op == syntax.OpRepeat {
		if e.Max < 0 {
			return -1
		}
		all *= e.Max
	}
	return all
}

func FuzzScan(f *testing.F) {
	random := seeded()
	f.Add([]byte("a "+token(random)+" b"), uint16(1))
	f.Add([]byte(key(random)), uint16(30))
	f.Add([]byte(`secret`+`_key = "`+token(random)+`"`), uint16(5))
	f.Add([]byte("x\x00"+token(random)), uint16(100))
	f.Add([]byte(strings.Repeat("a\n", 3000)+token(random)), uint16(0))
	f.Add([]byte("amqp"+"://a:b4567@h machine a login b pass"+"word c"), uint16(3))
	whole := newScanner(1 << 20)
	var cuts []*Scanner // making one takes longer than a scan
	for _, size := range []int{1, 2, 7, 100, 1000, lookAhead} {
		cuts = append(cuts, newScanner(size))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		want := findings(t, whole, bytes.NewReader(text))
		if got := findings(t, cuts[int(cut)%len(cuts)], bytes.NewReader(text)); !slices.Equal(got, want) {
			t.Fatalf("cut by %d: %v, want %v", cuts[int(cut)%len(cuts)].chunk, got, want)
		}
		for _, f := range want {
			if f.Offset < 0 || f.Offset >= int64(len(text)) || f.Line > 1+bytes.Count(text, []byte("\n")) {
				t.Fatalf("%+v is outside of the text", f)
			}
		}
	})
}
