package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// defaultJobTimeout bounds a verification job that says nothing.
const defaultJobTimeout = time.Minute

// Verify runs the revision's jobs of a stage, one after the other: before the
// switch and at its steps against its first instance (requests against each),
// after it through the router; before it also those through the address at which
// the revision is shown. The first job that fails is the release's failure.
//
// The jobs run without the target's lock, so that [Runner.Keep] starts again what
// dies meanwhile of what has the traffic. Nobody else comes in between: an operation
// of the target begins when the one before it has ended, and Keep touches no revision
// without the traffic, nor a preview.
func (r *Runner) Verify(ctx context.Context, w kind.Work, stage kind.Stage) error {
	spec, err := specOf(w.Operation.Spec.Rendered)
	if err != nil {
		return err
	}
	list, addresses, err := r.toVerify(ctx, w.Operation, spec, stage)
	if err != nil {
		return err
	}
	if err := r.jobs(ctx, w, spec, list, addresses); err != nil || stage != kind.BeforeSwitch {
		return err
	}
	return r.verifyPreview(ctx, w, spec)
}

// toVerify is which jobs a stage has, and where they look.
func (r *Runner) toVerify(ctx context.Context, op towpath.Operation, spec process.Spec, stage kind.Stage) ([]process.Job, []string, error) {
	list := jobsOf(spec, stage)
	if len(list) == 0 {
		return nil, nil, nil
	}
	unlock, err := r.lock(ctx, op.Target)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	addresses, err := r.verifyAddresses(ctx, op, stage)
	return list, addresses, err
}

func jobsOf(spec process.Spec, stage kind.Stage) []process.Job {
	return map[kind.Stage][]process.Job{
		kind.BeforeSwitch: spec.Verify.Before, kind.AtStep: spec.Verify.Step, kind.AfterSwitch: spec.Verify.After,
	}[stage]
}

// verifyPreview runs the jobs that look at the revision where people do before
// it has traffic. A repair shows nothing, so it has none of them.
func (r *Runner) verifyPreview(ctx context.Context, w kind.Work, spec process.Spec) error {
	if len(spec.Verify.Preview) == 0 {
		return nil
	}
	address, err := r.previewOf(ctx, w.Operation)
	if err != nil {
		return err
	}
	return r.jobs(ctx, w, spec, spec.Verify.Preview, []string{address})
}

// verify is Verify without the preview, for who holds the target's lock.
func (r *Runner) verify(ctx context.Context, w kind.Work, spec process.Spec, stage kind.Stage) error {
	list := jobsOf(spec, stage)
	if len(list) == 0 {
		return nil
	}
	addresses, err := r.verifyAddresses(ctx, w.Operation, stage)
	if err != nil {
		return err
	}
	return r.jobs(ctx, w, spec, list, addresses)
}

// jobs runs jobs one after the other, until one fails.
func (r *Runner) jobs(ctx context.Context, w kind.Work, spec process.Spec, list []process.Job, addresses []string) error {
	for _, j := range list {
		w.Say("verifying: " + j.Name)
		jctx, cancel := context.WithTimeout(ctx, orElse(j.Timeout, defaultJobTimeout))
		err := r.job(jctx, w, spec, j, addresses)
		timedOut := jctx.Err() != nil
		cancel()
		switch failure := new(kind.Failure); {
		case ctx.Err() != nil && err != nil:
			return context.Cause(ctx)
		case err == nil || errors.As(err, &failure):
		case timedOut:
			err = &kind.Failure{Message: fmt.Sprintf("the verification job %s did not end within %s", j.Name, orElse(j.Timeout, defaultJobTimeout))}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyAddresses is where a stage's jobs look.
func (r *Runner) verifyAddresses(ctx context.Context, op towpath.Operation, stage kind.Stage) ([]string, error) {
	if stage == kind.AfterSwitch {
		rt, err := r.routeOf(ctx, op.Target)
		if err != nil {
			return nil, err
		}
		// What a repair runs again, and was cut off with, is the revision too.
		if rt == nil || rt.Traffic.Revision != op.Spec.Revision && plain(rt.Traffic.Revision) != op.Spec.Revision {
			return nil, towpath.E(towpath.KindConflict, "process.verify", "the revision has no traffic to verify").On(string(op.Spec.Revision)).
				WithHint("switch to it first")
		}
		if why := rt.Closed[rt.Traffic.Listen]; why != "" {
			return nil, towpath.E(towpath.KindUnavailable, "process.verify", "%s: an answer would not be the release's", why).
				WithHint("stop the program that uses it; the router tries again")
		}
		return []string{rt.Address(rt.Traffic.Listen)}, nil
	}
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return nil, err
	}
	t, err := r.traffic(rec, op.Spec.Revision)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, in := range t.Instances {
		out = append(out, in.Address)
	}
	return out, nil
}

func (r *Runner) job(ctx context.Context, w kind.Work, spec process.Spec, j process.Job, addresses []string) error {
	if j.Replay != nil {
		return r.replay(ctx, w, spec.Protocol, j, addresses)
	}
	if j.HTTP == nil {
		return r.command(ctx, w, spec, j, addresses[0])
	}
	for _, a := range addresses {
		if err := r.check(ctx, spec.Protocol, j, a); err != nil {
			return err
		}
	}
	return nil
}

// check makes one request. An address that can't be connected to is no word
// about the release: its instances had been healthy.
func (r *Runner) check(ctx context.Context, speaks route.Protocol, j process.Job, address string) error {
	method, want := orElse(j.HTTP.Method, http.MethodGet), orElse(j.HTTP.Status, http.StatusOK)
	status, body, err := r.request(ctx, speaks, method, "http://"+address+j.HTTP.Path, orElse(j.Timeout, defaultJobTimeout))
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return towpath.E(towpath.KindUnavailable, "process.verify", "the address can't be connected to").On(address).WithCause(err)
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s got no whole answer to %s %s", j.Name, method, j.HTTP.Path)}
	case status != want:
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s: %s %s answered %d, not %d", j.Name, method, j.HTTP.Path, status, want), Log: lastLines(body)}
	case !bytes.Contains(body, []byte(j.HTTP.Contains)):
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s: the answer to %s %s does not contain %q", j.Name, method, j.HTTP.Path, j.HTTP.Contains), Log: lastLines(body)}
	}
	return nil
}

// command runs a job's command in the revision's files. It dies with the
// agent, and its group with it when its time is over.
func (r *Runner) command(ctx context.Context, w kind.Work, spec process.Spec, j process.Job, address string) error {
	if len(j.Command) == 0 {
		return &kind.Failure{Message: "the verification job " + j.Name + " has neither a command nor requests"}
	}
	t, rev := w.Operation.Target, w.Operation.Spec.Revision
	env, err := r.environment(ctx, t, rev, spec)
	if err != nil {
		return err
	}
	files, err := w.Files(ctx)
	if err != nil {
		return err
	}
	prog, err := r.program(j.Command[0], files)
	if err != nil {
		return err
	}
	dir, err := workDir(spec, files)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig is of the thread that starts it
	defer runtime.UnlockOSThread()
	var out lastBytes
	cmd := exec.CommandContext(ctx, prog, j.Command[1:]...)
	cmd.Dir, cmd.Env = dir, append(env, "TOWPATH_ADDRESS="+address, "TOWPATH_URL=http://"+address)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pumpGrace
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind in its group
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		return nil
	}
	if ctx.Err() != nil {
		return &kind.Failure{Message: fmt.Sprintf("the verification job %s did not end within %s", j.Name, orElse(j.Timeout, defaultJobTimeout)), Log: lastLines(out.b)}
	}
	return &kind.Failure{Message: fmt.Sprintf("the verification job %s failed: %v", j.Name, err), Log: lastLines(out.b)}
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ b []byte }

// Write never fails.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*tailBytes {
		l.b = append([]byte(nil), l.b[len(l.b)-tailBytes:]...)
	}
	return len(p), nil
}
