package towpath

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// ProjectSpec is what a towpath.yaml says, parsed and validated. The file's
// schema is version 1.
type ProjectSpec struct {
	Version      int               `json:"version"`
	Project      ProjectName       `json:"project"`
	Naming       string            `json:"naming,omitempty"` // RE2 that a version label must match
	Components   []ComponentSpec   `json:"components"`       // sorted by name
	Objectives   []Objective       `json:"objectives,omitempty"`
	Environments []EnvironmentSpec `json:"environments"` // upstream order: an environment after its `from`
	Requires     []Requirement     `json:"requires,omitempty"`
	Policies     string            `json:"policies,omitempty"`   // folders packed beside the components
	Migrations   string            `json:"migrations,omitempty"` //
	Runbooks     string            `json:"runbooks,omitempty"`   //
	// Allowed is what the scan for credentials lets into a release.
	Allowed []SecretAllowance `json:"allowed,omitempty"`
	// Exceptions are the references from outside that may still move.
	Exceptions []PinException `json:"exceptions,omitempty"`
}

// Component finds a component by name.
func (p *ProjectSpec) Component(name ComponentName) (ComponentSpec, bool) {
	for _, c := range p.Components {
		if c.Name == name {
			return c, true
		}
	}
	return ComponentSpec{}, false
}

// Environment finds an environment by name.
func (p *ProjectSpec) Environment(name EnvironmentName) (EnvironmentSpec, bool) {
	for _, e := range p.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return EnvironmentSpec{}, false
}

// ComponentKind names what runs a component.
type ComponentKind string

// KindProcess runs components as operating system processes.
const KindProcess ComponentKind = "process"

// ComponentSpec is one deployable part of a project.
type ComponentSpec struct {
	Name      ComponentName   `json:"name"`
	Kind      ComponentKind   `json:"kind"`
	Path      string          `json:"path"`             // slash-separated, relative to the root of the repository
	Inputs    []string        `json:"inputs,omitempty"` // other paths that its build may read
	Build     *BuildSpec      `json:"build,omitempty"`
	Uses      []Use           `json:"uses,omitempty"` // from outside; by name
	DependsOn []ComponentName `json:"dependsOn,omitempty"`
	Rollout   RolloutSpec     `json:"rollout"`
	Drift     DriftPolicy     `json:"drift"`
	// DriftRules say more about drift; nil: nothing.
	DriftRules *DriftRules `json:"driftRules,omitempty"`
	// Spec is the section of the component's kind ("process:"), as JSON; its
	// kind's build half validates it and merges the environment's settings.
	Spec json.RawMessage `json:"spec,omitempty"`
}

// BuildSpec is a command that runs in a clean export of the component's path
// and inputs, in the folder of the component, and what it leaves that belongs
// into the release. Without outputs the whole folder does.
type BuildSpec struct {
	Command []string          `json:"command"`
	Env     map[string]string `json:"env,omitempty"`
	Outputs []string          `json:"outputs,omitempty"` // relative to the component's path
}

// RolloutStrategy is how a revision replaces the one before it.
type RolloutStrategy string

// The strategies. The first two start all of the new revision beside the old one
// and keep that until the new one has been verified with all of the traffic.
const (
	StrategyBlueGreen RolloutStrategy = "blue-green"  // the traffic moves at once
	StrategyCanary    RolloutStrategy = "canary"      // it moves by steps, and is judged at each
	StrategyRolling   RolloutStrategy = "rolling"     // the instances are replaced by and by, and the traffic with them
	StrategyAllAtOnce RolloutStrategy = "all-at-once" // the old revision stops before the new one starts
)

// Share is a part of a number of instances: "25%", or "2" of them.
type Share string

// Of is the share of n instances, between 0 and n; a part of one counts as a
// whole one if up says so. A share that is neither form is none.
func (s Share) Of(n int, up bool) int {
	text, percent := strings.CutSuffix(string(s), "%")
	x, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	if percent {
		rest := 0
		if up {
			rest = 99
		}
		x = (x*n + rest) / 100
	}
	return min(max(x, 0), n)
}

// RolloutSpec is how a component is replaced.
type RolloutSpec struct {
	Strategy RolloutStrategy `json:"strategy"`
	Timeout  time.Duration   `json:"timeout"` // of each step, nanoseconds; a step over it has failed
	// Progress is how long an operation may be under way, however often it is
	// tried, until the deployment goes back, nanoseconds; see [RolloutSpec.ProgressTime].
	Progress time.Duration `json:"progress,omitempty"`
	// Of a canary: its steps by ascending weight, how often it is judged, and
	// how long a step may wait for a judgement until a person is asked.
	Steps    []RolloutStep `json:"steps,omitempty"`
	Interval time.Duration `json:"interval,omitempty"` // nanoseconds
	Deadline time.Duration `json:"deadline,omitempty"` // nanoseconds
	// Undecided is what happens at the end of a step when there are enough
	// samples and they do not decide: the next step brings more of them, or it is
	// waited for.
	Undecided Undecided `json:"undecided,omitempty"`
	// Of a rolling update: how many instances more than wanted there may be
	// meanwhile, how many fewer, and how long each batch is looked at.
	// Of blue/green For is how long the new revision is judged once it has all of
	// the traffic, and the old one runs on; 0: not.
	Surge       Share         `json:"surge,omitempty"`
	Unavailable Share         `json:"unavailable,omitempty"`
	For         time.Duration `json:"for,omitempty"` // nanoseconds
	// Preview is how long the new revision can be looked at before it has
	// traffic; nil: not.
	Preview *RolloutStep `json:"preview,omitempty"`
	// Mirror is a first step, in which the new revision gets copies of requests
	// and no user; nil: none.
	Mirror *RolloutStep `json:"mirror,omitempty"`
	// Sticky has clients that met the new revision stay with it; nil: each request
	// goes by itself.
	Sticky *TrafficSticky `json:"sticky,omitempty"`
	// Keep is how long the old revision runs on without traffic, so that going
	// back to it takes no start, nanoseconds.
	Keep time.Duration `json:"keep,omitempty"`
}

// What a rollout does that says nothing of it.
const (
	DefaultInterval = 10 * time.Second // between two counts
	DefaultDeadline = 30 * time.Minute // for a judgement
	// DefaultFor is how long all of the traffic is looked at after a switch.
	DefaultFor = time.Minute
)

// DefaultProgress is the progress time of what says nothing of it.
const DefaultProgress = 30 * time.Minute

// ProgressTime is how long an operation may be under way. Unless it says so
// itself, a step may use its time up twice.
func (s *RolloutSpec) ProgressTime() time.Duration {
	if s.Progress > 0 {
		return s.Progress
	}
	return max(DefaultProgress, 2*s.Timeout)
}

// Room is how many instances more, and how many fewer, than wanted a rolling
// update of n may have meanwhile.
func (s *RolloutSpec) Room(n int) (surge, fewer int) {
	surge, fewer = s.Surge.Of(n, true), s.Unavailable.Of(n, false)
	if surge+fewer == 0 {
		surge = 1 // nothing could be replaced
	}
	return surge, fewer
}

// Batch is how many of n instances a rolling update replaces at a time.
func (s *RolloutSpec) Batch(n int) int {
	surge, fewer := s.Room(n)
	return min(surge+fewer, n)
}

// MaxBatches bounds the batches of a rolling update: each has a share of the
// traffic of its own, in whole percents.
const MaxBatches = 100

// Undecided is what a rollout does with a judgement that is undecided.
type Undecided string

// The ways to go on with an undecided judgement.
const (
	UndecidedProceeds Undecided = "" // go on; the judgement does too
	UndecidedHolds    Undecided = "hold"
)

// RolloutStep is a share of the traffic and how long it stays.
type RolloutStep struct {
	Weight int           `json:"weight"`           // percent, 0 (of a preview or a mirror) to 99; 100 once it was switched to
	For    time.Duration `json:"for,omitempty"`    // at least, nanoseconds
	Manual bool          `json:"manual,omitempty"` // until a person resumes
	// Scale is of a rolling update.
	Scale *Scale `json:"scale,omitempty"`
	// Copies is what the new revision gets instead of a share of the traffic.
	Copies *TrafficCopies `json:"copies,omitempty"`
}

// Judged reports whether there is something at a step that a revision can be
// judged by.
func (s RolloutStep) Judged() bool { return s.Weight > 0 || s.Copies != nil }

// AllOfIt reports whether it is the step after the switch.
func (s RolloutStep) AllOfIt() bool { return s.Weight == 100 }

// DriftPolicy is what happens when the world differs from what is desired.
type DriftPolicy string

// The drift policies.
const (
	DriftReport DriftPolicy = "report"
	DriftRepair DriftPolicy = "repair"
)

// Requirement says which versions of another project (or one component of it)
// this release needs to find running in the same environment.
type Requirement struct {
	Project   ProjectName   `json:"project"`
	Component ComponentName `json:"component,omitempty"`
	Versions  string        `json:"versions"` // a semver range: ">=1.2 <2"
}

// PromotionMode says who starts a promotion.
type PromotionMode string

// The promotion modes.
const (
	PromotionAutomatic PromotionMode = "automatic"
	PromotionManual    PromotionMode = "manual"
)

// EnvironmentSpec is one environment of a project: where its candidates come
// from, the rules on the way in and the settings of its components. All but
// Components are the environment's rules; see [EnvironmentSpec.Rules].
type EnvironmentSpec struct {
	Name      EnvironmentName `json:"name"`
	Branch    string          `json:"branch,omitempty"`
	From      EnvironmentName `json:"from,omitempty"`
	Promotion PromotionMode   `json:"promotion"`
	Place     PlaceName       `json:"place"`
	// Account and Region say where it stands, for rules that are about all that
	// stands there; empty: nowhere in particular.
	Account    CloudAccount    `json:"account,omitempty"`
	Region     Region          `json:"region,omitempty"`
	Gates      GateRules       `json:"gates"`
	Retention  RetentionRule   `json:"retention"`
	Rollout    RolloutStrategy `json:"rollout,omitempty"`    // of every component; empty: as each says
	Concurrent int             `json:"concurrent,omitempty"` // components that are prepared, and that move, at a time at most; 0: all at once, and one after another
	// Watch is how long what was deployed may be rolled back for an alert, once it
	// has all of the traffic, nanoseconds; nil: [DefaultWatch], 0: not at all.
	Watch      *time.Duration                    `json:"watch,omitempty"`
	Components map[ComponentName]json.RawMessage `json:"components,omitempty"` // settings, by component
}

// DefaultWatch is the watch time of an environment that says nothing of it.
const DefaultWatch = 15 * time.Minute

// WatchTime is how long what was deployed may be rolled back for an alert.
func (e EnvironmentSpec) WatchTime() time.Duration {
	if e.Watch == nil {
		return DefaultWatch
	}
	return *e.Watch
}

// Rules is the environment without the settings of its components: what its
// policy version is computed over.
func (e EnvironmentSpec) Rules() EnvironmentSpec {
	e.Components = nil
	return e
}

// GateRules are the rules on the way into an environment.
type GateRules struct {
	Soak      time.Duration `json:"soak,omitempty"` // how long the candidate must have run in From, nanoseconds
	Age       time.Duration `json:"age,omitempty"`  // how long ago its content was first published at most, nanoseconds; 0: any time
	Approvals *ApprovalRule `json:"approvals,omitempty"`
	Windows   []Window      `json:"windows,omitempty"`
	Checks    []string      `json:"checks,omitempty"` // keys of external checks that must have passed
	// Replicated names the rules by which the release must have been copied.
	Replicated []ReplicationName `json:"replicated,omitempty"`
	// Mirrored: what the release takes from registries outside must be in ours.
	Mirrored bool `json:"mirrored,omitempty"`
	// What has to be attached to the release, signed by keys that are trusted.
	Signed     *SignedRule     `json:"signed,omitempty"`
	Provenance *ProvenanceRule `json:"provenance,omitempty"`
	SBOM       *SBOMRule       `json:"sbom,omitempty"`
	Scan       *ScanRule       `json:"scan,omitempty"`
}

// ApprovalRule says who must agree.
type ApprovalRule struct {
	Count int    `json:"count"`
	Roles []Role `json:"roles,omitempty"` // empty: RoleApprover
	Solo  bool   `json:"solo,omitempty"`  // authors and promoters may approve; recorded as such
}

// Window allows or denies promotions at times of the week or between dates.
type Window struct {
	Kind     WindowKind `json:"kind"`
	Days     []string   `json:"days,omitempty"`     // mon … sun; empty is every day
	Start    string     `json:"start,omitempty"`    // "09:00", local to Timezone; empty is 00:00
	End      string     `json:"end,omitempty"`      // "17:00"; before Start it is on the next day; empty is 24:00
	From     string     `json:"from,omitempty"`     // "2026-12-20": first day, for freezes
	To       string     `json:"to,omitempty"`       // "2027-01-03": last day, included
	Timezone string     `json:"timezone,omitempty"` // IANA name; empty is UTC
	Reason   string     `json:"reason,omitempty"`
}

// WindowKind says whether a window opens or closes the way.
type WindowKind string

// The kinds of window. A time that any deny window covers is closed; when
// there are allow windows, a time that none covers is closed too.
const (
	WindowAllow WindowKind = "allow"
	WindowDeny  WindowKind = "deny"
)

// RetentionRule says which releases an environment keeps beyond the last good
// ones, which are never collected.
type RetentionRule struct {
	Keep int           `json:"keep"` // newest releases that ran here
	Age  time.Duration `json:"age"`  // and those that ran here within this time, nanoseconds
}

// Project is a git repository with a towpath.yaml, as registered.
type Project struct {
	Name       ProjectName `json:"name"`
	Repository string      `json:"repository,omitempty"` // a path that the server can read; empty: no branches, no authors
	CreatedAt  time.Time   `json:"createdAt"`
}
