package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// LogLines is how many of the last lines of a command's output are kept.
const LogLines = 20

const maxLine = 2048 // bytes of a kept line

// CommandError is the cause of the error of a build command.
type CommandError struct {
	Component towpath.ComponentName
	Command   []string
	Status    int      // -1: it was killed or did not start
	Log       []string // the last lines of its output
}

// Error says how the command ended, with its last lines.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: status %d\n%s", strings.Join(e.Command, " "), e.Status, strings.Join(e.Log, "\n"))
}

// command runs a unit's build command in dir. The command and all that it
// started are killed when ctx ends, and none of them outlives it: what they
// leave in the folder is what is packed.
func (r *run) command(ctx context.Context, u unit, dir, tmp, umask string) error {
	const op = "build.run"
	limited, stop := context.WithTimeout(ctx, r.cfg.Limits.Command)
	defer stop()
	// Go can't set a child's umask; the shell can, and replaces itself.
	args := append([]string{"-c", `umask "$0" && exec "$@"`, umask}, u.build.Command...)
	cmd := exec.CommandContext(limited, "/bin/sh", args...)
	cmd.Dir, cmd.Env = dir, r.environment(u, tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second // for those that left the group with the output open
	log := &tail{line: func(s string) { r.event(Event{Component: u.name, Step: StepRun, Line: s}) }}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return towpath.E(towpath.KindUnavailable, op, "the build of component %q could not be started", u.name).
			On(string(u.name)).WithCause(err)
	}
	err := cmd.Wait()
	// What it started and left running must not write any more.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	log.flush()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	cause := &CommandError{Component: u.name, Command: u.build.Command, Status: -1, Log: log.lines}
	if limited.Err() != nil {
		return failed(cause, towpath.E(towpath.KindExhausted, op, "the build of component %q took longer than %s and was stopped", u.name, r.cfg.Limits.Command).
			WithHint("make it faster, or raise the limit of build commands"))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		cause.Status = exit.ExitCode()
	}
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		return failed(cause, towpath.E(towpath.KindInvalid, op, "the build of component %q left a process running", u.name).
			WithHint("let the build command wait for everything that it starts"))
	case cause.Status == 127 || cause.Status == 126:
		return failed(cause, towpath.E(towpath.KindInvalid, op, "the build command %q of component %q can't be run", u.build.Command[0], u.name).
			WithHint("install the tool on the builder; its PATH is %s", r.passedEnv()["PATH"]))
	}
	return failed(cause, towpath.E(towpath.KindInvalid, op, "the build of component %q failed with status %d", u.name, cause.Status).
		WithHint("its last lines are in the log; it sees only its path, its inputs and a clean environment: run `%s` in a clean export", strings.Join(u.build.Command, " ")))
}

// failed puts the last lines of the output where clients find them.
func failed(cause *CommandError, e *towpath.Error) error {
	e.Fields = map[string]string{"component": string(cause.Component), "log": strings.Join(cause.Log, "\n")}
	return e.On(string(cause.Component)).WithCause(cause)
}

// tail keeps the last lines of what is written and hands each line on.
type tail struct {
	mu    sync.Mutex
	part  []byte
	lines []string
	line  func(string)
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := p
	for {
		advance, token, _ := bufio.ScanLines(rest, false)
		if advance == 0 {
			break
		}
		t.add(token)
		t.end()
		rest = rest[advance:]
	}
	t.add(rest)
	return len(p), nil
}

func (t *tail) add(p []byte) {
	t.part = append(t.part, p[:min(len(p), maxLine-len(t.part))]...)
}

func (t *tail) end() {
	s := strings.ToValidUTF8(string(bytes.TrimRight(t.part, "\r")), "�")
	t.part = t.part[:0]
	if len(t.lines) == LogLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, s)
	t.line(s)
}

// flush ends a last line without a newline.
func (t *tail) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.part) > 0 {
		t.end()
	}
}
