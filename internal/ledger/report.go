package ledger

import (
	"fmt"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/towpath"
)

// Problem is what is wrong with an entry.
type Problem string

// The problems.
const (
	ProblemMissing   Problem = "missing"   // no entry has this seq, later ones exist
	ProblemTruncated Problem = "truncated" // the ledger ends before a checkpoint
	ProblemLeaf      Problem = "leaf"      // the record was edited
	ProblemColumn    Problem = "column"    // a projection of the record was edited
	ProblemReplaced  Problem = "replaced"  // another entry stood here: replaced or reordered
	ProblemTree      Problem = "tree"      // the tree's stored hashes were edited
	ProblemRoot      Problem = "root"      // entries and hashes were edited alike
	ProblemExtra     Problem = "extra"     // an entry was numbered without the sequencer
	ProblemUnsigned  Problem = "unsigned"  // no checkpoint was signed
	ProblemSignature Problem = "signature" // the checkpoint is not of the ledger's key
)

// Finding names the first bad entry of a ledger.
type Finding struct {
	Seq     int64           `json:"seq"`               // 0 when it is not about an entry
	Through int64           `json:"through,omitempty"` // the last entry, when only a range is known
	Event   towpath.EventID `json:"event,omitempty"`
	Problem Problem         `json:"problem"`
	Message string          `json:"message"`
}

func (f Finding) String() string {
	switch {
	case f.Seq == 0:
		return f.Message
	case f.Through > f.Seq:
		return fmt.Sprintf("entries %d to %d: %s", f.Seq, f.Through, f.Message)
	case f.Event != "":
		return fmt.Sprintf("entry %d (%s): %s", f.Seq, f.Event, f.Message)
	}
	return fmt.Sprintf("entry %d: %s", f.Seq, f.Message)
}

// Report is the outcome of a verification. A bad ledger is an outcome, not an
// error.
type Report struct {
	OK          bool               `json:"ok"`
	Entries     int64              `json:"entries"` // that were verified
	Signed      int64              `json:"signed"`  // of these, how many the checkpoint covers
	Unsequenced int64              `json:"unsequenced"`
	Checkpoint  *merkle.Checkpoint `json:"checkpoint,omitempty"`
	Note        string             `json:"note,omitempty"` // the checkpoint as signed: keep it
	Trusted     *merkle.Checkpoint `json:"trusted,omitempty"`
	Bad         *Finding           `json:"bad,omitempty"`
}

// restoredSince says, to follow what is wrong with regard to the trusted
// checkpoint, that a restore may be why.
func restoredSince(trusted, now *merkle.Checkpoint) string {
	if trusted == nil || now == nil || trusted.Epoch >= now.Epoch {
		return ""
	}
	return fmt.Sprintf("; since the trusted checkpoint, of epoch %d, the ledger was restored from a backup, and now is of epoch %d: ask who runs the server",
		trusted.Epoch, now.Epoch)
}

func bad(p Problem, seq int64, id, format string, args ...any) *Finding {
	return &Finding{Seq: seq, Event: towpath.EventID(id), Problem: p, Message: fmt.Sprintf(format, args...)}
}
