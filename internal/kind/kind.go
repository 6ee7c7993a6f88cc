// Package kind holds the contracts that every kind of component fulfils: a
// build half, which runs in the builder and needs no credential, and a run
// half, which runs in an agent. Neither half knows the other, nor the server;
// each has a conformance suite in towpathtest.
package kind

import (
	"context"
	"encoding/json"

	"github.com/towpath/towpath/internal/towpath"
)

// Problem is one thing wrong with a component's section or its settings.
type Problem struct {
	Path    string // inside the section: "health.path"
	Message string
	Hint    string
}

// Builder resolves and renders components of one kind.
type Builder interface {
	Kind() towpath.ComponentKind
	// Schema is the JSON Schema of the kind's section of a component.
	Schema() json.RawMessage
	// SettingsSchema is the JSON Schema of an environment's settings for it.
	SettingsSchema() json.RawMessage
	// Check reports everything that is wrong with a section and settings; both
	// may be empty.
	Check(section, settings json.RawMessage) []Problem
	// Render merges settings into the section and returns canonical JSON: equal
	// input gives equal bytes on any machine. What is only known later stays a
	// typed placeholder.
	Render(component towpath.ComponentSpec, environment towpath.EnvironmentName, settings json.RawMessage) (json.RawMessage, error)
}

// Counter is a [Builder] whose components run as several instances, which can be
// replaced by and by.
type Counter interface {
	// Instances is how many of what was rendered run.
	Instances(rendered json.RawMessage) (int, error)
}

// Work is an operation in the hands of a runner.
type Work struct {
	Operation towpath.Operation
	// Files gives the folder that holds the revision's files, extracted, verified
	// and read-only, as they were packed. It may have to fetch them, which takes long
	// and can fail: who needs none of them does not ask. It is empty for plans and for
	// verbs without a revision.
	Files func(ctx context.Context) (string, error)
	// Say reports progress to people: one short sentence.
	Say func(message string)
	// Planned is that the operation carries out an approved plan, which was made
	// when Previous had the traffic. Prepare and Switch return a [*Stale] and
	// change nothing when something else than Previous or Revision has it.
	// Operations that go back never are: they bring a place into order.
	Planned bool
}

// Stage is when verification jobs run.
type Stage string

// The stages of verification.
const (
	BeforeSwitch Stage = "before"
	AtStep       Stage = "step" // whenever it has been given a share of the traffic, or copies
	AfterSwitch  Stage = "after"
)

// Runner runs components of one kind in a place. Every method but Plan and
// Observe brings the target towards a state and may be called again at any
// moment: what is done already is not done twice. A method returns a
// [*Failure] when the release is bad and a [*Stale] when what runs is not what
// it was planned on; any other error is the place's fault and is tried again. A
// cancelled context is none of these.
type Runner interface {
	Kind() towpath.ComponentKind
	// Plan says what would change and changes nothing. The same operation planned
	// again has the same hash as long as its base has not moved: the agent does
	// so before it carries out a plan that was approved.
	Plan(ctx context.Context, w Work) (towpath.ComponentPlan, error)
	// Prepare runs the revision beside what runs, until it is healthy.
	Prepare(ctx context.Context, w Work) error
	// Verify runs the revision's verification jobs of a stage.
	Verify(ctx context.Context, w Work, stage Stage) error
	// Switch sends all traffic to the revision, which must be prepared.
	Switch(ctx context.Context, w Work) error
	// Retire drains and stops every revision but this one. With Spec.Keep the
	// revision that it replaced runs on for that long, without traffic, and then
	// stops by itself: preparing it again meanwhile starts nothing.
	Retire(ctx context.Context, w Work) error
	// Remove drains and stops every revision and takes the address down.
	Remove(ctx context.Context, w Work) error
	// Recover asks the world what became of an operation whose intent was
	// written down but not its end.
	Recover(ctx context.Context, w Work) (Recovery, error)
	// Observe says what really runs, for every target that the runner knows.
	Observe(ctx context.Context) ([]towpath.Observation, error)
}

// Shifter is a [Runner] that can run two revisions side by side, each with a
// share of the traffic.
type Shifter interface {
	// Shift sends Spec.Weight percent of the traffic to the revision, which must
	// be prepared, and the rest to the one that has the traffic (Spec.Previous).
	// That stays the one that runs until the next Switch. With Spec.Sticky clients
	// that met the revision stay with it as its share grows. With Spec.Copies it
	// gets copies of requests instead of a share: nobody waits for its answers, and
	// they are counted apart.
	Shift(ctx context.Context, w Work) error
	// Counts are what was counted of all targets that have traffic. With an error they
	// are those of which it is known.
	Counts(ctx context.Context) ([]Count, error)
}

// Count is what was counted of a target.
type Count struct {
	towpath.TrafficCount
	// Shared is that several revisions are prepared, none of which is only kept:
	// they share the traffic, or are about to.
	Shared bool
}

// Repairer is a [Runner] that can replace what runs by the same again.
type Repairer interface {
	// Repair runs the revision from [Work].Files, which are extracted for it,
	// beside whatever runs, sends all traffic there once it is healthy, and
	// drains and stops the rest. Nothing that runs is changed in place. A failure
	// leaves the traffic where it was and nothing else behind.
	Repair(ctx context.Context, w Work) error
	// Undo ends what a Repair that nobody wants any more has started, unless that
	// has traffic; nothing if it never began.
	Undo(ctx context.Context, w Work) error
	// Folders lists every [Work].Files that is still in use.
	Folders() ([]string, error)
}

// Sampler is a [Runner] that knows metrics of what it runs.
type Sampler interface {
	// Samples are the metrics of every target now, each with the labels revision,
	// deployment and release of what they are about. What could not be asked for
	// its metrics is left out, and says so by the metric up.
	Samples(ctx context.Context) ([]towpath.SampleSet, error)
}

// Recovery is what became of an operation after a crash.
type Recovery string

// The outcomes of [Runner.Recover].
const (
	RecoveredDone       Recovery = "done"
	RecoveredNotStarted Recovery = "not-started" // or safe to run again
	RecoveredUnknown    Recovery = "unknown"     // waits for a person
)

// Failure says that the release is bad: what failed and the last lines of its
// log, redacted.
type Failure struct {
	Message string
	Log     []string
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// Stale says that the base of a plan moved: it has to be made and approved
// again. Nothing was changed, and the release is not to blame.
type Stale struct {
	Message string
	Running towpath.RevisionID // what has the traffic
}

// Error is the message.
func (s *Stale) Error() string { return s.Message }

// Folder is the [Work].Files of what is in place.
func Folder(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return path, nil }
}
