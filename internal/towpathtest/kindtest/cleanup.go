package kindtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// KillProcesses ends, when the test does, every shim and process that has a
// record in a process runner's folder, and the router of a folder. It goes by
// PIDs whose folder is in their command line, so that it never hits another's.
func KillProcesses(t testing.TB, runnerDir, routerDir string) {
	t.Helper()
	t.Cleanup(func() {
		// Twice: a shim that had not taken its lock yet leaves when its spec is gone.
		for range 2 {
			records, _ := filepath.Glob(filepath.Join(runnerDir, "instances", "*", "record.json"))
			for _, path := range records {
				var r struct {
					Shim, PID int
				}
				if b, err := os.ReadFile(path); err != nil || json.Unmarshal(b, &r) != nil {
					continue
				}
				if kill(r.Shim, filepath.Dir(path)) && r.PID > 0 {
					_ = syscall.Kill(-r.PID, syscall.SIGKILL)
				}
			}
			_ = os.RemoveAll(filepath.Join(runnerDir, "instances"))
		}
		b, _ := os.ReadFile(filepath.Join(routerDir, "router.lock"))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		kill(pid, routerDir)
		if b, err := os.ReadFile(filepath.Join(routerDir, "router.addr")); err == nil {
			_ = os.RemoveAll(filepath.Dir(strings.TrimSpace(string(b))))
		}
	})
}

// kill kills a process whose command line has a folder in it.
func kill(pid int, dir string) bool {
	if pid <= 1 {
		return false
	}
	cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !strings.Contains(string(cmdline), dir) {
		return false
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}
