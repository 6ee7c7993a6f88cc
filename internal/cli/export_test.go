package cli

import (
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/towpath"
)

// ExitCodes is the table of kinds for tests.
func ExitCodes() map[towpath.Kind]int { return exitCodes() }

// CommandPaths are all commands, hidden ones included.
func CommandPaths() (paths [][]string) {
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		paths = append(paths, path)
		for _, sub := range c.Commands() {
			walk(sub, append(append([]string(nil), path...), sub.Name()))
		}
	}
	walk(newRoot(newSession(nil, nil, nil, func(string) string { return "" }, Apps{})), nil)
	return append(paths, []string{"completion"}, []string{"completion", "bash"}, []string{"help"})
}
