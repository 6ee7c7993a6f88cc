package ocidist_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// serverVariable makes the test binary a server over a data folder.
const serverVariable = "OCIDIST_TEST_SERVER"

func TestMain(m *testing.M) {
	if data := os.Getenv(serverVariable); data != "" {
		if err := serve(data, os.Getenv("OCIDIST_TEST_DATABASE"), os.Getenv("OCIDIST_TEST_BLOBS")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hello is what the server says when it serves.
type hello struct{ URL, Secret string }

func serve(data, database, blobs string) error {
	ctx := context.Background()
	s, err := server.New(ctx, server.Config{Data: data, Database: database, Blobs: blobs, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := s.Register(ctx, shop, ""); err != nil {
		return err
	}
	token, err := s.Account(ctx, "ana", nil, []towpath.Role{towpath.RoleReleaser, towpath.RoleViewer}, time.Hour)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(hello{s.URL(), token.Secret}); err != nil {
		return err
	}
	return s.Run(ctx)
}

// child is a server in a process of its own.
type child struct {
	cmd    *exec.Cmd
	target ocitest.Target
	dead   chan struct{}
}

func spawn(t *testing.T, data, database, failAt string) *child {
	t.Helper()
	return spawnOver(t, data, database, "", failAt)
}

// spawnOver is spawn with blobs in an object store.
func spawnOver(t *testing.T, data, database, blobs, failAt string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), dead: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), serverVariable+"="+data, "OCIDIST_TEST_DATABASE="+database, "OCIDIST_TEST_BLOBS="+blobs, failpoint.Variable+"="+failAt)
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	go func() { defer close(c.dead); _ = c.cmd.Wait() }()
	t.Cleanup(c.kill)
	var h hello
	if err != nil || json.Unmarshal(line, &h) != nil {
		t.Fatalf("the server did not start: %v %s", err, line)
	}
	c.target = ocitest.Target{URL: h.URL, User: "ana", Secret: h.Secret, Repository: "shop/crash", Other: "shop/other"}
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.dead
}
