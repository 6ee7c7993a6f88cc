package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of what the server is told, whatever a runner says or a process
// writes, in bytes.
const (
	maxMessage = 4 << 10
	maxLogLine = 1 << 10
	maxLog     = 40 // lines, the last ones
	maxPlan    = 4 << 20
)

// bounded is a result within the bounds. A plan is whole or none: part of one
// must not be approved.
func bounded(r towpath.OperationResult) towpath.OperationResult {
	if r.Plan != nil {
		if b, err := json.Marshal(r.Plan); err != nil || len(b) > maxPlan {
			r = towpath.OperationResult{Status: towpath.ResultFailed, Message: fmt.Sprintf(
				"the plan of %s is larger than %d bytes and can't be shown to who approves it; make the release's changes smaller", r.Plan.Component, maxPlan)}
		}
	}
	r.Message = clip(r.Message, maxMessage)
	lines := r.Log[max(0, len(r.Log)-maxLog):]
	r.Log = nil
	for _, l := range lines {
		r.Log = append(r.Log, clip(l, maxLogLine))
	}
	return r
}

// clip cuts a text to at most n bytes, between characters, and shows that it did.
func clip(s string, n int) string {
	const cut = "…"
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len(cut)], "") + cut
}
