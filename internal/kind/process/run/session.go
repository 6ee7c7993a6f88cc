package run

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A shim leads a session of its own, so whatever its process starts is in that session,
// also what leaves the process's group, but for what makes a session of its own.

// member is a process of a session.
type member struct {
	pid      int
	started  uint64 // clock ticks since boot
	resident int64  // bytes
}

// membersOf lists the processes of a session, but for its leader and those that have
// ended and wait for their parent.
func membersOf(session int) []member {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // the pattern is good
	}
	var out []member
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The second field is the program's name in parentheses and may hold anything; the
		// state is field 3, the session 6, the start 22, the resident pages 24.
		name, _, _ := strings.Cut(string(b), " ")
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 22 || fields[3] != strconv.Itoa(session) || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		pid, err := strconv.Atoi(name)
		if err != nil || pid == session {
			continue
		}
		started, err := strconv.ParseUint(fields[19], 10, 64)
		if err != nil {
			continue
		}
		pages, err := strconv.ParseInt(fields[21], 10, 64)
		if err != nil {
			continue
		}
		out = append(out, member{pid: pid, started: started, resident: pages * int64(os.Getpagesize())})
	}
	return out
}

// killRounds is how often a session is looked through for what was started while it
// was being ended.
const killRounds = 10

// killLeftovers ends what is left of a start: the group of its process, if it is still
// the same one, and the session of its shim. A number that names a session is given to no
// process while anything is in that session. So where another process than the shim has
// the shim's, nothing is left of it, and the session of that number is somebody else's.
func killLeftovers(rec record) {
	boot, err := bootID()
	if err != nil || rec.Boot != boot {
		return
	}
	if rec.PID != 0 && rec.Ticks != 0 && startTicks(rec.PID) == rec.Ticks {
		_ = syscall.Kill(-rec.PID, syscall.SIGKILL)
	}
	if rec.Shim == 0 || rec.ShimTicks == 0 {
		return
	}
	for range killRounds {
		if has := startTicks(rec.Shim); has != 0 && has != rec.ShimTicks {
			return
		}
		left := 0
		for _, m := range membersOf(rec.Shim) {
			if m.started >= rec.ShimTicks {
				left++
				_ = syscall.Kill(m.pid, syscall.SIGKILL)
			}
		}
		if left == 0 {
			return
		}
	}
}
