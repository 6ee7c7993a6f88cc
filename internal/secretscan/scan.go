package secretscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode"
)

// Finding is a place where a credential seems to stand. It tells neither the
// credential nor anything that was computed from it.
type Finding struct {
	Rule
	File string
	Line int // 1 is the first; 0 in a binary
	// Offset is where in the file it begins, in bytes: all there is to say of a
	// binary.
	Offset int64
}

// String is "path:line: rule: description".
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s", f.Place(), f.ID, f.Description)
}

// Place is where it stands: "path:line", or for a binary "path (byte 123)".
func (f Finding) Place() string {
	name := f.File
	for _, r := range name {
		if !unicode.IsPrint(r) {
			name = fmt.Sprintf("%q", name)
			break
		}
	}
	if f.Line == 0 {
		return fmt.Sprintf("%s (byte %d)", name, f.Offset)
	}
	return fmt.Sprintf("%s:%d", name, f.Line)
}

const (
	// sniffed is how much of a file is looked at for a NUL byte, which makes it
	// a binary.
	sniffed = 8 << 10
	// chunk is how much of a stream is read at a time.
	chunk = 256 << 10
)

// Scanner finds credentials. It is safe for concurrent use.
type Scanner struct {
	rules []rule
	auto  *automaton
	owner []keyword // by the automaton's keywords
	chunk int
	pool  sync.Pool // of *buffers
}

// buffers are what a scan needs of memory.
type buffers struct {
	head [sniffed]byte
	text []byte
}

// keyword is one keyword of a rule.
type keyword struct {
	rule   *rule
	index  int // among the rule's keywords
	length int
}

// New makes a scanner with all rules.
func New() *Scanner { return newScanner(chunk) }

func newScanner(chunk int) *Scanner {
	s := &Scanner{rules: rules(), chunk: chunk}
	var words []string
	for i := range s.rules {
		r := &s.rules[i]
		for k, w := range r.keywords {
			words = append(words, w)
			s.owner = append(s.owner, keyword{rule: r, index: k, length: len(w)})
		}
	}
	s.auto = newAutomaton(words)
	s.pool.New = func() any {
		return &buffers{text: make([]byte, lookBehind+longestKeyword+lookAhead+chunk)}
	}
	return s
}

// Scan reads a file to its end and calls found for each finding, in the order
// of the keywords in the file. Its memory does not depend on the file's size
// nor on the length of its lines. An error is the reader's or the context's.
func (s *Scanner) Scan(ctx context.Context, name string, r io.Reader, found func(Finding)) error {
	buf := s.pool.Get().(*buffers)
	defer s.pool.Put(buf)
	n, err := io.ReadFull(r, buf.head[:])
	if err != nil && !ended(err) {
		return err
	}
	p := &pass{Scanner: s, file: name, found: found, line: 1, binary: bytes.IndexByte(buf.head[:n], 0) >= 0}
	r = io.MultiReader(bytes.NewReader(buf.head[:n]), r)
	for eof := false; !eof; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf.text[p.filled:])
		if eof = ended(err); err != nil && !eof {
			return err
		}
		p.filled += n
		p.text = buf.text[:p.filled]
		p.advance(eof)
	}
	return nil
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// pass is one scan of one stream.
type pass struct {
	*Scanner
	file    string
	found   func(Finding)
	binary  bool
	text    []byte // a part of the stream
	filled  int    // its length
	base    int64  // where in the stream it begins
	done    int    // how much of it the automaton has read
	state   uint32 // of the automaton
	counted int    // how much of it has had its lines counted
	line    int    // the line at counted
}

// advance reads on as far as every keyword still has all that it may look at,
// and to the very end when the stream ended. Then it drops what is not needed
// any more. So each keyword is looked at exactly once, and with the same bytes
// round it wherever the stream was cut.
func (p *pass) advance(eof bool) {
	end := len(p.text) - lookAhead
	if eof {
		end = len(p.text)
	}
	for p.done < end {
		var read int
		p.state, read = p.auto.step(p.state, p.text[p.done:end])
		p.done += read
		for _, id := range p.auto.ended(p.state) {
			k := p.owner[id]
			p.look(k, p.done-k.length)
		}
	}
	drop := max(0, p.done-lookBehind-longestKeyword)
	p.countTo(drop)
	copy(p.text, p.text[drop:])
	p.base += int64(drop)
	p.filled, p.done, p.counted = p.filled-drop, p.done-drop, max(0, p.counted-drop)
}

// look tests one keyword's rule where the keyword stands.
func (p *pass) look(k keyword, at int) {
	if p.binary && !k.rule.token {
		return
	}
	from := max(0, at-lookBehind)
	around := p.text[from:min(len(p.text), at+lookAhead)]
	start, end, ok := k.rule.match(around, at-from, k.index, p.binary)
	if !ok || k.rule.guess && p.toldByFormat(around, start, end) {
		return
	}
	f := Finding{Rule: k.rule.Rule, File: p.file, Offset: p.base + int64(at)}
	if !p.binary {
		p.countTo(at)
		f.Line = p.line
	}
	p.found(f)
}

// toldByFormat says whether a rule of a format matches inside a part of text.
func (p *pass) toldByFormat(text []byte, from, to int) bool {
	var state uint32
	for at := from; at < to; {
		var read int
		state, read = p.auto.step(state, text[at:to])
		at += read
		for _, id := range p.auto.ended(state) {
			k := p.owner[id]
			if k.rule.guess {
				continue
			}
			if _, _, ok := k.rule.match(text, at-k.length, k.index, p.binary); ok {
				return true
			}
		}
	}
	return false
}

// countTo counts the lines before a place, once each.
func (p *pass) countTo(at int) {
	if at > p.counted {
		p.line += bytes.Count(p.text[p.counted:at], []byte("\n"))
		p.counted = at
	}
}
