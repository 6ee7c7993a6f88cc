package stories_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// start runs towpath in the background of a story. What it prints comes line
// by line, until its end.
func start(ts *testscript.TestScript, env []string, args ...string) (*exec.Cmd, <-chan string) {
	program := ""
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if path, err := exec.LookPath(filepath.Join(dir, "towpath")); err == nil {
			program = path
			break
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append([]string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME")}, env...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	ts.Check(cmd.Start())
	lines := make(chan string, 1024)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		_ = w.Close()
		close(ended)
	}()
	go func() {
		defer close(lines)
		in := bufio.NewScanner(r)
		for in.Scan() {
			select {
			case lines <- in.Text():
			default: // nobody reads any more
			}
		}
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return cmd, lines
}

// find waits for a line that matches and returns its first group.
func find(ts *testscript.TestScript, lines <-chan string, pattern string) string {
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				ts.Fatalf("the process ended without saying %q", pattern)
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case <-deadline:
			ts.Fatalf("the process never said %q", pattern)
		}
	}
}

// serverOf starts a server on a folder and talks to it as its first admin from
// then on: serverof DATA
func serverOf(ts *testscript.TestScript, _ bool, args []string) {
	_, lines := start(ts, nil, "server", "--data", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0")
	ts.Setenv("TOWPATH_TOKEN", find(ts, lines, `^ +(twp_\w+)$`))
	ts.Setenv("TOWPATH_URL", find(ts, lines, `url=(http\S+)`))
}

// agents are the agents that stories run, by script.
var agents = map[string]*exec.Cmd{}

// agentOf starts an agent with a token on a folder: agentof TOKEN DATA
func agentOf(ts *testscript.TestScript, _ bool, args []string) {
	env := []string{"TOWPATH_URL=" + ts.Getenv("TOWPATH_URL"), "TOWPATH_TOKEN=" + args[0]}
	cmd, _ := start(ts, env, "agent", "--place", "local", "--data", ts.MkAbs(args[1]))
	agents[ts.Name()] = cmd
}

// killAgent kills the story's agent.
func killAgent(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(agents[ts.Name()].Process.Kill())
}
