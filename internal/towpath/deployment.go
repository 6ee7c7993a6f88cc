package towpath

import (
	"slices"
	"time"
)

// Deployment is the desired-state record that a promotion or a rollback
// writes. At most one is active in an environment.
type Deployment struct {
	ID          DeploymentID    `json:"id"`
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Kind        DeploymentKind  `json:"kind"`
	Promotion   PromotionID     `json:"promotion,omitempty"`
	Candidate   CandidateID     `json:"candidate"`
	Release     Digest          `json:"release"`
	Version     string          `json:"version"`
	Commit      CommitID        `json:"commit"`
	// Previous is what the environment ran when the deployment began, and what
	// it goes back to when it fails.
	Previous        Digest          `json:"previous,omitempty"`
	PreviousVersion string          `json:"previousVersion,omitempty"`
	Phase           DeploymentPhase `json:"phase"`
	Reason          string          `json:"reason,omitempty"` // of the phase
	Cause           string          `json:"cause,omitempty"`  // why it goes back, or why a rollback was asked for
	PlanHash        Digest          `json:"planHash,omitempty"`
	// Stale says that it goes back because the base of its plan had moved: no
	// failure of the release, which is planned anew.
	Stale bool `json:"stale,omitempty"`
	// Abort is why a person wants it undone; empty: nobody does.
	Abort string `json:"abort,omitempty"`
	// Waiting is what it waits for, when nothing is under way.
	Waiting string `json:"waiting,omitempty"`
	// Asks is that it does not go on until a person does something: what, Waiting says.
	Asks bool `json:"asks,omitempty"`
	// Unread is since when nothing can be begun because the release can't be read;
	// zero: it can, or nobody has to.
	Unread time.Time `json:"unread,omitzero"`
	// Away are the agents that it waits for, too, and that are not heard of. It is
	// found out when the deployment is read, and never kept.
	Away []AgentAway `json:"away,omitempty"`
	// Paused holds it as it is until a person resumes.
	Paused *Pause `json:"paused,omitempty"`
	// Concurrent is how many components are prepared at a time at most, and how many
	// move; 0: all are prepared at once and move one after another.
	Concurrent int `json:"concurrent,omitempty"`
	// Rules come into force when the deployment succeeds; nil for rollbacks.
	Rules *EnvironmentSpec `json:"rules,omitempty"`
	// Experiment is that it only runs beside what is there, and goes back; nil: it
	// is to stay.
	Experiment *Experiment `json:"experiment,omitempty"`
	// Recovery is when it was hurt and when that was over, if it went back because
	// of the release.
	Recovery      *Recovery   `json:"recovery,omitempty"`
	Components    []Rollout   `json:"components"`              // in dependency order
	Authorisation string      `json:"authorisation,omitempty"` // signed [Authorisation]
	By            AccountName `json:"by"`
	CreatedAt     time.Time   `json:"createdAt"`
	UpdatedAt     time.Time   `json:"updatedAt"`
	FinishedAt    time.Time   `json:"finishedAt,omitzero"`
	Rev           int64       `json:"-"`
}

// Earlier are the releases, beside Previous, of which components run that go
// back when the deployment fails: what a release does not change runs on from
// the one that last did.
func (d *Deployment) Earlier() []Digest {
	var out []Digest
	for _, r := range d.Components {
		if b := r.Before; b != nil && b.Release != "" && b.Release != d.Previous {
			out = append(out, b.Release)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// AgentSilence is how long an agent has not been heard of when it is called away.
const AgentSilence = time.Minute

// AgentAway is an agent that is not heard of, and what of a deployment waits for it.
type AgentAway struct {
	Place      PlaceName       `json:"place"`
	Agent      string          `json:"agent,omitempty"` // its machine; empty: the place never had one
	Seen       time.Time       `json:"seen,omitzero"`   // its last sign of life
	Components []ComponentName `json:"components"`
}

// Recovery is how long users may have been hurt by a release that went back by
// itself, by the server's clock.
type Recovery struct {
	Sign     time.Time `json:"sign"`              // the first trouble with it that was recorded
	Detected time.Time `json:"detected"`          // that it has to go back
	Restored time.Time `json:"restored,omitzero"` // all of the traffic was back where it had been
}

// ToDetect is from the first sign until it was found out.
func (r *Recovery) ToDetect() time.Duration { return r.Detected.Sub(r.Sign) }

// ToRestore is from then until the traffic was back.
func (r *Recovery) ToRestore() time.Duration { return r.Restored.Sub(r.Detected) }

// DeploymentKind is what wrote a deployment.
type DeploymentKind string

// The kinds of deployment. All take the same code path.
const (
	DeploymentPromotion DeploymentKind = "promotion"
	DeploymentRollback  DeploymentKind = "rollback"
	DeploymentRepair    DeploymentKind = "repair" // of what differs from the release that runs
)

// DeploymentPhase is where a deployment stands.
type DeploymentPhase string

// The phases of a deployment.
const (
	DeploymentPreparing  DeploymentPhase = "preparing"   // new revisions start beside the old
	DeploymentSwitching  DeploymentPhase = "switching"   // traffic moves, component by component
	DeploymentRetiring   DeploymentPhase = "retiring"    // the environment runs the release; old revisions stop
	DeploymentSucceeded  DeploymentPhase = "succeeded"   //
	DeploymentReverting  DeploymentPhase = "reverting"   // traffic goes back to the previous revisions
	DeploymentRolledBack DeploymentPhase = "rolled-back" // the previous release runs again
	DeploymentFailed     DeploymentPhase = "failed"      // it could not go forward nor back; a person is needed
	DeploymentPreempted  DeploymentPhase = "preempted"   // a rollback took over
	DeploymentConcluded  DeploymentPhase = "concluded"   // an experiment is over; what ran before runs alone again
)

// DeploymentTrigger is what moves a deployment.
type DeploymentTrigger string

// The triggers of a deployment.
const (
	TriggerPrepared DeploymentTrigger = "prepared"
	TriggerRepaired DeploymentTrigger = "repaired" // of a repair, which has no other step
	TriggerSwitched DeploymentTrigger = "switched"
	TriggerRetired  DeploymentTrigger = "retired"
	TriggerStepFail DeploymentTrigger = "failed"
	TriggerWorse    DeploymentTrigger = "judged worse"
	TriggerAlert    DeploymentTrigger = "blamed by an alert"
	TriggerMoved    DeploymentTrigger = "base moved" // what runs is not what the plan was made for
	TriggerAbort    DeploymentTrigger = "aborted"
	TriggerReverted DeploymentTrigger = "reverted"
	TriggerOver     DeploymentTrigger = "experiment over"
	TriggerReturned DeploymentTrigger = "traffic returned" // after an experiment
	TriggerPreempt  DeploymentTrigger = "preempted"
	TriggerGiveUp   DeploymentTrigger = "given up"
)

// DeploymentTransitions is the table of a deployment's phases.
func DeploymentTransitions() Transitions[DeploymentPhase, DeploymentTrigger] {
	return Transitions[DeploymentPhase, DeploymentTrigger]{
		DeploymentPreparing: {
			TriggerPrepared: DeploymentSwitching, TriggerRepaired: DeploymentSucceeded, TriggerStepFail: DeploymentReverting,
			TriggerAbort: DeploymentReverting, TriggerMoved: DeploymentReverting, TriggerPreempt: DeploymentPreempted,
			TriggerAlert: DeploymentReverting,
			TriggerOver:  DeploymentReverting,
		},
		DeploymentSwitching: {
			TriggerSwitched: DeploymentRetiring, TriggerStepFail: DeploymentReverting, TriggerWorse: DeploymentReverting,
			TriggerAbort: DeploymentReverting, TriggerMoved: DeploymentReverting, TriggerPreempt: DeploymentPreempted,
			TriggerAlert: DeploymentReverting,
			TriggerOver:  DeploymentReverting,
		},
		DeploymentRetiring: {
			TriggerRetired: DeploymentSucceeded, TriggerPreempt: DeploymentPreempted,
		},
		DeploymentReverting: {
			TriggerReverted: DeploymentRolledBack, TriggerReturned: DeploymentConcluded, TriggerGiveUp: DeploymentFailed,
			TriggerPreempt: DeploymentPreempted,
		},
	}
}

// Authorisation is the record that the server signs and the agent checks with
// its own trust root before it runs anything.
type Authorisation struct {
	Deployment    DeploymentID    `json:"deployment"`
	Kind          DeploymentKind  `json:"kind"`
	Project       ProjectName     `json:"project"`
	Environment   EnvironmentName `json:"environment"`
	Candidate     CandidateID     `json:"candidate"`
	Release       Digest          `json:"release"`
	Previous      Digest          `json:"previous,omitempty"` // what the deployment may go back to
	Earlier       []Digest        `json:"earlier,omitempty"`  // and the releases of components that Previous had not changed
	PlanHash      Digest          `json:"planHash,omitempty"`
	Changes       []PlannedChange `json:"changes,omitempty"` // what PlanHash is made of
	PolicyVersion Digest          `json:"policyVersion,omitempty"`
	Approvers     []AccountName   `json:"approvers,omitempty"`
	Commit        CommitID        `json:"commit,omitempty"`     // of the candidate
	Rules         *GateRules      `json:"rules,omitempty"`      // of the gates that ask for evidence; nil: none does
	Evidence      []Evidence      `json:"evidence,omitempty"`   // what the gates relied on
	Signatures    []Digest        `json:"signatures,omitempty"` // bundles of every signature over the release, trusted by the server or not
	At            time.Time       `json:"at"`
}

// Evidence is a bundle that a gate relied on, with the key that verifies it.
type Evidence struct {
	Type      string    `json:"type"` // predicate type
	Bundle    Digest    `json:"bundle"`
	PublicKey string    `json:"publicKey"`     // PEM
	Key       KeyName   `json:"key,omitempty"` // by which the rules mean it
	Recorded  time.Time `json:"recorded"`
	First     time.Time `json:"first,omitzero"` // when the ledger first took what it says
}

// PlannedChange is a component in an approved plan, without what changes in it.
type PlannedChange struct {
	Component ComponentName `json:"component"`
	From      RevisionID    `json:"from,omitempty"`
	To        RevisionID    `json:"to,omitempty"`
	Hash      Digest        `json:"hash"` // of the component's plan
}
