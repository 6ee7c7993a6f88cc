// Package failpoint kills the process at a named step, so that tests can show
// that any step survives a crash. A point does nothing unless the environment
// says TOWPATH_FAILPOINT=name (the first hit) or TOWPATH_FAILPOINT=name:n (the
// n-th). It imports nothing of ours; its counter is the one piece of state in
// the code base that belongs to the process and not to a value, because that is
// what dies.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Variable is the environment variable that arms a point.
const Variable = "TOWPATH_FAILPOINT"

// armed is the point that the environment names.
var armed = sync.OnceValue(func() *point { return parse(os.Getenv(Variable)) })

type point struct {
	name string
	at   int64
	hits atomic.Int64
}

// parse reads name or name:n; a count that is no positive number is 1.
func parse(s string) *point {
	name, count, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		n = 1
	}
	return &point{name: name, at: n}
}

// reached counts a hit of name and reports whether it is the one to die at.
func (p *point) reached(name string) bool {
	return p.name != "" && p.name == name && p.hits.Add(1) == p.at
}

// Hit marks a step. When the environment names it, the process kills itself as
// kill -9 would: nothing is flushed and nothing deferred runs.
func Hit(name string) {
	if armed().reached(name) {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
