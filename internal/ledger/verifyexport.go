package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// maxExportLine bounds a line: a leaf in base64 and what stands around it.
const maxExportLine = 2*MaxLeaf + 4096

// VerifyExport verifies what [Ledger.Export] wrote, with no database. The key
// and the trusted checkpoint, which may be nil, are the reader's own: those in
// the file prove nothing.
func VerifyExport(r io.Reader, key *merkle.Verifier, trusted *merkle.Checkpoint) (Report, error) {
	report := Report{Trusted: trusted}
	var expect []expectation
	if trusted != nil {
		if trusted.Origin != key.Name() {
			return report, towpath.E(towpath.KindInvalid, "ledger.verify", "the trusted checkpoint is of another ledger").On(trusted.Origin)
		}
		expect = append(expect, expectation{size: trusted.Size, root: trusted.Root, source: "the trusted checkpoint"})
	}
	lines := newExportLines(r)
	header, ok, err := lines.next()
	if err != nil || !ok || header.Version != exportVersion {
		return report, errExport(err)
	}
	a := newAudit(expect...)
	for report.Bad == nil {
		line, ok, err := lines.next()
		if err != nil {
			return report, errExport(err)
		}
		if !ok {
			report.Bad = bad(ProblemUnsigned, 0, "", "the export ends without a checkpoint")
			break
		}
		if line.Checkpoint != "" {
			if report.Bad = report.close(a, key, line.Checkpoint); report.Bad == nil {
				err = lines.end(header, key, report.Checkpoint)
			}
			if err != nil {
				return report, err
			}
			break
		}
		if report.Bad = a.line(line); report.Bad != nil && report.Bad.Problem == ProblemRoot {
			report.Bad.Message += lines.restoredSince(trusted, key)
		}
	}
	report.Entries = a.tree.Size()
	report.OK = report.Bad == nil
	return report, nil
}

// line checks one entry of an export and adds it.
func (a *audit) line(line exportLine) *Finding {
	seq := a.tree.Size() + 1
	if line.Seq != seq {
		return bad(ProblemMissing, seq, "", "the entry is missing: it was deleted or reordered")
	}
	leaf := []byte(line.Leaf)
	if leaf == nil {
		leaf = line.LeafBase64
	}
	h := merkle.LeafHash(leaf)
	if !bytes.Equal(h[:], line.Hash) {
		ev, _ := decode(leaf) // only to name it
		return bad(ProblemLeaf, seq, string(ev.ID), "the record does not have the hash that was stored with it: it was edited")
	}
	_, found := a.add(h, nil)
	return found
}

// close compares the whole with the checkpoint at the end.
func (r *Report) close(a *audit, key *merkle.Verifier, note string) *Finding {
	cp, err := key.Open(note)
	if err != nil {
		message, _ := towpath.PublicMessage(err)
		return bad(ProblemSignature, 0, "", "the export's checkpoint can't be trusted: %s", message)
	}
	r.Note, r.Checkpoint, r.Signed = note, &cp, cp.Size
	size := a.tree.Size()
	last := cp.Size
	if r.Trusted != nil {
		last = max(last, r.Trusted.Size)
	}
	switch {
	case size < last:
		since := restoredSince(r.Trusted, &cp)
		if size < cp.Size {
			since = ""
		}
		return bad(ProblemTruncated, size+1, "", "the export ends at %d and the ledger had %d entries%s", size, last, since)
	case size > cp.Size:
		return bad(ProblemExtra, cp.Size+1, "", "the checkpoint covers %d entries only", cp.Size)
	}
	a.expect = append(a.expect, expectation{size: cp.Size, root: cp.Root, source: "the signed checkpoint"})
	return a.roots()
}

// exportLines reads the lines of an export.
type exportLines struct {
	*bufio.Scanner
	scratch []byte
	number  int // of the line that was read last
}

func newExportLines(r io.Reader) *exportLines {
	l := &exportLines{Scanner: bufio.NewScanner(r)}
	l.Buffer(make([]byte, 0, 64<<10), maxExportLine)
	l.Split(splitLines)
	return l
}

// splitLines is [bufio.ScanLines], and keeps what stands before the newline.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// next reads a line, in the one form that it is written in.
func (l *exportLines) next() (line exportLine, ok bool, err error) {
	if !l.Scan() {
		return line, false, l.Err()
	}
	l.number++
	if err := json.Unmarshal(l.Bytes(), &line); err != nil {
		return line, true, err
	}
	if l.scratch = line.appendTo(l.scratch[:0]); !bytes.Equal(l.scratch[:len(l.scratch)-1], l.Bytes()) {
		return line, true, towpath.E(towpath.KindInvalid, "ledger.verify", "line %d of the export is not written as Towpath writes it: others may read something else in it than what was signed", l.number).
			WithHint("take a file that nobody has changed since towpath audit export wrote it")
	}
	return line, true, nil
}

// end makes sure that the file says nothing that its checkpoint does not cover.
func (l *exportLines) end(header exportLine, key *merkle.Verifier, cp *merkle.Checkpoint) error {
	if header.Size != cp.Size || header.Key != key.Public() {
		return towpath.E(towpath.KindInvalid, "ledger.verify", "the first line of the export names another size or key than its checkpoint has").
			WithHint("take a file that nobody has changed since towpath audit export wrote it")
	}
	if l.Scan() || l.Err() != nil {
		return towpath.E(towpath.KindInvalid, "ledger.verify", "the export goes on after its checkpoint, which covers nothing of that").
			WithHint("take a file that nobody has changed since towpath audit export wrote it").WithCause(l.Err())
	}
	return nil
}

// restoredSince reads on to the checkpoint, if it can be had, for what it says
// about a trusted one that the entries don't continue.
func (l *exportLines) restoredSince(trusted *merkle.Checkpoint, key *merkle.Verifier) string {
	for {
		line, ok, err := l.next()
		if err != nil || !ok {
			return ""
		}
		if line.Checkpoint != "" {
			cp, err := key.Open(line.Checkpoint)
			if err != nil {
				return ""
			}
			return restoredSince(trusted, &cp)
		}
	}
}

func errExport(cause error) error {
	if towpath.KindOf(cause) == towpath.KindInvalid {
		return cause
	}
	e := towpath.E(towpath.KindInvalid, "ledger.verify", "the file is not an export of a ledger").
		WithHint("make one with: towpath audit export").WithCause(cause)
	if errors.Is(cause, bufio.ErrTooLong) {
		e.Message = "a line of the export is longer than any entry can be"
	}
	return e
}
