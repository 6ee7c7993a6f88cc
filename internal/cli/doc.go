// Package cli owns the commands that people and scripts type: flags, output,
// confirmations, watching, exit codes. Each command is one file: options,
// constructor, run.
//
// It must not know the use cases: commands talk to a server through the API's
// client only. What a command runs in its own process (build, dev, server,
// agent, …) comes in through [Apps]. stdout is data, stderr is progress.
//
// Start reading at main.go, then session.go, output.go and status.go, which is
// a typical command.
package cli
