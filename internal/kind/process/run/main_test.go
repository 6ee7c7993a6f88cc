package run_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/run"
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
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
