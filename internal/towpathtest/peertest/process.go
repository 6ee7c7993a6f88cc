package peertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listening is the port on which a process listens on 127.0.0.1. The peers don't
// say which one the system gave them, and a port that is looked for beforehand
// may be somebody else's by then.
func listening(pid int) (port int, ok bool) {
	sockets := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return 0, false
	}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, "socket:[") {
			sockets[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(table)) {
		// sl local remote st queues timer retransmits uid timeout inode: see proc(5).
		fields := strings.Fields(line)
		const listens = "0A"
		if len(fields) < 10 || fields[3] != listens || !sockets[fields[9]] {
			continue
		}
		if _, err := fmt.Sscanf(fields[1], "0100007F:%X", &port); err == nil {
			return port, true
		}
	}
	return 0, false
}

// Memory is what a process holds in memory now, and the most that it ever held,
// in bytes.
func Memory(t testing.TB, pid int) (now, peak int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	said := func(name string) (kib int64) {
		_, rest, _ := strings.Cut(string(b), name+":")
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatalf("the kernel does not say %s of process %d: %v", name, pid, err)
		}
		return kib << 10
	}
	return said("VmRSS"), said("VmHWM")
}

// Worked is how long processors have worked for a process, in its own code and
// in the kernel's for it.
func Worked(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is a name in parentheses, which may hold anything: count
	// from its end. The 14th and 15th are in ticks, a hundred a second: proc(5).
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		t.Fatalf("the kernel says of process %d: %s", pid, b)
	}
	var sum time.Duration
	for _, ticks := range fields[11:13] {
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
