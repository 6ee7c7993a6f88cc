package run

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// start wants a process and starts a shim for it. Shims that find another one
// at work, or this start done, go away: starting twice runs it once.
func (r *Runner) start(spec instanceSpec) error {
	dir := r.instanceDir(spec.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return towpath.E(towpath.KindUnavailable, "process.start", "the instance's folder can't be made").On(dir).WithCause(err)
	}
	if err := forgetRemains(dir); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, specFile), spec); err != nil {
		return err
	}
	failpoint.Hit("run.before-shim")
	if err := r.startShim(dir); err != nil {
		return err
	}
	failpoint.Hit("run.after-shim")
	return nil
}

// forgetRemains takes away what a removal of the folder that was cut off has
// left: without its spec, a record of the first start would be taken for that of
// the next first one, which would then never begin.
func forgetRemains(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, specFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil // a spec that can't be looked at is said where it is read
	}
	for _, name := range []string{recordFile, exitFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return towpath.E(towpath.KindUnavailable, "process.start", "what is left of an instance can't be removed").On(dir).WithCause(err)
		}
	}
	return nil
}

// startShim starts one in a session of its own, so that nothing that ends this
// process ends it.
func (r *Runner) startShim(dir string) error {
	fail := func(err error) error {
		return towpath.E(towpath.KindUnavailable, "process.start", "a process's shim can't be started").On(dir).WithCause(err)
	}
	log, err := os.OpenFile(filepath.Join(dir, shimLog), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	cmd := exec.Command(r.cfg.Executable, append(slices.Clone(r.cfg.ShimArgs), dir)...)
	cmd.Dir, cmd.Env = "/", r.baseEnv()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	go func() { _ = cmd.Wait() }() // reaps it, should it end before us
	return nil
}

// Bounds of waiting for shims.
const (
	shimPoll  = 10 * time.Millisecond
	shimGrace = 5 * time.Second // beyond what is asked of the process
)

// stop ends an instance and removes its folder. The shim gives the process its
// grace; a shim that doesn't end is killed, and the process with it.
func (r *Runner) stop(ctx context.Context, id string) error {
	failpoint.Hit("run.before-stop")
	in, err := r.look(id)
	if err != nil {
		return err
	}
	if err := r.endShim(ctx, id, in.spec.StopGrace+shimGrace); err != nil {
		return err
	}
	failpoint.Hit("run.after-stop")
	if err := os.RemoveAll(in.dir); err != nil {
		return towpath.E(towpath.KindUnavailable, "process.stop", "the instance's folder can't be removed").On(in.dir).WithCause(err)
	}
	return nil
}

// endShim asks a shim to end, waits until its lock is free, and kills it when
// that takes longer than patience. Nothing of what it ran is left then.
func (r *Runner) endShim(ctx context.Context, id string, patience time.Duration) error {
	tick := time.NewTicker(shimPoll)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	asked, killed := false, false
	for {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.life != running {
			killLeftovers(in.record)
			return nil
		}
		if !asked {
			asked = signalShim(in.record, syscall.SIGTERM) // its record may be yet to come
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-end.C:
			if killed {
				return towpath.E(towpath.KindUnavailable, "process.stop", "an instance can't be stopped").On(in.dir).
					WithHint("its shim is process %d", in.record.Shim)
			}
			killed = true
			killLeftovers(in.record)
			signalShim(in.record, syscall.SIGKILL)
			end.Reset(shimGrace)
		}
	}
}

// signalShim signals the shim of a record, if that PID still is it.
func signalShim(rec record, sig syscall.Signal) bool {
	boot, err := bootID()
	if err != nil || rec.Shim == 0 || rec.Boot != boot || startTicks(rec.Shim) != rec.ShimTicks {
		return false
	}
	return syscall.Kill(rec.Shim, sig) == nil
}
