package kindtest

import (
	"context"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// The revisions that a world can run.
const (
	One       = "one"       // good
	Two       = "two"       // good
	Crash     = "crash"     // ends by itself soon after its start, and says why
	Unhealthy = "unhealthy" // runs and never becomes healthy
)

// World is one place with one target in it.
type World interface {
	// Runner is a new runner on the place, as a restarted agent makes one.
	Runner(t *testing.T) kind.Runner
	// Spec is what runs a revision, and the folder of its files.
	Spec(t *testing.T, revision string) (spec towpath.OperationSpec, files string)
	// Target is the target of every operation.
	Target() towpath.Target
	// Serves asks an address which revision answers; "" when none does.
	Serves(t *testing.T, address string) string
	// Kill kills what runs of a revision behind the runner's back.
	Kill(t *testing.T, revision string)
	// Starts counts how often a revision's workload was started, ever.
	Starts(t *testing.T, revision string) int
}

// place drives a world's runner as an agent does: fences grow, operations have
// IDs.
type place struct {
	World
	t      *testing.T
	runner kind.Runner
	fence  int64
}

func newPlace(t *testing.T, w World) *place {
	t.Helper()
	return &place{World: w, t: t, runner: w.Runner(t)}
}

// work is a new operation on a revision.
func (p *place) work(verb towpath.Verb, revision string) kind.Work {
	p.t.Helper()
	p.fence++
	op := towpath.Operation{
		ID:     towpath.HashID[towpath.OperationID]("op", p.t.Name(), string(verb), revision, string(rune(p.fence))),
		Target: p.Target(), Verb: verb, Fence: p.fence,
	}
	var files string
	if revision != "" {
		op.Spec, files = p.Spec(p.t, revision)
	}
	return kind.Work{Operation: op, Files: kind.Folder(files), Say: func(m string) { p.t.Log(m) }}
}

// do performs work and gives the error.
func (p *place) do(ctx context.Context, w kind.Work) error {
	switch w.Operation.Verb {
	case towpath.VerbPrepare:
		return p.runner.Prepare(ctx, w)
	case towpath.VerbVerifyBefore:
		return p.runner.Verify(ctx, w, kind.BeforeSwitch)
	case towpath.VerbShift:
		return p.runner.(kind.Shifter).Shift(ctx, w)
	case towpath.VerbSwitch:
		return p.runner.Switch(ctx, w)
	case towpath.VerbVerifyAfter:
		return p.runner.Verify(ctx, w, kind.AfterSwitch)
	case towpath.VerbRetire:
		return p.runner.Retire(ctx, w)
	case towpath.VerbRepair:
		return p.runner.(kind.Repairer).Repair(ctx, w)
	}
	return p.runner.Remove(ctx, w)
}

// must performs verbs on a revision, none of which may fail.
func (p *place) must(revision string, verbs ...towpath.Verb) {
	p.t.Helper()
	for _, v := range verbs {
		if err := p.do(p.t.Context(), p.work(v, revision)); err != nil {
			p.t.Fatalf("%s %s: %v", v, revision, err)
		}
	}
}

// deploy brings a revision all the way.
func (p *place) deploy(revision string) {
	p.t.Helper()
	p.must(revision, towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter, towpath.VerbRetire)
}

// observed is the target's observation; ok is whether there is one.
func (p *place) observed() (o towpath.Observation, ok bool) {
	p.t.Helper()
	all, err := p.runner.Observe(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, o := range all {
		if o.Target == p.Target() {
			return o, true
		}
	}
	return o, false
}

// wantServed fails unless the target's address serves a revision.
func (p *place) wantServed(revision string) {
	p.t.Helper()
	o, _ := p.observed()
	if got := p.Serves(p.t, o.Address); got != revision {
		p.t.Fatalf("%s serves %q, want %q", o.Address, got, revision)
	}
}

// wantStarts fails unless a revision was started so often.
func (p *place) wantStarts(revision string, want int) {
	p.t.Helper()
	if got := p.Starts(p.t, revision); got != want {
		p.t.Fatalf("%s was started %d times, want %d", revision, got, want)
	}
}
