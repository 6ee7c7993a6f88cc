package project_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/project"
)

// start runs a component of a project's work tree and returns its address and
// a way to wait for its end.
func start(t *testing.T, p *project.Project, component string, env ...string) (address string, end func() error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(project.Programs(t), component))
	cmd.Dir = filepath.Join(p.Dir, component)
	cmd.Env = append(env, "PORT=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line); m != nil {
		address = m[1]
	} else if err == nil {
		t.Fatalf("it said %q", line)
	}
	return address, func() error {
		if address != "" {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				return err
			}
		}
		return cmd.Wait()
	}
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestSample(t *testing.T) {
	p := project.Sample(t)
	t.Run("has its branches at one commit and nothing checked out", func(t *testing.T) {
		for _, b := range []string{"dev", "staging"} {
			if p.Tip(b) != p.Tip("main") {
				t.Fatalf("%s is elsewhere", b)
			}
		}
		if _, err := p.Try(gittest.Ana, "", "symbolic-ref", "--quiet", "HEAD"); err == nil {
			t.Fatal("HEAD is a branch")
		}
	})
	t.Run("answers as its files and its environment say, and one asks the other", func(t *testing.T) {
		p.Change(gittest.Ben, "2.5.0", "api")
		api, end := start(t, p, "api", "GREETING=good day")
		if code, body := get(t, api, "/"); code != 200 || body != "good day from api 2.5.0\n" {
			t.Fatalf("api: %d %q", code, body)
		}
		web, _ := start(t, p, "web", "API_ADDRESS="+api)
		if code, body := get(t, web, "/"); code != 200 || body != "web 1.0.0: good day from api 2.5.0\n" {
			t.Fatalf("web: %d %q", code, body)
		}
		http.DefaultClient.CloseIdleConnections()
		if err := end(); err != nil {
			t.Fatalf("api ended with %v", err)
		}
		if _, err := net.Dial("tcp", api); err == nil {
			t.Fatal("api still listens")
		}
	})
	t.Run("misbehaves when told and is cured", func(t *testing.T) {
		p.Behave("api", project.Unhealthy, "")
		api, _ := start(t, p, "api")
		if code, _ := get(t, api, "/healthz"); code != 500 {
			t.Fatalf("healthz = %d", code)
		}
		p.Behave("api", project.Crash, "")
		if _, end := start(t, p, "api"); end() == nil {
			t.Fatal("it did not crash")
		}
		p.Cure("api")
		p.Behave("api", project.Fail, "")
		api, _ = start(t, p, "api")
		if code, _ := get(t, api, "/healthz"); code != 200 {
			t.Fatalf("healthz = %d", code)
		}
		if code, _ := get(t, api, "/"); code != 500 {
			t.Fatalf("/ = %d", code)
		}
		p.Cure("api")
	})
}

func TestShop(t *testing.T) {
	p := project.Shop(t)
	b, err := os.ReadFile(filepath.Join(p.Dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(b), "module ") {
		t.Fatalf("go.mod: %q, %v", b, err)
	}
	p.Edit("towpath.yaml", "count: 1", "count: 2")
	if p.Commit("two approvals") == p.Tip("main") {
		t.Fatal("nothing was committed beside main")
	}
}
