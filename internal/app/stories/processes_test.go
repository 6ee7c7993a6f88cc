package stories_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/towpath/towpath/internal/towpathtest/cosigntest"
)

// process is a towpath in the background of a story. What it prints comes line
// by line, until its end.
type process struct {
	cmd   *exec.Cmd
	lines <-chan string
	ended <-chan struct{}
}

// start runs towpath in the background of a story, which ends it.
func start(ts *testscript.TestScript, env []string, args ...string) process {
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
	p := process{cmd, lines, ended}
	ts.Defer(p.kill)
	return p
}

// kill kills the process as kill -9 does, and waits until it is gone.
func (p process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// interrupt ends the process as Ctrl-C does and returns its exit code.
func (p process) interrupt(ts *testscript.TestScript) int {
	ts.Check(p.cmd.Process.Signal(os.Interrupt))
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("the process did not end when it was interrupted")
	}
	return p.cmd.ProcessState.ExitCode()
}

// find waits for a line that matches and returns its first group. A process that
// goes on saying things is given its time; one that falls silent is not.
func find(ts *testscript.TestScript, lines <-chan string, pattern string) string {
	re := regexp.MustCompile(pattern)
	var said []string
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				ts.Fatalf("the process ended without saying %q; it said:\n%s", pattern, strings.Join(said, "\n"))
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m[1]
			}
			said = append(said, line)
		case <-time.After(patience):
			ts.Fatalf("the process was silent for %s and never said %q; it said:\n%s", patience, pattern, strings.Join(said, "\n"))
		}
	}
}

// cast is what one story runs in the background. Stories run beside each other,
// so each has its own.
type cast struct {
	server, agent process
	traffic       func() (sent int, failed error) // ends it
}

// castKey is where a story keeps its cast.
type castKey struct{}

func castOf(ts *testscript.TestScript) *cast { return ts.Value(castKey{}).(*cast) }

// serverOf starts a server on a folder and talks to it as its first admin from
// then on. After a server was killed its successor takes its address, and has a
// token of its own printed when it is told to: serverof DATA [--admin-token]
func serverOf(ts *testscript.TestScript, _ bool, args []string) {
	listen, again := strings.CutPrefix(ts.Getenv("TOWPATH_URL"), "http://")
	if !again {
		listen = "127.0.0.1:0"
	}
	p := start(ts, nil, append([]string{"server", "--data", ts.MkAbs(args[0]), "--listen", listen}, args[1:]...)...)
	castOf(ts).server = p
	if !again || len(args) > 1 {
		ts.Setenv("TOWPATH_TOKEN", find(ts, p.lines, `^ +(twp_\w+)$`))
	}
	ts.Setenv("TOWPATH_URL", find(ts, p.lines, `url=(http\S+)`))
}

// killServer kills the story's server.
func killServer(ts *testscript.TestScript, _ bool, _ []string) { castOf(ts).server.kill() }

// agentOf starts an agent with a token on a folder: agentof TOKEN DATA
func agentOf(ts *testscript.TestScript, _ bool, args []string) {
	env := []string{"TOWPATH_URL=" + ts.Getenv("TOWPATH_URL"), "TOWPATH_TOKEN=" + args[0]}
	castOf(ts).agent = start(ts, env, "agent", "--place", "local", "--data", ts.MkAbs(args[1]))
}

// killAgent kills the story's agent.
func killAgent(ts *testscript.TestScript, _ bool, _ []string) { castOf(ts).agent.kill() }

// cosign has the real cosign verify, or sign, the release of a digest in the
// registry of the server that is known in the current folder: cosign VERB KEY
// DIGESTFILE [TYPE]
func cosign(ts *testscript.TestScript, neg bool, args []string) {
	var known struct{ URL, Token, Project string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(".towpath/client.json")), &known))
	c := cosigntest.New(stories)
	run := []string{
		args[0], "--key", ts.MkAbs(args[1]), "--allow-http-registry=true", "--registry-username", "ana", "--registry-password", known.Token,
	}
	if args[0] == "sign" {
		run = append(run, "--tlog-upload=false", "--use-signing-config=false", "--yes")
	} else {
		run = append(run, "--insecure-ignore-tlog=true")
	}
	if len(args) > 3 {
		run = append(run, "--type", args[3])
	}
	image := strings.TrimPrefix(known.URL, "http://") + "/" + known.Project + "@" + strings.TrimSpace(ts.ReadFile(args[2]))
	out, err := c.Run(append(run, image)...)
	if (err == nil) == neg {
		ts.Fatalf("cosign %s: %v\n%s", args[0], err, out)
	}
}
