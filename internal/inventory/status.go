package inventory

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Status is what one environment runs, for people and scripts.
type Status struct {
	Project     towpath.ProjectName     `json:"project"`
	Environment towpath.EnvironmentName `json:"environment"`
	Release     towpath.Digest          `json:"release"` // "" before the first deployment
	Version     string                  `json:"version"`
	Commit      towpath.CommitID        `json:"commit,omitempty"`
	Phase       Phase                   `json:"phase"`
	Drift       towpath.DriftState      `json:"drift"` // the worst of its components
	Since       time.Time               `json:"since,omitzero"`
	Behind      int                     `json:"behind"` // candidates published after the one that runs
	Newest      string                  `json:"newest,omitempty"`
	Health      towpath.Health          `json:"health"`
	Doubt       string                  `json:"doubt,omitempty"` // why what runs is not verified any more
	// Unseen are the objectives that nobody can tell whether it kept when it got
	// all of the traffic.
	Unseen      []towpath.Unseen `json:"unseen,omitempty"`
	Hold        *towpath.Hold    `json:"hold"`
	Freezes     []towpath.Freeze `json:"freezes,omitempty"`
	Quarantined bool             `json:"quarantined"`
	// Quarantine is why what runs is quarantined, or else what a rollback brings
	// that had begun before.
	Quarantine *towpath.Quarantine `json:"quarantine,omitempty"`
	// Rollback is the last good release, to get away from what is quarantined;
	// nil when there is none.
	Rollback *RollbackOffer `json:"rollback,omitempty"`
	Expires  time.Time      `json:"expires,omitzero"` // when what runs is older than the rules take
	Expired  bool           `json:"expired,omitempty"`
	// Findings are those of the newest scans of what runs that the environment's
	// rules don't let pass, as sentences; without a rule those that are high or
	// worse.
	Findings []string `json:"findings,omitempty"`
	// Rescans are the scans of what runs that the environment's rules ask for and
	// that were never made, or are too old by now, as sentences.
	Rescans []string `json:"rescans,omitempty"`
	// Unbelieved is the evidence of what runs that the environment's rules ask for
	// and that counts no more because keys were revoked, as sentences.
	Unbelieved []string            `json:"unbelieved,omitempty"`
	Deployment *towpath.Deployment `json:"deployment,omitempty"` // the active one
	// Proposed is what somebody has to open before anything is deployed; nil: it is
	// open.
	Proposed   *towpath.Proposal   `json:"proposed,omitempty"`
	Queue      []towpath.Promotion `json:"queue,omitempty"` // open promotions, oldest first
	Components []ComponentStatus   `json:"components"`
	Branch     *BranchStatus       `json:"branch,omitempty"`
	Requires   []RequirementStatus `json:"requires,omitempty"` // the compatibility matrix of what runs

	failed bool // the last deployment left something in doubt
}

// RollbackOffer is a release that an environment can go back to.
type RollbackOffer struct {
	Release towpath.Digest `json:"release"`
	Version string         `json:"version"`
}

// Phase sums an environment up in one word.
type Phase string

// The phases of an environment.
const (
	PhaseProposed  Phase = "proposed"      // a release names it; somebody has to open it
	PhaseEmpty     Phase = "empty"         // nothing was ever deployed
	PhaseDeploying Phase = "deploying"     // a promotion's deployment is active
	PhaseComparing Phase = "experimenting" // another release has a share of the traffic, and goes back
	PhaseRolling   Phase = "rolling-back"
	PhaseRepairing Phase = "repairing" // what had drifted is being replaced
	PhaseHealthy   Phase = "healthy"
	PhaseUnhealthy Phase = "unhealthy"
	PhaseUnknown   Phase = "unknown" // its agent has not been heard of
	PhaseFailed    Phase = "failed"  // a deployment could not be undone: a person has to roll back or promote
)

// ComponentStatus is one component of an environment.
type ComponentStatus struct {
	Component towpath.ComponentName `json:"component"`
	Revision  towpath.RevisionID    `json:"revision"` // desired
	Running   towpath.RevisionID    `json:"running,omitempty"`
	Health    towpath.Health        `json:"health"`
	Address   string                `json:"address,omitempty"`
	// Preview is where the next revision can be looked at before it has traffic.
	Preview string `json:"preview,omitempty"`
	// KeptUntil is until when the revision before runs on without traffic: going
	// back to it takes no start.
	KeptUntil time.Time `json:"keptUntil,omitzero"`
	Instances int       `json:"instances"`
	// Replacing is how far the active deployment is in replacing the revision;
	// nil while only one of them runs.
	Replacing *Replacing `json:"replacing,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	Observed  time.Time  `json:"observed,omitzero"`
	// Drift is whether it is as it was deployed, and Differences how it is not.
	Drift       towpath.DriftState   `json:"drift"`
	Differences []towpath.Difference `json:"differences,omitempty"`
}

// Replacing is how many instances run of the revision that comes and of the one
// that it replaces, whichever of them has the traffic.
type Replacing struct {
	New    int `json:"new"`
	Wanted int `json:"wanted"` // of the new one in the end
	Old    int `json:"old"`
}

// BranchStatus is where an environment's branch stands.
type BranchStatus struct {
	Name    string `json:"name"`
	Pending string `json:"pending,omitempty"` // why it has not been moved yet
}

// RequirementStatus is one thing that the release in an environment needs, and
// what runs there.
type RequirementStatus struct {
	towpath.Requirement
	Found     string `json:"found"` // the version that runs; empty: none
	Satisfied bool   `json:"satisfied"`
}
