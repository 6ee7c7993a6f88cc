package run

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestKillLeftovers: what is left of a session is ended, and nothing of another one that
// has its number.
func TestKillLeftovers(t *testing.T) {
	leader := exec.Command("/bin/sh", "-c", "sleep 300 & wait")
	leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	pid := leader.Process.Pid
	t.Cleanup(func() {
		for _, m := range membersOf(pid) {
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		}
		_ = leader.Process.Kill()
		_ = leader.Wait()
	})
	members := func(want int) {
		t.Helper()
		poll := time.NewTicker(5 * time.Millisecond)
		defer poll.Stop()
		end := time.NewTimer(20 * time.Second)
		defer end.Stop()
		for len(membersOf(pid)) != want {
			select {
			case <-poll.C:
			case <-end.C:
				t.Fatalf("%+v are in the session, want %d", membersOf(pid), want)
			}
		}
	}
	members(1)
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	rec := record{Boot: boot, Shim: pid, ShimTicks: startTicks(pid)}
	for name, other := range map[string]record{
		"a shim whose number another process has now": {Boot: boot, Shim: pid, ShimTicks: rec.ShimTicks - 1},
		"a shim of before a restart of the machine":   {Boot: "another", Shim: pid, ShimTicks: rec.ShimTicks},
		"no shim": {Boot: boot},
	} {
		killLeftovers(other)
		if n := len(membersOf(pid)); n != 1 {
			t.Fatalf("%d are left in the session after that of %s was ended", n, name)
		}
	}
	killLeftovers(rec)
	members(0)
}
