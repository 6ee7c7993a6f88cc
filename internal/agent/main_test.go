package agent_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agent"
	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/router"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// TestMain makes the test binary every program that the tests run.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case "towpath-shim":
		err = run.ShimMain(os.Args[2])
	case "towpath-router":
		err = router.Main(context.Background(), router.Config{Dir: os.Args[2], Replace: len(os.Args) > 3, Now: time.Now})
	case "towpath-app":
		os.Exit(kindtest.App())
	case "towpath-agent":
		err = agentMain(os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// agentMain is an agent in a process of its own, so that it can be killed.
func agentMain(dir, url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	routes, err := router.NewClient(router.ClientConfig{Dir: filepath.Join(dir, "router"), Executable: exe, Args: []string{"towpath-router"}}, log)
	if err != nil {
		return err
	}
	processes, err := run.New(run.Config{Dir: filepath.Join(dir, "run"), Executable: exe, ShimArgs: []string{"towpath-shim"}, Now: time.Now}, routes, log)
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Config{
		Dir: filepath.Join(dir, "agent"), Name: "test", Place: "local", Now: time.Now, Extract: extract, Released: believing{},
		ObserveEvery: 200 * time.Millisecond, RetryPause: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond,
	}, agentrpc.NewClient(url, "token", &http.Client{}), []kind.Runner{processes}, log)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func extract(ctx context.Context, r io.Reader, dest *os.Root) error {
	_, err := oci.Extract(ctx, r, dest, oci.ExtractOptions{Limits: oci.DefaultLimits()})
	return err
}
