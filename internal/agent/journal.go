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
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// journal is the agent's memory: an append-only file of lines, each a CRC-32C
// in hex, a space and JSON. An entry that a method returned for is on disk. A
// last line that is incomplete was never acknowledged and is dropped; damage
// anywhere else stops the agent, since nobody knows what it has forgotten.
type journal struct {
	fs   blob.FS
	path string
	now  func() time.Time

	mu    sync.Mutex
	f     blob.File // nil when nobody knows what the file has: the next entry begins a new one
	size  int64     // of what is known to be good
	base  int64     // size after the last compaction
	small int64     // below this size it is left alone
	state *state
}

// compactFrom is from which size on a journal is compacted, in bytes.
const compactFrom = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal reads the journal at a path, whose folder exists.
func openJournal(fsys blob.FS, path string, now func() time.Time) (*journal, error) {
	j := &journal{fs: fsys, path: path, now: now, small: compactFrom, state: newState()}
	b, err := j.read()
	if err != nil {
		return nil, j.fail("agent.journal.open", "the agent's journal can't be read", err)
	}
	if err := j.replay(b); err != nil {
		return nil, err
	}
	// Compacting writes a new file of what is good: the torn end is gone.
	if err := j.compact(); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *journal) read() ([]byte, error) {
	f, err := j.fs.Open(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// replay takes the lines in, up to a torn end.
func (j *journal) replay(b []byte) error {
	for n := 1; len(b) > 0; n++ {
		raw, rest, whole := bytes.Cut(b, []byte("\n"))
		l, err := decode(raw)
		if !whole || err != nil {
			if len(rest) == 0 {
				return nil
			}
			return towpath.E(towpath.KindInternal, "agent.journal.open", "the agent's journal is damaged at line %d", n).On(j.path).WithCause(err).
				WithHint("check the disk; move the journal away only when nothing runs here, since rollbacks without approval need it")
		}
		j.state.apply(l)
		b = rest
	}
	return nil
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
	if j.f == nil {
		if err := j.compact(); err != nil {
			return err
		}
	}
	_, err = j.f.Write(b)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		// What of it is on disk nobody knows, and a later sync of the same file
		// may succeed without writing anything.
		j.close()
		return j.fail("agent.journal.write", "the agent's journal can't be written", err)
	}
	j.size += int64(len(b))
	j.state.apply(l)
	if j.size > j.small && j.size > 4*j.base {
		_ = j.compact() // the entry is on disk either way; the next one tries again
	}
	return nil
}

// compact replaces the file by the fewest lines that add up to its state. When
// it fails, either file may have the name: nothing is written to the old one
// any more.
func (j *journal) compact() error {
	j.close()
	var buf bytes.Buffer
	for _, l := range j.state.lines() {
		b, err := encode(l)
		if err != nil {
			return j.fail("agent.journal.compact", "an entry can't be encoded", err)
		}
		buf.Write(b)
	}
	f, err := j.replace(buf.Bytes())
	if err != nil {
		return j.fail("agent.journal.compact", "the agent's journal can't be written", err)
	}
	j.f, j.size, j.base = f, int64(buf.Len()), int64(buf.Len())
	return nil
}

// replace puts a new file in place, which has the content on disk, and leaves
// it open for more.
func (j *journal) replace(content []byte) (blob.File, error) {
	fresh := j.path + ".new"
	if err := j.fs.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := j.fs.Create(fresh)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.Rename(fresh, j.path)
	}
	if err == nil {
		err = j.fs.SyncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (j *journal) fail(op, message string, err error) error {
	return towpath.E(towpath.KindUnavailable, op, "%s", message).On(j.path).WithCause(err).
		WithHint("check the disk's free space and the folder's permissions")
}

func (j *journal) close() {
	if j.f != nil {
		_ = j.f.Close() // all that counts has been synced
		j.f = nil
	}
}

// accept takes an operation in. It refuses a fence that is not higher than the
// last one of the target, unless it has that very claim already, and, as a conflict,
// an open operation with another spec: the one that it has was checked. Fresh is
// whether the operation was not open before.
func (j *journal) accept(op towpath.Operation) (as assignment, fresh bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.state.seen(op.Target).Fence
	was, open := j.state.open[op.ID]
	if open && was.Operation.Fence == op.Fence && op.Fence == last {
		return *was, false, nil
	}
	if op.Fence <= last {
		return assignment{}, false, towpath.E(towpath.KindLocked, "agent.accept",
			"fence %d is not higher than %d, the last one of the target", op.Fence, last).On(string(op.ID))
	}
	if open && was.Operation.SpecDigest != op.SpecDigest {
		return assignment{}, false, towpath.E(towpath.KindConflict, "agent.accept",
			"the agent refuses the operation: it was given it before with the spec %s, and now with %s", was.Operation.SpecDigest, op.SpecDigest).On(string(op.ID)).
			WithHint("check the server's database and what stands between it and the agent, and deploy again")
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

// done keeps the result until the server has it. An error is that of one try:
// when the operation has been claimed again since the fence, which is another
// try, there is nothing to keep.
func (j *journal) done(id towpath.OperationID, fence int64, r towpath.OperationResult) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if as, ok := j.state.open[id]; ok && r.Status == towpath.ResultError && as.Operation.Fence != fence {
		return nil
	}
	return j.write(line{What: wroteDone, ID: id, Result: &r})
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
	last := j.state.seen(op.Target).Last
	if last == nil || last.Operation != op.ID {
		return towpath.OperationResult{}, false
	}
	return last.Result, true
}

// switched reports whether a revision has had the traffic of a target.
func (j *journal) switched(t towpath.Target, rev towpath.RevisionID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.state.seen(t).Switched, func(x switchRecord) bool { return x.Revision == rev })
}

// prepared reports whether an operation's revision is what its deployment last
// prepared on the target.
func (j *journal) prepared(op towpath.Operation) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.state.seen(op.Target).Prepared
	return p != nil && *p == preparedRecord{Revision: op.Spec.Revision, Deployment: op.Deployment}
}

// lastSwitched is the revision that last had the traffic of a target; "" when
// none ever had.
func (j *journal) lastSwitched(t towpath.Target) towpath.RevisionID {
	j.mu.Lock()
	defer j.mu.Unlock()
	if list := j.state.seen(t).Switched; len(list) > 0 {
		return list[len(list)-1].Revision
	}
	return ""
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

// makeDir makes a folder, and those above it, so that its name survives a
// crash. It syncs all of them each time: a start before may have been cut off in
// between. A folder that this user can't read was not made by it.
func makeDir(fsys blob.FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for above := filepath.Dir(dir); above != dir; dir, above = above, filepath.Dir(above) {
		if err := fsys.SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
