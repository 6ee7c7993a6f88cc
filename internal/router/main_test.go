package router

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary the router's process too, and what is measured
// beside it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "towpath-router" {
		if err := Main(context.Background(), Config{Dir: os.Args[2], Replace: len(os.Args) > 3, Now: time.Now}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "bench-") {
		fmt.Fprintln(os.Stderr, benchMain(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}
