package api

// Steer pauses a rollout or lets it go on.
type Steer struct {
	Action string `json:"action" enum:"pause,resume,skip" doc:"pause holds the weight; resume ends the pause, or a step that waits for a person; skip ends the step whatever its time and its judgement say"`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why; kept in the ledger"`
}
