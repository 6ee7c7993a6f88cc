// Command towpath hauls infrastructure releases upstream. See internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // windows have time zones, also where the host has none

	"github.com/towpath/towpath/internal/app"
	"github.com/towpath/towpath/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv, app.Apps(version(), time.Now))
	stop()
	os.Exit(code)
}

// linked is set by the linker of a released binary.
var linked string

// version is the linker's, or the module's as the go command recorded it.
func version() string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
