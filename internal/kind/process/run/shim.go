package run

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/towpath"
)

// ShimMain is the process that supervises one instance: it takes the folder's
// lock for life, starts the process, keeps its log, and writes down how it
// ended. SIGTERM makes it stop the process: SIGTERM to its group, SIGKILL after
// the grace. It returns nil when another shim holds the lock or this start has
// been run already.
func ShimMain(dir string) error {
	// The process dies with this thread: were the shim killed, nobody would hold
	// the lock and the next start would run beside the old process.
	runtime.LockOSThread()
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, "shim.lock", "the instance's lock can't be opened").On(dir).WithCause(err)
	}
	defer lock.Close()
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil
		}
		return towpath.E(towpath.KindUnavailable, "shim.lock", "the instance's lock can't be taken").On(dir).WithCause(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(stop)

	var spec instanceSpec
	if found, err := readJSON(filepath.Join(dir, specFile), &spec); err != nil || !found {
		return err
	}
	var before record
	if _, err := readJSON(filepath.Join(dir, recordFile), &before); err != nil || before.Start >= spec.Start {
		return err
	}
	killLeftovers(before)
	e, err := supervise(dir, spec, stop)
	if err != nil {
		return err
	}
	e.Start = spec.Start
	return writeJSON(filepath.Join(dir, exitFile), e)
}

// supervise runs the process to its end. An error is the shim's own: the
// process has not been started, or has been killed.
func supervise(dir string, spec instanceSpec, stop <-chan os.Signal) (exit, error) {
	boot, err := bootID()
	if err != nil {
		return exit{}, towpath.E(towpath.KindUnavailable, "shim.start", "the boot ID can't be read").WithCause(err)
	}
	port, err := reservePort()
	if err != nil {
		return exit{}, towpath.E(towpath.KindUnavailable, "shim.start", "no port can be had").On(spec.ID).WithCause(err)
	}
	rec := record{
		Start: spec.Start, Operation: spec.Operation, Revision: spec.Revision, Port: port,
		Boot: boot, Shim: os.Getpid(), ShimTicks: startTicks(os.Getpid()),
	}
	if err := writeJSON(filepath.Join(dir, recordFile), rec); err != nil {
		return exit{}, err
	}
	out, err := newLog(filepath.Join(dir, outFile), spec.MaxBytes, spec.Keep)
	if err != nil {
		return exit{}, err
	}
	defer out.close()
	pr, pw, err := os.Pipe()
	if err != nil {
		return exit{}, towpath.E(towpath.KindUnavailable, "shim.start", "no pipe can be had").On(spec.ID).WithCause(err)
	}
	defer pr.Close()

	cmd := exec.Command(spec.Command[0], spec.Command[1:]...)
	cmd.Dir = spec.WorkDir
	cmd.Env = append(spec.Env, "PORT="+strconv.Itoa(port))
	cmd.Stdout, cmd.Stderr = pw, pw
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	_ = pw.Close()
	if err != nil {
		return exit{Code: -1, Error: err.Error()}, nil
	}
	rec.PID, rec.Ticks = cmd.Process.Pid, startTicks(cmd.Process.Pid)
	if err := writeJSON(filepath.Join(dir, recordFile), rec); err != nil {
		_ = syscall.Kill(-rec.PID, syscall.SIGKILL)
		_ = cmd.Wait()
		return exit{}, err
	}
	pumped := make(chan struct{})
	go func() { defer close(pumped); out.pump(pr) }()
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }() // its state is in ProcessState
	requested := await(done, stop, rec.PID, spec.StopGrace)
	_ = syscall.Kill(-rec.PID, syscall.SIGKILL) // what it left behind in its group
	select {
	case <-pumped:
	case <-time.After(pumpGrace): // something outside the group holds its output
	}
	return exitOf(cmd.ProcessState, requested), nil
}

// pumpGrace is how long a shim waits for the last output of an ended process.
const pumpGrace = time.Second

// await waits for the end of the process, and brings it about when a signal
// asks for it.
func await(done <-chan struct{}, stop <-chan os.Signal, pid int, grace time.Duration) (requested bool) {
	select {
	case <-done:
		return false
	case <-stop:
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(grace):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-done
	}
	return true
}

func exitOf(s *os.ProcessState, requested bool) exit {
	e := exit{Code: s.ExitCode(), Requested: requested}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
	}
	return e
}
