package crashtest_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/app"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// TestMain makes the test binary every program that the tests run.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "server", "agent", "shim", "router":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		code := cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv, app.Apps("test", time.Now))
		stop()
		os.Exit(code)
	case "towpath-app":
		os.Exit(kindtest.App())
	}
	os.Exit(m.Run())
}
