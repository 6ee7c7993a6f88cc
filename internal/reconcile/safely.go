package reconcile

import (
	"fmt"
	"runtime/debug"

	"github.com/towpath/towpath/internal/towpath"
)

// safely calls f and turns a panic into an internal error whose cause has the
// stack: one bad key must not take the process down.
func safely[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = towpath.E(towpath.KindInternal, "reconcile", "a bug stopped this step").
				WithHint("it is tried again; report it with the server's log").
				WithCause(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return f()
}
