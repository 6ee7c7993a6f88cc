package towpath

import (
	"path"
	"slices"
	"strings"
	"time"
)

// DriftRules are what a component says about its drift besides the policy. What
// is zero is left to the server.
type DriftRules struct {
	// Ignore are the patterns of files that the component's own programs write
	// into its folder; see [Ignored]. They stand in the rendered spec too: what is
	// not looked at is a property of the revision that runs.
	Ignore []string `json:"ignore,omitempty"`
	// Debounce is how long a difference has to be seen, and not to be seen, to
	// count, nanoseconds.
	Debounce time.Duration `json:"debounce,omitempty"`
	// Backoff is the pause after a repair that failed, doubling to BackoffMax,
	// nanoseconds.
	Backoff    time.Duration `json:"backoff,omitempty"`
	BackoffMax time.Duration `json:"backoffMax,omitempty"`
	// Repairs is how many are made within Window; what differs again after that
	// is left alone.
	Repairs int           `json:"repairs,omitempty"`
	Window  time.Duration `json:"window,omitempty"` // nanoseconds
}

// DefaultRepairs is how many repairs are made until a component is left alone when
// it does not say.
const DefaultRepairs = 3

// LeastWindow is the shortest time in which so many repairs can be counted when
// each of them waits for its difference to settle, and takes as long itself. In a
// shorter one they never come together, and are made for ever.
func LeastWindow(repairs int, debounce time.Duration) time.Duration {
	return 2 * time.Duration(repairs) * debounce
}

// MaxRepairs is how many repairs a component may ask for until it is left alone.
const MaxRepairs = 20

// Zero reports whether the rules say nothing.
func (r DriftRules) Zero() bool {
	return len(r.Ignore) == 0 && r.Debounce == 0 && r.Backoff == 0 && r.BackoffMax == 0 && r.Repairs == 0 && r.Window == 0
}

// Ignored says whether one of some patterns covers a file or folder, by its path
// with slashes; see [MatchPath]. That a folder is covered says nothing of what
// is in it. What ends in /** covers the folder itself too, but nothing else that
// has its name: a link in the folder's place is reported.
func Ignored(patterns []string, name string, folder bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if !folder && strings.HasSuffix(p, "/**") {
			p += "/*"
		}
		return MatchPath(p, name)
	})
}

// AllIgnoredIn says whether one of some patterns covers everything in a folder, at
// any depth: nothing is to be found by looking into it.
func AllIgnoredIn(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, "/**") && MatchPath(p, folder) })
}

// MayIgnoreBelow says whether one of some patterns can cover something in a
// folder, which has to be there for that.
func MayIgnoreBelow(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		segments := strings.Split(p, "/")
		for i, name := range strings.Split(folder, "/") {
			if segments[i] == "**" {
				return true
			}
			if ok, err := path.Match(segments[i], name); err != nil || !ok || i == len(segments)-1 {
				return false
			}
		}
		return true
	})
}
