package run

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// TestRunner_settled: a process that has ended does not run, though its shim has its
// lock for a moment more.
func TestRunner_settled(t *testing.T) {
	r := &Runner{cfg: Config{Dir: t.TempDir()}}
	dir := r.instanceDir("ins_1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, what any) {
		if err := writeJSON(filepath.Join(dir, name), what); err != nil {
			t.Fatal(err)
		}
	}
	write(specFile, instanceSpec{Start: 2})
	write(recordFile, record{Start: 2, PID: 1})
	write(exitFile, exit{Start: 1, Signal: "killed"})
	shim, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer shim.Close()
	if err := unix.FcntlFlock(shim.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if in, err := r.settled(t.Context(), "ins_1"); err != nil || in.life != running {
			t.Errorf("what an earlier start ended with is that of this one: %+v, %v", in, err)
		}
		write(exitFile, exit{Start: 2, Signal: "killed"})
		looked := make(chan *instance)
		go func() {
			in, err := r.settled(t.Context(), "ins_1")
			if err != nil {
				t.Error(err)
			}
			looked <- in
		}()
		synctest.Wait()
		if err := unix.FcntlFlock(shim.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}); err != nil {
			t.Fatal(err)
		}
		if in := <-looked; in == nil || !in.crashed() {
			t.Errorf("it is %+v", in)
		}
	})
}
