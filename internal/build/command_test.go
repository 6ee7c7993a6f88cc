package build_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/app/builder"
	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/git"
)

// gone waits until the process whose number is in a file has ended.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("process %d lives (%v)", pid, err)
		}
		return
	}
}

func TestBuild_cancel(t *testing.T) {
	pids := t.TempDir()
	child := filepath.Join(pids, "child")
	r := repo(t, map[string]string{"api": shell("sleep 1000 & echo $! > " + child + "; echo started; wait")}, nil)
	b := newBench(t)
	source, err := git.Open(t.Context(), r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	x, err := build.New(b.cfg, builder.Source{Repository: source}, b.blobs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = x.Build(ctx, build.Request{Progress: func(e build.Event) {
		if e.Line == "started" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("build = %v", err)
	}
	gone(t, child)
}

func TestBuild_leavesNoProcess(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	r := repo(t, map[string]string{"api": shell("sleep 1000 >/dev/null 2>&1 & echo $! > " + child)}, nil)
	newBench(t).build(r.Dir, build.Request{})
	gone(t, child)
}

func TestBuild_progress(t *testing.T) {
	r := repo(t, map[string]string{"api": shell("echo one; printf two")}, nil)
	var said []string
	newBench(t).build(r.Dir, build.Request{Progress: func(e build.Event) {
		if e.Component != "policies" {
			said = append(said, strings.TrimSpace(string(e.Component)+" "+string(e.Step)+" "+e.Line+map[bool]string{true: "done"}[e.Done]))
		}
	}})
	want := "prepare,prepare done,api export,api export done,api run,api run one,api run two,api run done,api pack,api pack done,api scan,api scan done,render,render done"
	if got := strings.Join(said, ","); got != want {
		t.Fatalf("said %s", got)
	}
}
