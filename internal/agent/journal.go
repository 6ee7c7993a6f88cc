package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// journal is the agent's memory: an append-only file of lines, each a CRC-32C
// in hex, a space and JSON. An entry that a method returned for is on disk. A
// last line that is incomplete was never acknowledged and is dropped; damage
// anywhere else stops the agent, since nobody knows what it has forgotten.
type journal struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	f     *os.File
	size  int64 // of what is known to be good
	base  int64 // size after the last compaction
	state *state
}

// compactFrom is the size below which a journal is left alone, in bytes.
const compactFrom = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openJournal(path string, now func() time.Time) (*journal, error) {
	j := &journal{path: path, now: now, state: newState()}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, j.fail("agent.journal.open", "the agent's journal can't be read", err)
	}
	good, err := j.replay(b)
	if err != nil {
		return nil, err
	}
	// Compacting writes a new file of what is good: the torn end is gone.
	j.size = good
	if err := j.compact(); err != nil {
		return nil, err
	}
	return j, nil
}

// replay takes the lines in and gives the length of the good part.
func (j *journal) replay(b []byte) (int64, error) {
	var good int64
	for n := 1; len(b) > 0; n++ {
		raw, rest, whole := bytes.Cut(b, []byte("\n"))
		l, err := decode(raw)
		if !whole || err != nil {
			if len(rest) == 0 {
				return good, nil
			}
			return 0, towpath.E(towpath.KindInternal, "agent.journal.open", "the agent's journal is damaged at line %d", n).On(j.path).WithCause(err).
				WithHint("check the disk; move the journal away only when nothing runs here, since rollbacks without approval need it")
		}
		j.state.apply(l)
		good += int64(len(raw)) + 1
		b = rest
	}
	return good, nil
}

func encode(l line) ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(b, castagnoli), b), nil
}

func decode(raw []byte) (line, error) {
	var l line
	sum, body, ok := bytes.Cut(raw, []byte(" "))
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) {
		return l, errors.New("the checksum does not match")
	}
	return l, json.Unmarshal(body, &l)
}

// write appends an entry, syncs it, and only then lets it count.
func (j *journal) write(l line) error {
	l.At = j.now().UTC()
	b, err := encode(l)
	if err != nil {
		return j.fail("agent.journal.write", "an entry can't be encoded", err)
	}
	_, err = j.f.WriteAt(b, j.size)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		// The next entry overwrites what of this one got to the file.
		return j.fail("agent.journal.write", "the agent's journal can't be written", errors.Join(err, j.f.Truncate(j.size)))
	}
	j.size += int64(len(b))
	j.state.apply(l)
	if j.size > compactFrom && j.size > 4*j.base {
		return j.compact()
	}
	return nil
}

// compact replaces the file by the fewest lines that add up to its state.
func (j *journal) compact() error {
	var buf bytes.Buffer
	for _, l := range j.state.lines() {
		b, err := encode(l)
		if err != nil {
			return j.fail("agent.journal.compact", "an entry can't be encoded", err)
		}
		buf.Write(b)
	}
	f, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return j.fail("agent.journal.compact", "the agent's journal can't be written", err)
	}
	_, err = io.Copy(f, bytes.NewReader(buf.Bytes()))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		_ = f.Close()
		return j.fail("agent.journal.compact", "the agent's journal can't be written", err)
	}
	j.close()
	j.f, j.size, j.base = f, int64(buf.Len()), int64(buf.Len())
	return nil
}

func (j *journal) fail(op, message string, err error) error {
	return towpath.E(towpath.KindUnavailable, op, "%s", message).On(j.path).WithCause(err).
		WithHint("check the disk's free space and the folder's permissions")
}

func (j *journal) close() {
	if j.f != nil {
		_ = j.f.Close()
	}
}

// accept takes an operation in. It refuses a fence that is not higher than the
// last one of the target, unless it has that very claim already. Fresh is
// whether the operation was not open before.
func (j *journal) accept(op towpath.Operation) (as assignment, fresh bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.state.target(op.Target).Fence
	was, open := j.state.open[op.ID]
	if open && was.Operation.Fence == op.Fence && op.Fence == last {
		return *was, false, nil
	}
	if op.Fence <= last {
		return assignment{}, false, towpath.E(towpath.KindLocked, "agent.accept",
			"fence %d is not higher than %d, the last one of the target", op.Fence, last).On(string(op.ID))
	}
	if err := j.write(line{What: wroteAccepted, Operation: &op}); err != nil {
		return assignment{}, false, err
	}
	return *j.state.open[op.ID], !open, nil
}

// intent says that the effect of an operation may begin.
func (j *journal) intent(id towpath.OperationID) error {
	return j.record(line{What: wroteIntent, ID: id})
}

// effect says that it is complete.
func (j *journal) effect(id towpath.OperationID) error {
	return j.record(line{What: wroteEffect, ID: id})
}

// done keeps the result until the server has it.
func (j *journal) done(id towpath.OperationID, r towpath.OperationResult) error {
	return j.record(line{What: wroteDone, ID: id, Result: &r})
}

// reported closes an operation: how says whether the server took the result.
func (j *journal) reported(id towpath.OperationID, how string) error {
	return j.record(line{What: wroteReported, ID: id, How: how})
}

// reportedFor closes an operation unless it has been claimed again since the
// fence that was reported for.
func (j *journal) reportedFor(id towpath.OperationID, fence int64, how string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if as, ok := j.state.open[id]; !ok || as.Operation.Fence != fence {
		return nil
	}
	return j.write(line{What: wroteReported, ID: id, How: how})
}

func (j *journal) record(l line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(l)
}

// find is an open operation as it stands.
func (j *journal) find(id towpath.OperationID) (assignment, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	as, ok := j.state.open[id]
	if !ok {
		return assignment{}, false
	}
	return *as, true
}

// open lists what is not reported yet, by target and fence.
func (j *journal) open() []assignment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.assignments()
}

// result is that of an operation which was done before and is claimed again.
func (j *journal) result(op towpath.Operation) (towpath.OperationResult, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.state.target(op.Target).Last
	if last == nil || last.Operation != op.ID {
		return towpath.OperationResult{}, false
	}
	return last.Result, true
}

// switched reports whether a revision has had the traffic of a target.
func (j *journal) switched(t towpath.Target, rev towpath.RevisionID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.state.target(t).Switched, func(x switchRecord) bool { return x.Revision == rev })
}

// layers lists those whose files are in use.
func (j *journal) layers() map[towpath.Digest]bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	used := map[towpath.Digest]bool{}
	for _, t := range j.state.targets {
		for _, l := range t.Layers {
			used[l] = true
		}
	}
	for _, as := range j.state.open {
		used[as.Operation.Spec.Layer] = true
	}
	return used
}

// summary is what the server is told at the start of a session.
func (j *journal) summary() agentrpc.JournalSummary {
	j.mu.Lock()
	defer j.mu.Unlock()
	var s agentrpc.JournalSummary
	for _, l := range j.state.lines() {
		if l.Target != nil {
			s.Fences = append(s.Fences, agentrpc.TargetFence{Target: l.Target.Target, Fence: l.Target.Fence})
		}
	}
	for _, as := range j.state.assignments() {
		s.Unfinished = append(s.Unfinished, agentrpc.UnfinishedOperation{
			Operation: as.Operation.ID, Target: as.Operation.Target, Fence: as.Operation.Fence, Phase: as.Phase,
		})
	}
	return s
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
