package towpath

import (
	"encoding/json"
	"time"
)

// Environment is the record of an environment: the rules in force and what is
// desired to run. Rules come from the candidate that was last promoted into
// it, never from the one being judged.
type Environment struct {
	Project       ProjectName     `json:"project"`
	Name          EnvironmentName `json:"name"`
	Position      int             `json:"position"` // upstream order, 0 first
	Rules         EnvironmentSpec `json:"rules"`
	PolicyVersion Digest          `json:"policyVersion"` // of Rules
	// Candidate and Release are what the environment runs; empty before the
	// first deployment.
	Candidate  CandidateID  `json:"candidate,omitempty"`
	Release    Digest       `json:"release,omitempty"`
	Version    string       `json:"version,omitempty"`
	Commit     CommitID     `json:"commit,omitempty"`
	Since      time.Time    `json:"since,omitzero"`       // when it began to run that
	Active     DeploymentID `json:"active,omitempty"`     // the deployment under way
	Deployment DeploymentID `json:"deployment,omitempty"` // the one that made Release run
	Hold       *Hold        `json:"hold,omitempty"`
	Opened     *Opening     `json:"opened,omitempty"` // nil: nothing is deployed yet, and Rules are a proposal
	Rev        int64        `json:"-"`                // optimistic lock
}

// Opening says who let an environment run in a place: that a release names it
// there is not enough, or whoever may publish would choose where, and by which
// rules. What runs where it was opened never moves, so one is enough.
type Opening struct {
	Place PlaceName   `json:"place"`
	By    AccountName `json:"by"`
	At    time.Time   `json:"at"`
}

// Open reports whether anything may be deployed: somebody let the environment run in
// the place that its rules name.
func (e Environment) Open() bool { return e.Opened != nil && e.Opened.Place == e.Rules.Place }

// Proposal is the rules of an environment that is not open.
type Proposal struct {
	Rules         EnvironmentSpec `json:"rules"` // without the settings of its components
	PolicyVersion Digest          `json:"policyVersion"`
}

// Proposal is what there is to open; nil when it is open.
func (e Environment) Proposal() *Proposal {
	if e.Open() {
		return nil
	}
	return &Proposal{Rules: e.Rules.Rules(), PolicyVersion: e.PolicyVersion}
}

// CloudAccount is the account or project of a cloud that an environment stands
// in: "123456789012", "shop-prod". See [LabelPattern].
type CloudAccount string

// Region is the region that an environment stands in: "eu-west-1". See
// [LabelPattern].
type Region string

// LabelPattern is what the name of an account or a region looks like: clouds
// have numbers, capitals, dots and colons in theirs.
const LabelPattern = `^[A-Za-z0-9]([A-Za-z0-9._:-]{0,61}[A-Za-z0-9])?$`

// Hold stops automatic promotion into an environment until a person lifts it.
type Hold struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"` // an account, or "towpath" after a rollback of its own
	At     time.Time `json:"at"`
}

// Freeze stops promotions of a project (or, with no project, of all) until it
// is lifted or ends. It never stops a rollback.
type Freeze struct {
	ID          FreezeID        `json:"id"`
	Project     ProjectName     `json:"project,omitempty"`
	Environment EnvironmentName `json:"environment,omitempty"`
	Reason      string          `json:"reason"`
	By          AccountName     `json:"by"`
	From        time.Time       `json:"from"`
	Until       time.Time       `json:"until,omitzero"` // zero: until lifted
	Emergency   bool            `json:"emergency,omitempty"`
}

// Run is one stay of a candidate in an environment, for soak, verified
// upstream and the last good releases.
type Run struct {
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Candidate   CandidateID     `json:"candidate"`
	Release     Digest          `json:"release"`
	Version     string          `json:"version"`
	Commit      CommitID        `json:"commit"`
	Deployment  DeploymentID    `json:"deployment"`
	Began       time.Time       `json:"began"`
	Ended       time.Time       `json:"ended,omitzero"`
	// Verified is false once a later verification of the candidate failed
	// there, or it was rolled back from.
	Verified bool   `json:"verified"`
	Doubt    string `json:"doubt,omitempty"` // why it is not verified
	// Unseen are the objectives of its rollout that there was no evidence of when
	// it got all of the traffic.
	Unseen []Unseen `json:"unseen,omitempty"`
}

// Unseen is an objective that nobody can tell whether it was kept.
type Unseen struct {
	Component ComponentName `json:"component"`
	Objective string        `json:"objective"`
	Why       string        `json:"why"`          // a sentence
	By        AccountName   `json:"by,omitempty"` // who ended the last step all the same; empty: nobody had to
	// Unasked is that nothing was to be judged by it: the rollout was the first, or
	// the environment has its own that compares nothing.
	Unasked bool `json:"unasked,omitempty"`
}

// RefMove is the journal of one projection of an environment into git: its
// own ref, and its branch. It is written before git is asked to do anything,
// so that a crash in between leaves a plan that can be carried out again.
type RefMove struct {
	Deployment  DeploymentID    `json:"deployment"`
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Branch      string          `json:"branch,omitempty"` // empty: only the environment's ref moves
	Commit      CommitID        `json:"commit"`
	Plan        json.RawMessage `json:"plan,omitempty"` // what git was asked to do; its adapter's own
	State       RefMoveState    `json:"state"`
	Pending     string          `json:"pending,omitempty"` // why it could not be made yet
	At          time.Time       `json:"at"`
}

// RefMoveState is where a projection stands.
type RefMoveState string

// The states of a projection.
const (
	RefPending    RefMoveState = "pending"
	RefDone       RefMoveState = "done"
	RefSuperseded RefMoveState = "superseded"
)
