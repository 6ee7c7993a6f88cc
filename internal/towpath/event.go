package towpath

import (
	"encoding/json"
	"time"
)

// Event is one entry of the ledger. It is written in the transaction of the
// change that it records and never altered. The ledger hashes the bytes that
// it stores, never a re-encoding.
type Event struct {
	ID          EventID         `json:"id"`
	At          time.Time       `json:"at"` // UTC, microseconds
	Actor       string          `json:"actor"`
	Action      string          `json:"action"` // "promotion.requested": noun and past participle
	Project     ProjectName     `json:"project,omitempty"`
	Environment EnvironmentName `json:"environment,omitempty"`
	Subject     string          `json:"subject,omitempty"` // the ID of the noun
	Release     Digest          `json:"release,omitempty"`
	RequestID   string          `json:"request_id,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"` // facts of this action; never a secret
}

// NewEvent mints an event at a time; the caller fills the rest.
func NewEvent(now time.Time, actor, action string) Event {
	return Event{
		ID: NewID[EventID]("evt", now), At: now.UTC().Truncate(time.Microsecond),
		Actor: actor, Action: action,
	}
}
