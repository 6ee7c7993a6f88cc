package secretscan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
)

// Finding is a credential in a file. It does not have its value.
type Finding struct {
	Rule        string `json:"rule"`
	Description string `json:"description"` // "a GitHub token"
	File        string `json:"file"`
	Line        int    `json:"line"` // from 1; of a binary file 0
}

// String is the finding on one line.
func (f Finding) String() string {
	at := f.File
	if f.Line > 0 {
		at += ":" + strconv.Itoa(f.Line)
	}
	return at + ": " + f.Description + " (" + f.Rule + ")"
}

// Version changes when files that were clean may not be clean any more.
const Version = "1"

const (
	chunk = 256 << 10 // bytes that are read at a time
	// reach is the largest window of a rule to either side of its text: what of
	// the file decides about a finding.
	reach = 1 << 10
	// sniffed is how much of a file tells a binary one: it has a zero byte there.
	sniffed = 8 << 10
)

// maxFindings bounds what is told of one file.
const maxFindings = 100

// Scan reads a file to its end and lists what it finds, by line. Memory does
// not grow with the file.
func Scan(ctx context.Context, file string, r io.Reader) ([]Finding, error) {
	return newScan(file).run(ctx, r, chunk)
}

func newScan(file string) *scan {
	return &scan{file: file, rules: all(), found: map[place]bool{}, exact: map[int]bool{}, named: map[Finding]bool{}}
}

// run reads so many bytes at a time.
func (s *scan) run(ctx context.Context, r io.Reader, size int) ([]Finding, error) {
	buf, started := make([]byte, 0, max(size, sniffed)+2*reach), false
	for end := false; !end && len(s.out) < maxFindings; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		want := size
		if !started {
			want = max(size, sniffed)
		}
		n, err := io.ReadFull(r, buf[len(buf):len(buf)+want])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		buf, end = buf[:len(buf)+n], err != nil
		if !started {
			s.binary, started = bytes.IndexByte(buf[:min(len(buf), sniffed)], 0) >= 0, true
		}
		buf = s.step(buf, end)
	}
	return s.result(), nil
}

// result is what was found, by line, each thing once: a value that has a known
// format is not told by its name too.
func (s *scan) result() []Finding {
	s.out = slices.DeleteFunc(s.out, func(f Finding) bool { return s.named[f] && s.exact[f.Line] })
	slices.SortFunc(s.out, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule)) })
	return slices.Compact(s.out)
}

// place is where a secret of a rule begins in the file.
type place struct {
	rule int
	at   int64
}

// scan is the state of one [Scan].
type scan struct {
	file   string
	rules  *ruleSet
	binary bool
	base   int64 // offset of the buffer in the file
	lines  int   // before the buffer
	done   int   // bytes of the buffer before which every text was looked at
	found  map[place]bool
	out    []Finding
	exact  map[int]bool     // lines that have a credential of a known format
	named  map[Finding]bool // those found by a name, which such a line needs no more
}

// step looks at every text that begins where all of its window is there, and
// gives the rest of the buffer that is still needed.
func (s *scan) step(buf []byte, end bool) []byte {
	limit := len(buf)
	if !end {
		limit = max(s.done, len(buf)-reach)
	}
	s.rules.literals.find(buf[s.done:min(len(buf), limit+longest)], func(at, rule int) {
		if at += s.done; at < limit {
			s.look(buf, at, rule)
		}
	})
	s.done = limit
	drop := max(0, s.done-reach)
	s.lines += bytes.Count(buf[:drop], []byte{'\n'})
	s.base += int64(drop)
	s.done -= drop
	return append(buf[:0], buf[drop:]...)
}

// look asks a rule about the window around its text.
func (s *scan) look(buf []byte, at, i int) {
	r := &s.rules.rules[i]
	if s.binary && !r.exact || len(s.out) >= maxFindings {
		return
	}
	from, to := max(0, at-r.before), min(len(buf), at+r.after)
	if r.quick != nil && !r.quick(buf[at:to]) {
		return
	}
	if r.parse != nil {
		if a, b, ok := r.parse(buf[at:to]); ok {
			s.note(buf, i, at+a, at+b)
		}
		return
	}
	for _, m := range r.pattern.FindAllSubmatchIndex(buf[from:to], -1) {
		if from+m[0] <= at && at < from+m[1] { // otherwise it is another text's
			s.note(buf, i, from+m[2], from+m[3])
		}
	}
}

// note takes what may be a secret.
func (s *scan) note(buf []byte, i, from, to int) {
	r, p := &s.rules.rules[i], place{i, s.base + int64(from)}
	if s.found[p] || !r.accept(buf[from:to]) {
		return
	}
	s.found[p] = true
	f := Finding{Rule: r.id, Description: r.description, File: s.file}
	if !s.binary {
		f.Line = s.lines + 1 + bytes.Count(buf[:from], []byte{'\n'})
	}
	s.out = append(s.out, f)
	if r.exact {
		s.exact[f.Line] = true
	} else {
		s.named[f] = true
	}
}

// longest is the length of the longest text of a rule.
const longest = 64

// all is the rules, made at the first use.
var all = sync.OnceValue(func() *ruleSet {
	rules := exact()
	rules = append(rules, named()...)
	return &ruleSet{rules: rules, literals: newLiterals(rules)}
})

// ruleSet is the rules with the automaton of their texts.
type ruleSet struct {
	rules    []rule
	literals *literals
}
