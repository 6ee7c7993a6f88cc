package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// errNoMemory is the cause of an error that says what memory a place lacks.
var errNoMemory = errors.New("there is not enough memory")

// memoryPoll is how often a place that lacks memory is looked at again.
const memoryPoll = time.Second

// untilMemory tries an operation that lacks memory again until its time is over,
// and has it fail then, so that the deployment goes back: what was stopped for it
// must not stay so. Between two tries the target is free. What goes back itself
// is tried for as long as it takes, and so is what has no end.
func (r *Runner) untilMemory(ctx context.Context, w kind.Work, try func(context.Context, kind.Work) error) error {
	_, ends := ctx.Deadline()
	again := time.NewTicker(memoryPoll)
	defer again.Stop()
	said := false
	for {
		err := try(ctx, w)
		if !errors.Is(err, errNoMemory) || !ends || w.Operation.Verb == towpath.VerbRestore {
			return err
		}
		m, hint := towpath.PublicMessage(err)
		if !said {
			w.Say("waiting for memory: " + m)
			said = true
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() == nil: // whichever of both was first
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return &kind.Failure{Message: m + "; " + hint}
		default:
			return context.Cause(ctx)
		}
	}
}

// findMemory is [Runner.enoughMemory] for an operation. What goes back does not
// wait for room that nobody makes: it takes what it lacks from what it goes back
// from, and all of that if need be.
func (r *Runner) findMemory(ctx context.Context, w kind.Work, rec *target) error {
	lacks, err := r.enoughMemory(w, rec)
	if w.Operation.Verb != towpath.VerbRestore && !w.Operation.Spec.Back {
		return err
	}
	left := 0
	for _, id := range rec.others(w.Operation.Spec.Revision) {
		left += rec.Revisions[id].instances()
	}
	for lacks > 0 && left > 0 {
		left = max(left-lacks, 0)
		w.Say(fmt.Sprintf("there is no memory for both: %d instances of the other revision are left", left))
		if err := r.shrink(ctx, w, rec, left); err != nil {
			return err
		}
		lacks, err = r.enoughMemory(w, rec)
	}
	return err
}

// enoughMemory refuses to start what the place has no memory for beside what
// runs: that would hurt both. It is the place's fault, not the release's. With
// the error comes how many instances there is no room for. Where nobody knows how
// much is needed it says so.
func (r *Runner) enoughMemory(w kind.Work, rec *target) (lacks int, err error) {
	op := w.Operation
	missing := 0
	for _, id := range rec.instances(op.Spec.Revision) {
		in, err := r.look(id)
		if err != nil {
			return 0, err
		}
		if in.life != running {
			missing++
		}
	}
	each, err := r.memoryOf(rec, op.Spec.Revision)
	if err != nil || missing == 0 {
		return 0, err
	}
	if each == 0 {
		if len(rec.others(op.Spec.Revision)) > 0 {
			w.Say("whether there is memory for both revisions was not checked: the component declares none (memory), and nothing of it runs that could be measured")
		}
		return 0, nil
	}
	free, err := r.cfg.Free()
	if err != nil {
		return 0, towpath.E(towpath.KindUnavailable, "process.memory", "the free memory of this place can't be read").WithCause(err)
	}
	if fit := max(free, 0) / each; fit < int64(missing) {
		need := int64(missing) * each
		return missing - int(fit), towpath.E(towpath.KindUnavailable, "process.memory", "%d more instances of %s need %s of memory, and %s are free",
			missing, op.Target.Component, mebibytes(need), mebibytes(free)).On(op.Target.Key()).WithCause(errNoMemory).
			WithHint("free some, give the place more, or replace it with less room: strategy rolling with surge: 0, or all-at-once")
	}
	return 0, nil
}

// memoryOf is how much an instance of a revision needs, bytes: what its spec
// says, or as much as the largest of those that run. It is 0 when nobody knows.
func (r *Runner) memoryOf(rec *target, id towpath.RevisionID) (int64, error) {
	if m := rec.Revisions[id].Spec.Memory; m > 0 {
		return m, nil
	}
	var most int64
	for _, other := range rec.others(id) {
		for _, instance := range rec.instances(other) {
			in, err := r.look(instance)
			if err != nil {
				return 0, err
			}
			if in.ready() {
				most = max(most, residentOf(in.record.Shim))
			}
		}
	}
	return most, nil
}

// residentOf is the memory of all processes in a session, without its leader,
// which is our shim; bytes.
func residentOf(session int) int64 {
	var total int64
	for _, m := range membersOf(session) {
		total += m.resident
	}
	return total
}

// freeMemory is what the machine has available, or less when the control group
// of this process, in which all of the instances are, may have less.
func freeMemory() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	free, ok := lineOf(b, "MemAvailable:")
	if !ok {
		return 0, fmt.Errorf("/proc/meminfo does not say what is available")
	}
	free <<= 10
	group, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return free, nil //nolint:nilerr // a machine without control groups
	}
	for l := range strings.Lines(string(group)) {
		path, v2 := strings.CutPrefix(strings.TrimSpace(l), "0::")
		for v2 && path != "/" && path != "." {
			if left, limited := leftIn(filepath.Join("/sys/fs/cgroup", path)); limited {
				free = min(free, left)
			}
			path = filepath.Dir(path)
		}
	}
	return free, nil
}

// leftIn is what a control group may still have: what it has of files that can
// be read again counts as free.
func leftIn(dir string) (left int64, limited bool) {
	number := func(name string) (int64, bool) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return 0, false
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return n, err == nil // "max" is no limit
	}
	most, limited := number("memory.max")
	now, known := number("memory.current")
	if !limited || !known {
		return 0, false
	}
	stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat"))
	files, _ := lineOf(stat, "inactive_file")
	return max(most-now+files, 0), true
}

// lineOf is the number after a word at the beginning of a line.
func lineOf(b []byte, word string) (int64, bool) {
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) > 1 && fields[0] == word {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func mebibytes(n int64) string { return strconv.FormatInt((n+1<<20-1)>>20, 10) + " MiB" }
