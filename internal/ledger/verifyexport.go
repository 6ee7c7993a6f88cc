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
		expect = append(expect, expectation{trusted.Size, trusted.Root, "the trusted checkpoint"})
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxExportLine)
	if header, ok, err := nextLine(lines); err != nil || !ok || header.Version != exportVersion {
		return report, errExport(err)
	}
	a := newAudit(expect...)
	for report.Bad == nil {
		line, ok, err := nextLine(lines)
		if err != nil {
			return report, errExport(err)
		}
		if !ok {
			report.Bad = bad(ProblemUnsigned, 0, "", "the export ends without a checkpoint")
			break
		}
		if line.Checkpoint != "" {
			report.Bad = report.close(a, key, line.Checkpoint)
			break
		}
		report.Bad = a.line(line)
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
		return bad(ProblemTruncated, size+1, "", "the export ends at %d and the ledger had %d entries", size, last)
	case size > cp.Size:
		return bad(ProblemExtra, cp.Size+1, "", "the checkpoint covers %d entries only", cp.Size)
	}
	a.expect = append(a.expect, expectation{cp.Size, cp.Root, "the signed checkpoint"})
	return a.roots()
}

func nextLine(lines *bufio.Scanner) (line exportLine, ok bool, err error) {
	if !lines.Scan() {
		return line, false, lines.Err()
	}
	err = json.Unmarshal(lines.Bytes(), &line)
	return line, true, err
}

func errExport(cause error) error {
	e := towpath.E(towpath.KindInvalid, "ledger.verify", "the file is not an export of a ledger").
		WithHint("make one with: towpath audit export").WithCause(cause)
	if errors.Is(cause, bufio.ErrTooLong) {
		e.Message = "a line of the export is longer than any entry can be"
	}
	return e
}
