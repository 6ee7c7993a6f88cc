package cli_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// Where releases live is said, how far its end is too, and what is asked for in
// vain is refused before the server is asked.
func TestReplication_Place(t *testing.T) {
	w := storyWorld()
	w.Replications = []replication.Status{{ReplicationRule: towpath.ReplicationRule{
		Project: "shop", Name: "home", To: "registry.example/shop", Place: &towpath.PlaceRule{Leaving: noon(), Error: "the registry does not answer"},
	}}}
	s := apitest.New(t, w)
	add := []string{"replication", "add", "home", "--to", "registry.example/shop"}
	for _, tt := range []struct {
		name string
		code int
		args []string
		says string
	}{
		{"an end that waits says why", 0, []string{"replication", "list"}, "the registry does not answer"},
		{"an end brings everything back", 0, []string{"replication", "remove", "home"}, "is brought back"},
		{"an end at once does not", 0, []string{"replication", "remove", "home", "--abandon"}, "copies nothing any more"},
		{"a bound without a place", cli.ExitError, append(add, "--cache", "20GiB"), "--keep and --cache are about --place"},
		{"a time without a place", cli.ExitError, append(add, "--keep", "1h"), "--keep and --cache are about --place"},
		{"no size", cli.ExitError, append(add, "--place", "--cache", "lots"), "a size such as 20GiB"},
		{"less than nothing", cli.ExitError, append(add, "--place", "--cache", "-1"), "a size such as 20GiB"},
		{"more than there is", cli.ExitError, append(add, "--place", "--cache", "9000000000TiB"), "a size such as 20GiB"},
		{"a size without a unit", 0, append(add, "--place", "--cache", "1000"), "the releases move to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newShell(t, s).run(tt.args...)
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.says) {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}
