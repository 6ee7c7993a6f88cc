package stories_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// record writes down every file below a folder, git's own included: name, mode,
// and what is in it. Two records are equal when nothing was changed: record DIR
// FILE
func record(ts *testscript.TestScript, _ bool, args []string) {
	root := ts.MkAbs(args[0])
	var out strings.Builder
	ts.Check(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			content, err = os.Readlink(path)
		case info.Mode().IsRegular():
			b, readErr := os.ReadFile(path)
			content, err = fmt.Sprintf("%x", sha256.Sum256(b)), readErr
		}
		fmt.Fprintf(&out, "%s %s %s\n", info.Mode(), name, content)
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

// below is the command lines of the processes that name a folder.
func below(dir string) []string {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var out []string
	for _, path := range all {
		line, err := os.ReadFile(path) // gone since it was listed: then it does not run
		if err == nil && bytes.Contains(line, []byte(dir)) {
			out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

// running fails when no process names a folder; negated, when one does that has
// not ended within a while: running DIR
func running(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	if !neg {
		if len(below(dir)) == 0 {
			ts.Fatalf("nothing runs in %s", dir)
		}
		return
	}
	deadline := time.Now().Add(patience)
	for len(below(dir)) > 0 {
		if time.Now().After(deadline) {
			ts.Fatalf("still running:\n%s", strings.Join(below(dir), "\n"))
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// demoKept runs a demo that is left running, tries the commands that it prints
// and ends it as a person would: demokept DIR
func demoKept(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	p := start(ts, environment(ts), "demo", "--keep", "--dir", dir)
	find(ts, p.lines, `(It goes on running until Ctrl-C)`)
	for range 3 {
		command := find(ts, p.lines, `^  (\S.*)$`)
		ts.Check(ts.Exec("sh", "-c", command))
		if ts.ReadFile("stdout") == "" {
			ts.Fatalf("%q says nothing", command)
		}
	}
	running(ts, false, args)
	if code := p.interrupt(ts); code != 0 {
		ts.Fatalf("the demo ended with exit code %d", code)
	}
}

// environment is what commands of a story run with.
func environment(ts *testscript.TestScript) []string {
	var out []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "XDG_STATE_HOME", "NO_COLOR", "GIT_CONFIG_NOSYSTEM", "TMPDIR"} {
		out = append(out, name+"="+ts.Getenv(name))
	}
	return out
}

// traffic asks a component of an environment for its page again and again, as
// its users do. Stopped, it fails when one answer was no success, unless it was
// told that some may fail, or that all have to be answered, if only with 500. Those
// who are impatient give up after a while, and are several:
// traffic ENV COMPONENT [some-fail|answered|impatient], traffic stop
func traffic(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "stop" {
		sent, failed := castOf(ts).traffic()
		ts.Check(failed)
		if sent < 10 {
			ts.Fatalf("only %d requests were sent", sent)
		}
		return
	}
	url := "http://" + addressOf(ts, args[0], args[1]) + "/"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	mayFail := len(args) > 2
	if mayFail && args[2] == "impatient" {
		castOf(ts).traffic = impatient(ctx, ts, cancel, url)
		return
	}
	sent, failed := 0, error(nil)
	go func() {
		defer close(ended)
		for ctx.Err() == nil && failed == nil {
			if failed = ask(url, patience); mayFail && (args[2] != "answered" || failed != nil && strings.Contains(failed.Error(), " answered 500 ")) {
				failed = nil
			}
			sent++
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	ts.Defer(stop)
	castOf(ts).traffic = func() (int, error) { stop(); return sent, failed }
}

// impatient are ten users who give up soon, and try again.
func impatient(ctx context.Context, ts *testscript.TestScript, cancel func(), url string) (stop func() (int, error)) {
	var wg sync.WaitGroup
	var sent atomic.Int64
	for range 10 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = ask(url, 1500*time.Millisecond)
				sent.Add(1)
			}
		})
	}
	ts.Defer(func() { cancel(); wg.Wait() })
	return func() (int, error) { cancel(); wg.Wait(); return int(sent.Load()), nil }
}

// users sends requests to a component, each from a client of its own or, with
// one-client, all from one that keeps its cookies, and prints how often each
// answer came: users ENV COMPONENT COUNT [one-client] [HEADER: VALUE]...
func users(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	headers := args[3:]
	if len(headers) > 0 && headers[0] == "one-client" {
		headers = headers[1:]
		c.Jar, err = cookiejar.New(nil)
		ts.Check(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+addressOf(ts, args[0], args[1])+"/", nil)
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	answers := map[string]int{}
	for range n {
		resp, err := c.Do(req.Clone(req.Context()))
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(errors.Join(err, resp.Body.Close()))
		answers[strings.TrimSpace(string(body))]++
	}
	for _, a := range slices.Sorted(maps.Keys(answers)) {
		fmt.Fprintf(ts.Stdout(), "%d %s\n", answers[a], a)
	}
}

// ask sends one request over a connection of its own.
func ask(url string, patience time.Duration) error {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", url, resp.Status, body)
	}
	return err
}

// addressOf is where a component of an environment answers.
func addressOf(ts *testscript.TestScript, env, component string) string {
	ts.Check(ts.Exec("towpath", "status", env, "-o", "json"))
	var doc struct {
		Environments []struct {
			Components []struct{ Component, Address string }
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	for _, e := range doc.Environments {
		for _, c := range e.Components {
			if c.Component == component {
				return c.Address
			}
		}
	}
	ts.Fatalf("%s of %s has no address", component, env)
	return ""
}
