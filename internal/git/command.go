package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	maxOutput = 64 << 20 // of one command that is read whole
	maxStderr = 4 << 10  // kept for the log: the end, where git says why

	// How long git has to remove its lock files after SIGTERM.
	stopGrace = 5 * time.Second
)

// CommandError says how a git command failed. It is for the log: what git
// prints may quote paths and refs, and is never shown to users.
type CommandError struct {
	Command string // the subcommand: "update-ref"
	Code    int    // exit status; -1 when a signal ended it
	Stderr  string // the end of what it printed, at most 4 KiB
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", e.Command, e.Code, strings.TrimSpace(e.Stderr))
}

// input is what a command is given besides its arguments.
type input struct {
	stdin io.Reader
	env   []string
}

// configuration overrides the repository's own. What git would run (hooks,
// monitors) or let vary between machines (encoding, attributes) is pinned;
// objects and refs are synced to disk before a command reports success.
var configuration = [][2]string{
	{"safe.directory", "*"},
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"core.attributesFile", "/dev/null"},
	{"core.fsync", "objects,reference"},
	{"core.filesRefLockTimeout", "1000"},
	{"i18n.commitEncoding", "UTF-8"},
	{"i18n.logOutputEncoding", "UTF-8"},
	{"log.showSignature", "false"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
}

// environment is the whole environment of a git process. Replacement objects
// and grafts are off: they would show other content under a commit's ID.
// No protocol is allowed, so that a partial clone can't fetch behind our back.
func environment(extra []string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_LITERAL_PATHSPECS=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE=/dev/null",
		"GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1",
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(configuration)),
	}
	if tmp := os.Getenv("TMPDIR"); tmp != "" {
		env = append(env, "TMPDIR="+tmp)
	}
	for i, kv := range configuration {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+kv[0], "GIT_CONFIG_VALUE_"+n+"="+kv[1])
	}
	return append(env, extra...)
}

// command prepares git in dir. A cancelled context sends SIGTERM, on which git
// removes its lock files; a kill would leave a ref locked for good.
func command(ctx context.Context, program, dir string, in input, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = environment(in.env)
	cmd.Stdin = in.stdin
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd
}

// run runs the command to its end and returns what it printed. An error has a
// [CommandError] in its chain when git ran and failed, and the context's error
// when it was cancelled.
func run(ctx context.Context, op string, cmd *exec.Cmd, subcommand string) ([]byte, error) {
	out := &head{limit: maxOutput}
	tail := &tail{limit: maxStderr}
	cmd.Stdout, cmd.Stderr = out, tail
	err := cmd.Run()
	if out.full {
		return nil, towpath.E(towpath.KindExhausted, op, "git %s printed more than %d MiB", subcommand, maxOutput>>20).
			WithHint("narrow the range of commits or the paths that are asked for")
	}
	if err != nil {
		return nil, failure(ctx, op, subcommand, tail.String(), err)
	}
	return out.b.Bytes(), nil
}

// failure turns the end of a process into an error.
func failure(ctx context.Context, op, subcommand, stderr string, err error) error {
	if ctx.Err() != nil {
		return towpath.E(towpath.KindUnavailable, op, "git %s was interrupted", subcommand).
			WithHint("run it again; nothing was left half done").WithCause(ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return towpath.E(towpath.KindInternal, op, "git %s failed", subcommand).
			WithHint("the log has what git printed; `git fsck` checks the repository").
			WithCause(&CommandError{Command: subcommand, Code: exit.ExitCode(), Stderr: stderr})
	}
	return towpath.E(towpath.KindUnavailable, op, "git %s could not be run", subcommand).
		WithHint("check that git can be started by this user and that the machine has processes and files to spare").
		WithCause(err)
}

// exitCode is the status with which git itself ended, -1 for any other error.
func exitCode(err error) int {
	var c *CommandError
	if errors.As(err, &c) {
		return c.Code
	}
	return -1
}

// head keeps output up to a limit and fails the writer beyond it, which ends
// the process by SIGPIPE. It embeds no buffer: io.Copy would find that one's
// ReadFrom and pass the limit by.
type head struct {
	b     bytes.Buffer
	limit int
	full  bool
}

func (h *head) Write(p []byte) (int, error) {
	if h.b.Len()+len(p) > h.limit {
		h.full = true
		return 0, io.ErrShortWrite
	}
	return h.b.Write(p)
}

// tail keeps the last bytes written to it.
type tail struct {
	b     []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - t.limit; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
