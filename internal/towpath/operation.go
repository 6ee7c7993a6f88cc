package towpath

import (
	"encoding/json"
	"time"
)

// Verb is what an agent is asked to do to a target. Each verb brings the
// target towards a state, so doing it again changes nothing.
type Verb string

// The verbs.
const (
	VerbPlan         Verb = "plan"          // compute what would change; no effect
	VerbPrepare      Verb = "prepare"       // run the revision beside what is there, healthy, without traffic
	VerbVerifyBefore Verb = "verify-before" // its verification jobs, before it has traffic
	VerbShift        Verb = "shift"         // send a share of the traffic to the revision, the rest to the previous one
	VerbSwitch       Verb = "switch"        // send all traffic to the revision
	VerbVerifyAfter  Verb = "verify-after"  // its verification jobs, with traffic
	VerbRetire       Verb = "retire"        // drain and stop every other revision
	VerbRemove       Verb = "remove"        // stop every revision and the traffic
	VerbRestore      Verb = "restore"       // prepare the previous revision again and switch back to it
	VerbRepair       Verb = "repair"        // run the revision from fresh files beside what runs, healthy, switch to that and stop the rest
)

// Target is what an operation works on. One operation is active on a target at
// a time.
type Target struct {
	Project     ProjectName     `json:"project"`
	Environment EnvironmentName `json:"environment"`
	Component   ComponentName   `json:"component"`
	Place       PlaceName       `json:"place"`
	Slot        string          `json:"slot"` // "main"; major changes provision another
}

// SlotMain is the slot of everything but blue/green provisioning.
const SlotMain = "main"

// Key is the target as one string.
func (t Target) Key() string {
	return string(t.Project) + "/" + string(t.Environment) + "/" + string(t.Component) + "/" + string(t.Place) + "/" + t.Slot
}

// Operation is one assignment to an agent.
type Operation struct {
	ID         OperationID      `json:"id"` // of deployment, target, verb, attempt and plan
	Deployment DeploymentID     `json:"deployment,omitempty"`
	Promotion  PromotionID      `json:"promotion,omitempty"` // of a plan that is no deployment yet, or a verification
	Again      bool             `json:"again,omitempty"`     // a verification of what its deployment brought, and no step of that
	Target     Target           `json:"target"`
	Verb       Verb             `json:"verb"`
	Spec       OperationSpec    `json:"spec"`
	SpecDigest Digest           `json:"specDigest"`
	Phase      OperationPhase   `json:"phase"`
	Fence      int64            `json:"fence"` // grows with every claim of the target
	Attempt    int              `json:"attempt"`
	Result     *OperationResult `json:"result,omitempty"`
	Said       string           `json:"said,omitempty"`  // the last that the agent said of it while it is under way
	Lease      string           `json:"lease,omitempty"` // the agent's session
	LeaseUntil time.Time        `json:"leaseUntil,omitzero"`
	RunAfter   time.Time        `json:"runAfter,omitzero"`
	CreatedAt  time.Time        `json:"createdAt"`
	ResolvedAt time.Time        `json:"resolvedAt,omitzero"` // by a person, who had it run again
	BeganAt    time.Time        `json:"beganAt,omitzero"`
	EndedAt    time.Time        `json:"endedAt,omitzero"`
}

// OperationSpec is everything an agent needs for an operation.
type OperationSpec struct {
	Kind     ComponentKind   `json:"kind"`
	Release  Digest          `json:"release"`
	Layer    Digest          `json:"layer,omitempty"` // files of the revision
	Size     int64           `json:"size,omitempty"`  // bytes of the layer
	Rendered json.RawMessage `json:"rendered,omitempty"`
	Revision RevisionID      `json:"revision,omitempty"` // the desired one
	// Previous is the revision that ran before and its spec, for plans.
	Previous         RevisionID      `json:"previous,omitempty"`
	PreviousLayer    Digest          `json:"previousLayer,omitempty"`
	PreviousRendered json.RawMessage `json:"previousRendered,omitempty"`
	Timeout          time.Duration   `json:"timeout"`          // nanoseconds
	Weight           int             `json:"weight,omitempty"` // of VerbShift: percent of the traffic
	// Experiment is what the data plane does besides weights, of VerbShift.
	Experiment *ExperimentRoute `json:"experiment,omitempty"`
	// Copies has the revision get copies of requests instead of a share of the
	// traffic, of VerbShift with weight 0.
	Copies *TrafficCopies `json:"copies,omitempty"`
	// Sticky has the clients that the revision gets stay with it as its weight
	// grows, of VerbShift.
	Sticky *TrafficSticky `json:"sticky,omitempty"`
	// Scale is how many instances there may be, when they are replaced by and by;
	// nil: all of both revisions.
	Scale *Scale `json:"scale,omitempty"`
	// Keep is how long the previous revision runs on after VerbRetire,
	// nanoseconds.
	Keep time.Duration `json:"keep,omitempty"`
	// Back is that it is a step of a rollback: where there is no room for both
	// revisions, the one that is gone back from gives way. Of VerbRemove: that what
	// goes away is in the way of going back.
	Back bool `json:"back,omitempty"`
	// Authorisation is the signed record that the agent checks with its own
	// trust root before it runs anything; empty for plans.
	Authorisation string `json:"authorisation,omitempty"`
}

// Scale is how many instances of a revision and of those that it replaces run
// during an operation and after it.
type Scale struct {
	Instances int `json:"instances"` // of the revision, 0: all; those that are missing are started
	Room      int `json:"room"`      // of all others together at most, before any is started
	Rest      int `json:"rest"`      // of all others together at most, at the end of VerbShift
}

// Digest is that of the spec as JSON. Sending a spec does not change it, so that
// an agent which computes it has been given what the server issued.
func (s OperationSpec) Digest() (Digest, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", E(KindInternal, "operation.digest", "an operation's spec can't be encoded").WithCause(err)
	}
	return DigestOf(b), nil
}

// OperationPhase is where an operation stands.
type OperationPhase string

// The phases of an operation.
const (
	OperationPending   OperationPhase = "pending"
	OperationRunning   OperationPhase = "running"
	OperationSucceeded OperationPhase = "succeeded"
	OperationFailed    OperationPhase = "failed"    // the release is bad
	OperationStale     OperationPhase = "stale"     // the base moved
	OperationUnknown   OperationPhase = "unknown"   // nobody can tell whether it took effect; a person is needed
	OperationCancelled OperationPhase = "cancelled" // pre-empted or withdrawn
)

// OperationTrigger is what moves an operation.
type OperationTrigger string

// The triggers of an operation.
const (
	TriggerClaim    OperationTrigger = "claimed"
	TriggerDone     OperationTrigger = "done"
	TriggerBad      OperationTrigger = "failed"
	TriggerStale    OperationTrigger = "stale"
	TriggerUnknown  OperationTrigger = "unknown"
	TriggerRetry    OperationTrigger = "retried" // an error, not a failure: again after a backoff
	TriggerAccept   OperationTrigger = "given up"
	TriggerWithdraw OperationTrigger = "withdrawn"
)

// OperationTransitions is the table of an operation's phases.
func OperationTransitions() Transitions[OperationPhase, OperationTrigger] {
	return Transitions[OperationPhase, OperationTrigger]{
		OperationPending: {TriggerClaim: OperationRunning, TriggerWithdraw: OperationCancelled},
		OperationRunning: {
			TriggerClaim: OperationRunning, // again, with a higher fence, once its lease has run out
			TriggerDone:  OperationSucceeded, TriggerBad: OperationFailed, TriggerStale: OperationStale,
			TriggerUnknown: OperationUnknown, TriggerRetry: OperationPending, TriggerWithdraw: OperationCancelled,
		},
		OperationUnknown: {
			TriggerRetry: OperationPending, TriggerWithdraw: OperationCancelled,
			TriggerAccept: OperationFailed, // a person says that it did not take effect
		},
	}
}

// ResultStatus is how an operation ended. A bad release fails; a broken
// network or disk is an error and is tried again.
type ResultStatus string

// The ways in which an operation ends.
const (
	ResultDone    ResultStatus = "done"
	ResultFailed  ResultStatus = "failed"
	ResultError   ResultStatus = "error"
	ResultStale   ResultStatus = "stale"
	ResultUnknown ResultStatus = "unknown"
)

// OperationResult is what an agent reports at the end of an operation.
type OperationResult struct {
	Status  ResultStatus      `json:"status"`
	Message string            `json:"message,omitempty"` // one sentence
	Log     []string          `json:"log,omitempty"`     // the last lines, redacted
	Plan    *ComponentPlan    `json:"plan,omitempty"`    // of VerbPlan
	Outputs map[string]string `json:"outputs,omitempty"` // "address"
}

// Observation is what really runs on a target, as last seen by its agent. It
// is never edited by anyone who writes desired state.
type Observation struct {
	Target    Target     `json:"target"`
	Revision  RevisionID `json:"revision"` // the one with traffic
	Health    Health     `json:"health"`
	Address   string     `json:"address,omitempty"` // "127.0.0.1:8081"
	Instances int        `json:"instances"`
	Detail    string     `json:"detail,omitempty"`
	// Beside are the other revisions that run, but for what is kept: while one
	// replaces another instances of both do.
	Beside []RevisionSeen `json:"beside,omitempty"`
	// Preview is where the next revision can be looked at before it has traffic.
	Preview string `json:"preview,omitempty"`
	// Kept is a revision without traffic that runs on until a time: going back to
	// it takes no start.
	Kept      RevisionID `json:"kept,omitempty"`
	KeptUntil time.Time  `json:"keptUntil,omitzero"`
	At        time.Time  `json:"at"`
	// Wanted is how many instances its settings ask for, as the place knows them;
	// 0: it can't tell.
	Wanted int `json:"wanted,omitempty"`
	// Out are instances that get no requests because they don't answer their health
	// check and others do, at most [MaxInstancesOut].
	Out []InstanceOut `json:"out,omitempty"`
	// Strays is how many processes run in its name that no revision of it has.
	Strays int `json:"strays,omitempty"`
	// Settings is the digest of those it was prepared with; empty: not known.
	Settings Digest `json:"settings,omitempty"`
	// Variables are the names of those that its processes were started with
	// otherwise than its settings give them now.
	Variables []string `json:"variables,omitempty"`
	// Closed says why nobody reaches its address; empty: it is open.
	Closed string `json:"closed,omitempty"`
	// Files are those that are not as the revision's layer has them, at most
	// [MaxFileChanges], of FilesChanged.
	Files        []FileChange `json:"files,omitempty"`
	FilesChanged int          `json:"filesChanged,omitempty"`
	// Ignored are files that differ and are covered by the patterns of the
	// revision, those of the release first, at most [MaxFilesIgnored], of
	// FilesIgnored.
	Ignored      []FileChange `json:"ignored,omitempty"`
	FilesIgnored int          `json:"filesIgnored,omitempty"`
	// FilesAt is when the place looked at files, by its own clock: observations with
	// the same tell of one look. Zero: it does not say.
	FilesAt time.Time `json:"filesAt,omitzero"`
	// Unread are files that nobody could look at, at most [MaxFilesUnread], of
	// FilesUnread; FilesPartly says why not everything was looked at.
	Unread      []FileUnread `json:"unread,omitempty"`
	FilesUnread int          `json:"filesUnread,omitempty"`
	FilesPartly string       `json:"filesPartly,omitempty"`
	// Folder is where the place has those files, and Ignore the patterns. They
	// stay there.
	Folder string   `json:"-"`
	Ignore []string `json:"-"`
}

// InstanceOut is an instance that runs and gets no requests.
type InstanceOut struct {
	Index int    `json:"index"`
	Why   string `json:"why"`
}

// MaxInstancesOut bounds how many of them an observation names.
const MaxInstancesOut = 20

// RevisionSeen is how much of a revision runs.
type RevisionSeen struct {
	Revision  RevisionID `json:"revision"`
	Instances int        `json:"instances"`
	Wanted    int        `json:"wanted"` // as many as its settings ask for
}

// MaxFileChanges bounds how many files an observation names, MaxFilesIgnored how
// many that are ignored, and MaxFilesUnread how many that could not be read.
const (
	MaxFileChanges  = 20
	MaxFilesIgnored = 5
	MaxFilesUnread  = 5
)

// Health is whether something does its work.
type Health string

// The states of health. Missing data is HealthUnknown, never HealthHealthy.
const (
	HealthHealthy   Health = "healthy"
	HealthUnhealthy Health = "unhealthy"
	HealthUnknown   Health = "unknown"
)
