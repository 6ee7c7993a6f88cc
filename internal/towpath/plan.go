package towpath

import (
	"cmp"
	"slices"
	"time"
)

// Plan is exactly what a deployment would change in an environment, computed
// by the kinds' run halves before anyone approves.
type Plan struct {
	Hash       Digest          `json:"hash"`
	Base       Digest          `json:"base,omitempty"` // the release that the environment ran
	Components []ComponentPlan `json:"components"`     // sorted by name
	At         time.Time       `json:"at"`
}

// ChangeAction is what happens to a component.
type ChangeAction string

// The actions on a component.
const (
	ActionCreate  ChangeAction = "create"
	ActionReplace ChangeAction = "replace"
	ActionRemove  ChangeAction = "remove"
	ActionNone    ChangeAction = "none" // same content and settings: skipped
)

// ComponentPlan is what would happen to one component.
type ComponentPlan struct {
	Component ComponentName `json:"component"`
	Kind      ComponentKind `json:"kind"`
	Action    ChangeAction  `json:"action"`
	From      RevisionID    `json:"from,omitempty"`
	To        RevisionID    `json:"to,omitempty"`
	Changes   []Change      `json:"changes,omitempty"`
	Hash      Digest        `json:"hash"` // over all of the above
}

// Change is one difference inside a component; secrets never show.
type Change struct {
	Path   string `json:"path"` // "env.GREETING", "files"
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// PlanOf puts the plans of components together. The hash covers what changes
// and the base that it was computed on, not the time.
func PlanOf(base Digest, components []ComponentPlan, at time.Time) *Plan {
	slices.SortFunc(components, func(a, b ComponentPlan) int { return cmp.Compare(a.Component, b.Component) })
	parts := []string{string(base)}
	for _, c := range components {
		parts = append(parts, string(c.Component), string(c.Hash))
	}
	return &Plan{Hash: HashOf(parts...), Base: base, Components: components, At: at}
}

// Planned lists the components of a plan as an authorisation has them.
func (p *Plan) Planned() []PlannedChange {
	out := make([]PlannedChange, len(p.Components))
	for i, c := range p.Components {
		out[i] = PlannedChange{Component: c.Component, From: c.From, To: c.To, Hash: c.Hash}
	}
	return out
}

// Counts is how many components would be created, replaced, removed and left.
func (p *Plan) Counts() map[ChangeAction]int {
	n := map[ChangeAction]int{}
	for _, c := range p.Components {
		n[c.Action]++
	}
	return n
}
