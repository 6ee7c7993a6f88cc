package peertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
