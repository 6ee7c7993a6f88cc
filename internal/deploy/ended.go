package deploy

import (
	"encoding/json"
	"fmt"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// ended is a step that a person ended, as the ledger keeps it.
type ended struct {
	Component       towpath.ComponentName    `json:"component"`
	Step            int                      `json:"step"` // from 1
	Steps           int                      `json:"steps"`
	Weight          int                      `json:"weight"` // percent
	Judged          towpath.JudgementOutcome `json:"judged,omitempty"`
	WithoutEvidence bool                     `json:"withoutEvidence,omitempty"`

	sentence string // of the judgement
}

func endedStep(x rollout.Stand, blind bool) ended {
	c := x.Canary
	e := ended{Component: x.Component, Step: x.Step + 1, Steps: len(c.Spec.Steps), Weight: c.Spec.Steps[x.Step].Weight, WithoutEvidence: blind}
	if j := c.Judgement; j != nil {
		e.Judged, e.sentence = j.Outcome, j.Sentence
	}
	return e
}

// record adds what was ended to why, and returns it as the data of an event.
func (e ended) record(why *string) (json.RawMessage, error) {
	said := fmt.Sprintf("ended step %d of %d of %s, %d %% of the traffic", e.Step, e.Steps, e.Component, e.Weight)
	if e.WithoutEvidence {
		said += ", without evidence"
	}
	if e.Judged == "" {
		said += "; nothing was judged"
	} else {
		said += fmt.Sprintf("; judged %s: %s", e.Judged, e.sentence)
	}
	if *why != "" {
		said = *why + "; " + said
	}
	*why = said
	b, err := json.Marshal(e)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, "rollout.steer", "what was ended can't be recorded").WithCause(err)
	}
	return b, nil
}
