package projectfile

import (
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// Listener is what the build half of a kind implements whose components take
// addresses in their place: the host:port pairs of section and settings, by the
// path where each stands.
type Listener interface {
	Addresses(section, settings json.RawMessage) map[string]string
}

// Referrer is what the build half of a kind implements whose components take
// outputs of others: by the path of the placeholder, the component.
type Referrer interface {
	References(section, settings json.RawMessage) map[string]towpath.ComponentName
}

// Waiter is what the build half of a kind implements whose components take their
// time to stop: for requests to finish, and for programs to end, as far as section
// and settings say so.
type Waiter interface {
	Waits(section, settings json.RawMessage) (drain, grace time.Duration)
}

// Parse reads a towpath.yaml of version 1. The error is [Problems]: everything
// that is wrong, at once. The same bytes give the same spec.
func Parse(src []byte, builders []kind.Builder) (*towpath.ProjectSpec, error) {
	root, problems := load(src)
	if root == nil {
		return nil, problems.sorted()
	}
	r := &reader{problems: problems}
	p := r.project(root, builders)
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return p, nil
}
