package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/towpath"
)

// Names in an instance's folder.
const (
	specFile   = "spec.json"
	recordFile = "record.json"
	exitFile   = "exit.json"
	lockFile   = "lock"
	outFile    = "out.log"  // of the process; rotated
	shimLog    = "shim.log" // of the shim itself
)

// instanceSpec is what a shim is to run. Start grows with each start that is
// wanted: a shim runs each number once.
type instanceSpec struct {
	ID        string              `json:"id"`
	Start     int                 `json:"start"`
	Operation towpath.OperationID `json:"operation"`
	Target    towpath.Target      `json:"target"`
	Revision  towpath.RevisionID  `json:"revision"`
	Index     int                 `json:"index"`
	Command   []string            `json:"command"` // absolute program
	WorkDir   string              `json:"workDir"` // absolute
	Env       []string            `json:"env"`     // all of it but PORT
	StopGrace time.Duration       `json:"stopGrace"`
	MaxBytes  int64               `json:"maxBytes"` // of a log file
	Keep      int                 `json:"keep"`     // rotated log files
}

// record is what a shim runs, written before the process starts and again with
// its PID. PIDs are believed only together with the boot and the start time.
type record struct {
	Start     int                 `json:"start"`
	Operation towpath.OperationID `json:"operation"`
	Revision  towpath.RevisionID  `json:"revision"`
	Port      int                 `json:"port"`
	Boot      string              `json:"boot"`
	Shim      int                 `json:"shim"`
	ShimTicks uint64              `json:"shimTicks"` // start time, clock ticks since boot
	PID       int                 `json:"pid,omitempty"`
	Ticks     uint64              `json:"ticks,omitempty"`
}

// address is where the process listens.
func (r *record) address() string { return "127.0.0.1:" + strconv.Itoa(r.Port) }

// exit is how a process ended.
type exit struct {
	Start     int    `json:"start"`
	Code      int    `json:"code"`             // -1 when a signal ended it or it never began
	Signal    string `json:"signal,omitempty"` //
	Error     string `json:"error,omitempty"`  // why it never began
	Requested bool   `json:"requested"`        // somebody asked for it
}

// String says how it ended.
func (e *exit) String() string {
	switch {
	case e.Error != "":
		return "could not be started: " + e.Error
	case e.Signal != "":
		return "was ended by the signal " + e.Signal
	default:
		return "exited with status " + strconv.Itoa(e.Code)
	}
}

// life is whether an instance lives.
type life int

const (
	absent  life = iota // nobody ever wanted it
	wanted              // specified, and its shim has not begun
	running             // its shim lives
	ended               // its shim has gone
)

// instance is what an instance's folder says.
type instance struct {
	dir    string
	life   life
	spec   instanceSpec
	record record // zero until the shim of this start has written it
	exit   *exit  // of this start; its shim may be yet to go
}

// crashed reports whether the process ended without being asked to. A shim that
// was killed, or a machine that was restarted, is no crash of the process.
func (i *instance) crashed() bool { return i.life == ended && i.exit != nil && !i.exit.Requested }

// lost reports whether nobody is there any more who would say how the process
// ended, or somebody had it ended: its shim was killed or asked to end, or the
// machine was restarted.
func (i *instance) lost() bool { return i.life == ended && !i.crashed() }

// gone says that an ended instance is gone, and what with.
func (i *instance) gone(index int) string {
	boot, err := bootID()
	switch {
	case i.exit != nil:
		return fmt.Sprintf("instance %d %s", index, i.exit)
	case err == nil && i.record.Boot != boot:
		return fmt.Sprintf("instance %d is gone: the machine was restarted", index)
	}
	return fmt.Sprintf("instance %d is gone: its shim was killed, and it with it", index)
}

// ready reports whether the process runs and its port is known.
func (i *instance) ready() bool { return i.life == running && i.record.PID != 0 }

func (r *Runner) instanceDir(id string) string { return filepath.Join(r.cfg.Dir, "instances", id) }

// look reads an instance's folder. Whether it lives is judged by the shim's
// lock, never by a PID.
func (r *Runner) look(id string) (*instance, error) {
	in := &instance{dir: r.instanceDir(id)}
	found, err := readJSON(filepath.Join(in.dir, specFile), &in.spec)
	if err != nil || !found {
		return in, err
	}
	held, err := lockHeld(filepath.Join(in.dir, lockFile))
	if err != nil {
		return nil, err
	}
	// After the lock: what an ended shim wrote is complete by now.
	var rec record
	if _, err := readJSON(filepath.Join(in.dir, recordFile), &rec); err != nil {
		return nil, err
	}
	if rec.Start == in.spec.Start {
		in.record = rec
	}
	switch {
	case held:
		in.life = running
	case rec.Start != in.spec.Start:
		in.life = wanted
		return in, nil
	default:
		in.life = ended
	}
	var e exit
	found, err = readJSON(filepath.Join(in.dir, exitFile), &e)
	if found && e.Start == in.spec.Start {
		in.exit = &e
	}
	return in, err
}

// settled is look, but for a moment in which a shim has written down how its process
// ended and has not gone: what would be taken for one that runs can't be started again
// before that.
func (r *Runner) settled(ctx context.Context, id string) (*instance, error) {
	tick := time.NewTicker(shimPoll)
	defer tick.Stop()
	for {
		in, err := r.look(id)
		if err != nil || in.life != running || in.exit == nil {
			return in, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// lockHeld asks without locking, so that it never stands in a shim's way.
func lockHeld(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err == nil {
		defer f.Close()
		l := unix.Flock_t{Type: unix.F_WRLCK}
		if err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err == nil {
			return l.Type != unix.F_UNLCK, nil
		}
	}
	return false, towpath.E(towpath.KindUnavailable, "process.look", "the lock of an instance can't be read").On(path).WithCause(err)
}

// bootID names this run of the machine.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// startTicks is when a process began, in clock ticks since boot (field 22 of
// proc_pid_stat(5)); 0 when there is none of that PID.
func startTicks(pid int) uint64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	n, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
