package api

import "github.com/towpath/towpath/internal/towpath"

// Steer pauses a rollout or lets it go on.
type Steer struct {
	Action string `json:"action" enum:"pause,resume,skip,abort" doc:"pause holds the weight; resume ends the pause, or a manual step; skip ends the step whatever its time and its judgement say; abort takes all of the traffic back to what ran before"`
	// Component is whose step is ended.
	Component towpath.ComponentName `json:"component,omitempty" doc:"whose step is ended; with none, that of the only one that it can be"`
	// WithoutEvidence has resume go on without a judgement that is overdue.
	WithoutEvidence bool   `json:"withoutEvidence,omitempty" doc:"of resume: end a step whose judgement did not come by its deadline, and no pause and no manual step; refused where none is overdue"`
	Reason          string `json:"reason,omitempty" maxLength:"1000" doc:"why; kept in the ledger"`
}
