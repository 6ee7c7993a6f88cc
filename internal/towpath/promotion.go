package towpath

import (
	"encoding/json"
	"time"
)

// Promotion is one request to move one candidate into one environment.
type Promotion struct {
	ID            PromotionID     `json:"id"`
	Project       ProjectName     `json:"project"`
	Environment   EnvironmentName `json:"environment"`
	Candidate     CandidateID     `json:"candidate"`
	Release       Digest          `json:"release"`
	Version       string          `json:"version"`
	Commit        CommitID        `json:"commit"`
	Mode          PromotionMode   `json:"mode"`
	RequestedBy   AccountName     `json:"requestedBy"` // "towpath" when automatic
	RequestedAt   time.Time       `json:"requestedAt"`
	Phase         PromotionPhase  `json:"phase"`
	Reason        string          `json:"reason,omitempty"`        // why it is in this phase
	Plan          *Plan           `json:"plan,omitempty"`          // what would change
	PolicyVersion Digest          `json:"policyVersion,omitempty"` // the rules it was judged by
	Verdicts      []Verdict       `json:"verdicts,omitempty"`
	Approvals     []Approval      `json:"approvals,omitempty"`
	Deployment    DeploymentID    `json:"deployment,omitempty"`
	Attestation   Digest          `json:"attestation,omitempty"` // the manifest that attaches how it ended to the release
	Stale         int             `json:"stale,omitempty"`       // how often the base of its plan moved while it was carried out
	// Experiment is that it is only to run beside what is there; nil: it is to stay.
	Experiment *Experiment `json:"experiment,omitempty"`
	// Compared is what it was found to be better than, and takes the place of, and of
	// nothing else; nil: whatever runs.
	Compared  *Compared `json:"compared,omitempty"`
	UpdatedAt time.Time `json:"updatedAt"`
	Rev       int64     `json:"-"`
}

// PromotionPhase is where a promotion stands.
type PromotionPhase string

// The phases of a promotion.
const (
	PromotionPlanning   PromotionPhase = "planning"    // the agent computes what would change
	PromotionWaiting    PromotionPhase = "waiting"     // at least one gate waits, or another deployment is active
	PromotionDeploying  PromotionPhase = "deploying"   // its deployment is under way
	PromotionSucceeded  PromotionPhase = "succeeded"   // the environment runs it
	PromotionDenied     PromotionPhase = "denied"      // a gate said no
	PromotionFailed     PromotionPhase = "failed"      // it could not be deployed; nothing changed
	PromotionRolledBack PromotionPhase = "rolled-back" // it hurt, and was undone
	PromotionSuperseded PromotionPhase = "superseded"  // a newer automatic promotion took its place
	PromotionConcluded  PromotionPhase = "concluded"   // it was an experiment, which is over
	PromotionCancelled  PromotionPhase = "cancelled"   // a person withdrew it, or a rollback pre-empted it
)

// PromotionTrigger is what moves a promotion.
type PromotionTrigger string

// The triggers of a promotion.
const (
	TriggerPlanned   PromotionTrigger = "planned"
	TriggerReplan    PromotionTrigger = "replanned"
	TriggerDeploy    PromotionTrigger = "deployed"
	TriggerSucceed   PromotionTrigger = "completed"
	TriggerDeny      PromotionTrigger = "denied"
	TriggerFail      PromotionTrigger = "failed"
	TriggerRollBack  PromotionTrigger = "rolled back"
	TriggerSupersede PromotionTrigger = "superseded"
	TriggerCancel    PromotionTrigger = "cancelled"
	TriggerConclude  PromotionTrigger = "concluded"
)

// PromotionTransitions is the table of a promotion's phases.
func PromotionTransitions() Transitions[PromotionPhase, PromotionTrigger] {
	return Transitions[PromotionPhase, PromotionTrigger]{
		PromotionPlanning: {
			TriggerPlanned: PromotionWaiting, TriggerDeny: PromotionDenied, TriggerFail: PromotionFailed,
			TriggerSupersede: PromotionSuperseded, TriggerCancel: PromotionCancelled,
		},
		PromotionWaiting: {
			TriggerReplan: PromotionPlanning, TriggerDeploy: PromotionDeploying, TriggerDeny: PromotionDenied,
			TriggerSucceed:   PromotionSucceeded, // the environment runs identical content already
			TriggerSupersede: PromotionSuperseded, TriggerCancel: PromotionCancelled, TriggerFail: PromotionFailed,
		},
		PromotionDeploying: {
			TriggerSucceed: PromotionSucceeded, TriggerFail: PromotionFailed,
			TriggerRollBack: PromotionRolledBack, TriggerCancel: PromotionCancelled, TriggerConclude: PromotionConcluded,
			TriggerReplan: PromotionPlanning, // the base moved under the approved plan
		},
	}
}

// Outcome is what a gate says.
type Outcome string

// The outcomes of a gate. An error of a gate's source is Wait with its reason,
// never Allow.
const (
	Allow Outcome = "allow"
	Deny  Outcome = "deny" // waiting will not change it
	Wait  Outcome = "wait" // not yet
)

// GateName names a gate.
type GateName string

// The gates.
const (
	GateUpstream      GateName = "upstream"      // verified in `from`
	GateSoak          GateName = "soak"          // ran there long enough
	GateApprovals     GateName = "approvals"     // enough of the right people agree
	GateWindows       GateName = "windows"       // inside allowed times, outside freezes
	GateHold          GateName = "hold"          // no hold on the environment
	GateQuarantine    GateName = "quarantine"    // not revoked
	GateChecks        GateName = "checks"        // external checks passed
	GateCompatibility GateName = "compatibility" // what it needs runs beside it
	GateBranch        GateName = "branch"        // the branch can advance to it
	GatePlan          GateName = "plan"          // the plan is known and its base has not moved
	GateSigned        GateName = "signed"        // signed with keys that are trusted
	GateProvenance    GateName = "provenance"    // comes from where it should
	GateSBOM          GateName = "sbom"          // says what it is made of
	GateScan          GateName = "scan"          // was scanned, and nothing bad was found
	GateReplicated    GateName = "replicated"    // is where it has to be, with all that is attached to it
	GateMirrored      GateName = "mirrored"      // needs nothing of registries outside that is not in ours
	GateAge           GateName = "age"           // was not published too long ago
)

// EvidenceGates are the gates that judge what is said about a release, in the
// order of their verdicts.
func EvidenceGates() []GateName {
	return []GateName{GateSigned, GateProvenance, GateSBOM, GateScan}
}

// Verdict is what one gate said, with the inputs it saw and its reasons.
type Verdict struct {
	Gate    GateName        `json:"gate"`
	Outcome Outcome         `json:"outcome"`
	Reasons []string        `json:"reasons,omitempty"` // sentences
	Hint    string          `json:"hint,omitempty"`
	Inputs  json.RawMessage `json:"inputs,omitempty"` // what it judged
	// Until is when a waiting gate may open by itself.
	Until time.Time `json:"until,omitzero"`
	At    time.Time `json:"at"`
}

// Approval is one person's yes or no. It is bound to the candidate, the plan
// and the policy version, and lapses when any of them changes.
type Approval struct {
	ID            ApprovalID  `json:"id"`
	Promotion     PromotionID `json:"promotion"`
	By            AccountName `json:"by"`
	Roles         []Role      `json:"roles"` // those by which its giver may approve there, when given
	Approve       bool        `json:"approve"`
	Reason        string      `json:"reason,omitempty"`
	Candidate     CandidateID `json:"candidate"`
	PlanHash      Digest      `json:"planHash"`
	PolicyVersion Digest      `json:"policyVersion"`
	At            time.Time   `json:"at"`
}

// Check is the latest status that an external system posted for a candidate.
type Check struct {
	Project     ProjectName     `json:"project"`
	Candidate   CandidateID     `json:"candidate"`
	Environment EnvironmentName `json:"environment,omitempty"`
	Key         string          `json:"key"`
	State       CheckState      `json:"state"`
	URL         string          `json:"url,omitempty"`
	Description string          `json:"description,omitempty"`
	By          AccountName     `json:"by"`
	At          time.Time       `json:"at"`
}

// CheckState is the state of an external check.
type CheckState string

// The states of an external check. Only CheckSuccess passes.
const (
	CheckPending CheckState = "pending"
	CheckSuccess CheckState = "success"
	CheckFailure CheckState = "failure"
	CheckError   CheckState = "error"
)
