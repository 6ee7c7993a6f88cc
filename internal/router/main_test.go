package router

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain makes the test binary the router's process too.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "towpath-router" {
		if err := Main(context.Background(), Config{Dir: os.Args[2], Replace: len(os.Args) > 3, Now: time.Now}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
