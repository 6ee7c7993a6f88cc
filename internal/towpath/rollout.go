package towpath

import (
	"encoding/json"
	"slices"
	"time"
)

// Rollout is the replacement of one revision of a component by the next,
// inside a deployment.
type Rollout struct {
	Component ComponentName   `json:"component"`
	Kind      ComponentKind   `json:"kind"`
	DependsOn []ComponentName `json:"dependsOn,omitempty"`
	// After are the components that move before this one in a rollback, which
	// goes against the dependencies of both releases; of one that goes away, those
	// that end before it because they need it.
	After    []ComponentName `json:"after,omitempty"`
	Action   ChangeAction    `json:"action"`
	From     RevisionID      `json:"from,omitempty"`
	To       RevisionID      `json:"to,omitempty"`
	PlanHash Digest          `json:"planHash,omitempty"`
	Before   *Before         `json:"before,omitempty"` // what From is made of, to bring it back
	// Doubt is that a deployment before this one left in doubt what runs of the
	// component; nil: none did.
	Doubt   *Doubt        `json:"doubt,omitempty"`
	Timeout time.Duration `json:"timeout"` // of each step, nanoseconds
	// Progress is how long an operation may be under way, however often it is
	// tried, until the deployment goes back; nanoseconds, 0: for ever.
	Progress time.Duration `json:"progress,omitempty"`
	// Canary is how the traffic moves by steps; nil: all at once.
	Canary *Canary `json:"canary,omitempty"`
	// Unjudged are the objectives that it is not judged by, although they are its own.
	Unjudged []Unseen `json:"unjudged,omitempty"`
	// Scales are how many instances there may be at other moments than its steps;
	// nil: all of both revisions.
	Scales *Scales `json:"scales,omitempty"`
	// Keep is how long the revision that it replaces runs on, nanoseconds.
	Keep  time.Duration `json:"keep,omitempty"`
	Steps []Step        `json:"steps"` // in the order in which they were issued
}

// Scales are how many instances of both revisions there may be during the
// operations of a rollout that are no steps of its canary.
type Scales struct {
	Prepare *Scale `json:"prepare,omitempty"`
	Switch  *Scale `json:"switch,omitempty"`
	Restore *Scale `json:"restore,omitempty"`
	Repair  *Scale `json:"repair,omitempty"`
	// Late is that preparing takes from what runs, or needs something whose
	// preparing does: it comes when it is this component's turn to switch.
	Late bool `json:"late,omitempty"`
}

// Of is the scale of a verb.
func (s *Scales) Of(v Verb) *Scale {
	if s == nil {
		return nil
	}
	switch v {
	case VerbPrepare:
		return s.Prepare
	case VerbSwitch:
		return s.Switch
	case VerbRestore:
		return s.Restore
	case VerbRepair:
		return s.Repair
	}
	return nil
}

// Step is one operation of a rollout as its readers see it.
type Step struct {
	Operation OperationID    `json:"operation"`
	Verb      Verb           `json:"verb"`
	Phase     OperationPhase `json:"phase"`
	Attempt   int            `json:"attempt,omitempty"`
	Weight    int            `json:"weight,omitempty"` // of VerbShift, percent
	Copies    int            `json:"copies,omitempty"` // of VerbShift with weight 0: percent of the requests that may be copied
	Message   string         `json:"message,omitempty"`
	Log       []string       `json:"log,omitempty"`   // the last lines, of a step that failed
	Issued    time.Time      `json:"issued,omitzero"` // or told to run again by a person
	Began     time.Time      `json:"began,omitzero"`
	Ended     time.Time      `json:"ended,omitzero"`
}

// Begun reports whether an agent has begun a step of which nobody knows the end:
// what it is to bring may be there already.
func (s Step) Begun() bool {
	open := s.Phase == OperationPending || s.Phase == OperationRunning || s.Phase == OperationUnknown
	return open && !s.Began.IsZero()
}

// Find is the last step of a verb, if one was issued.
func (r *Rollout) Find(v Verb) (Step, bool) {
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if r.Steps[i].Verb == v {
			return r.Steps[i], true
		}
	}
	return Step{}, false
}

// Shifted is the last step that moved this share of the traffic, if one was
// issued.
func (r *Rollout) Shifted(weight int) (Step, bool) {
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if r.Steps[i].Verb == VerbShift && r.Steps[i].Weight == weight {
			return r.Steps[i], true
		}
	}
	return Step{}, false
}

// Weight is the percentage of the traffic that the new revision was last given
// for certain.
func (r *Rollout) Weight() int {
	for i := len(r.Steps) - 1; i >= 0; i-- {
		switch s := r.Steps[i]; {
		case s.Phase != OperationSucceeded:
		case s.Verb == VerbShift:
			return s.Weight
		case s.Verb == VerbSwitch:
			return 100
		case s.Verb == VerbRestore, s.Verb == VerbRemove:
			return 0
		}
	}
	return 0
}

// Share is the percentage of the traffic that the new revision may have: what it
// was last given for certain, or its first share while an agent gives it that. The
// agent does so before the verification jobs of the step, and before what has to
// make room has finished its requests.
func (r *Rollout) Share() int {
	if w := r.Weight(); w > 0 {
		return w
	}
	if s, ok := r.Find(VerbShift); ok && s.Begun() {
		return s.Weight
	}
	return 0
}

// Mirrors reports whether copies of requests are all that the new revision was
// given so far, and nobody has begun to give it a share. Having gone back does not
// change that.
func (r *Rollout) Mirrors() bool {
	mirrors := false
	for _, s := range r.Steps {
		given := s.Phase == OperationSucceeded || s.Weight > 0 && !s.Began.IsZero()
		if given && (s.Verb == VerbShift || s.Verb == VerbSwitch) {
			mirrors = s.Copies > 0
		}
	}
	return mirrors
}

// JudgedAfter reports whether the new revision is judged with all of the traffic,
// or was when it went back.
func (r *Rollout) JudgedAfter() bool {
	_, after := r.Canary.AfterSwitch()
	return after && slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Verb == VerbSwitch && s.Phase == OperationSucceeded })
}

// StopsFirst reports whether the revision before has to end for the new one to
// start.
func (r *Rollout) StopsFirst() bool {
	scale := r.Scales.Of(VerbPrepare)
	return scale != nil && scale.Room == 0
}

// Canary is a rollout by steps (of weights, or of instances), and what people and the analysis have said of
// it so far.
type Canary struct {
	Spec RolloutSpec `json:"spec"`
	// Objectives are those that the new revision is judged by.
	Objectives []Objective `json:"objectives,omitempty"`
	// Passed is how many steps a person let pass: their time is over, or their
	// judgement not waited for.
	Passed int `json:"passed,omitempty"`
	// PassedBy is who let the last of them pass.
	PassedBy AccountName `json:"passedBy,omitempty"`
	// Over is when the step after the switch ended, with which the component has
	// moved; zero: it has not, or there is none.
	Over time.Time `json:"over,omitzero"`
	// Judgement is the last one.
	Judgement *Judgement `json:"judgement,omitempty"`
}

// AfterSwitch is the step in which the new revision is judged with all of the
// traffic, if there is one.
func (c *Canary) AfterSwitch() (RolloutStep, bool) {
	if c == nil || len(c.Spec.Steps) == 0 {
		return RolloutStep{}, false
	}
	last := c.Spec.Steps[len(c.Spec.Steps)-1]
	return last, last.AllOfIt()
}

// Pause is why a deployment stands still.
type Pause struct {
	By     AccountName `json:"by"`
	Reason string      `json:"reason"`
	At     time.Time   `json:"at"`
}

// Judgement is what the analysis says of a new revision beside the old one.
type Judgement struct {
	Outcome    JudgementOutcome     `json:"outcome"`
	Sentence   string               `json:"sentence"`
	Objectives []ObjectiveJudgement `json:"objectives,omitempty"`
	// Suspect is that it is undecided, and what there is speaks against it: more
	// has to be seen at the same weight.
	Suspect bool `json:"suspect,omitempty"`
	// Intervals is how many intervals of traffic it has seen, Until the end of
	// the last one by the clock of the place, and Counted by the server's: what
	// came after that nobody has judged.
	Intervals int       `json:"intervals"`
	Until     time.Time `json:"until,omitzero"`
	Counted   time.Time `json:"counted,omitzero"`
}

// ObjectiveJudgement is what it says of one objective.
type ObjectiveJudgement struct {
	Objective string           `json:"objective"`
	Outcome   JudgementOutcome `json:"outcome"`
	Sentence  string           `json:"sentence"`
}

// JudgementOutcome is what is said of a revision. A metric source that errs is
// none of these.
type JudgementOutcome string

// The outcomes of a judgement.
const (
	JudgedWorse      JudgementOutcome = "worse"
	JudgedNotWorse   JudgementOutcome = "not-worse"
	JudgedUndecided  JudgementOutcome = "undecided"   // there are samples, and they do not decide
	JudgedNoEvidence JudgementOutcome = "no-evidence" // samples are missing; never a pass
)

// TrafficCount is what a place's data plane has counted of the revisions of one
// target since it started, while several have traffic.
type TrafficCount struct {
	Target Target `json:"target"`
	// At is when it was counted, by the clock of the place, and Received when the
	// server heard of it, by the server's; of one from before, when it would have.
	At       time.Time `json:"at"`
	Received time.Time `json:"received,omitzero"`
	// Bounds are the upper bounds of the buckets of latencies, in seconds,
	// without infinity.
	Bounds    []float64       `json:"bounds"`
	Revisions []RevisionCount `json:"revisions"`
	// Before is that it was counted before the traffic was to be shared: it says
	// how the requests of what ran then scatter by themselves, and no more.
	Before bool `json:"before,omitempty"`
}

// RevisionCount is one revision's. Counters grow; one that is lower than before
// began anew.
type RevisionCount struct {
	Revision RevisionID `json:"revision"`
	Weight   int        `json:"weight"` // percent of the traffic, now
	Requests uint64     `json:"requests"`
	Failed   uint64     `json:"failed"`           // answered with 5xx, or not at all
	Buckets  []uint64   `json:"buckets"`          // by bound, each without those before; the last one is infinity
	Broken   string     `json:"broken,omitempty"` // why its instances don't do their work; empty: they do
	// Copies are what it did with copies of requests, which nobody waited for, and
	// Originals how it answered the requests that were copied: they are part of
	// Requests, and copies are not.
	Copies    *RequestCount `json:"copies,omitempty"`
	Originals *RequestCount `json:"originals,omitempty"`
	// Copied is the part of the requests that it gets copies of, in percent, now.
	Copied int `json:"copied,omitempty"`
}

// RequestCount is some requests by how they were answered.
type RequestCount struct {
	Requests uint64   `json:"requests"`
	Failed   uint64   `json:"failed"`
	Buckets  []uint64 `json:"buckets"`
}

// Doubt is that nobody can tell what a deployment found running of a component.
type Doubt struct {
	// Ends is that going back ends the doubt: From is what the release has that the
	// environment is said to run. Going back to anything else does not.
	Ends bool `json:"ends,omitempty"`
}

// Before is a revision that ran before a rollout, with all that is needed to
// run it again.
type Before struct {
	Release  Digest          `json:"release"`
	Layer    Digest          `json:"layer"`
	Size     int64           `json:"size"` // bytes of the layer
	Rendered json.RawMessage `json:"rendered,omitempty"`
	// Instances is how many of it run, of a component that is replaced instance
	// by instance; 0: not known.
	Instances int `json:"instances,omitempty"`
}
