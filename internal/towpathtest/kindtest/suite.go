package kindtest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// Runners is the contract of kind.Runner. Each subtest gets a world of its own.
func Runners(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(*testing.T, *place){
		"moves no traffic until it is told to switch":                          preparesBeside,
		"changes nothing when a step is done twice":                            idempotent,
		"replaces a revision and retires the one before":                       replaces,
		"goes back to a revision that still runs without starting it again":    goesBack,
		"calls a revision that crashes a failure, shows its log, keeps others": failsOnCrash,
		"calls a revision that never gets healthy a failure":                   failsOnUnhealthy,
		"calls a cancelled step neither failure nor done, and goes on with it": cancelled,
		"calls retiring what has the traffic an error, not a failure":          retireNeedsTraffic,
		"calls switching to what is not prepared an error, not a failure":      switchNeedsPrepare,
		"carries out no plan whose base has moved, and changes nothing then":   stale,
		"carries out a plan on its base, again, and where nothing runs":        notStale,
		"goes back whatever runs":                                              goesBackFromAnything,
		"refuses a lower fence":                                                fenced,
		"tells after a crash of the agent what was done and what was not":      recovers,
		"finds everything again after a crash of the agent":                    survives,
		"removes everything, twice if need be":                                 removes,
		"plans what would change and changes nothing":                          plans,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, newPlace(t, newWorld(t))) })
	}
}

func preparesBeside(t *testing.T, p *place) {
	p.must(One, towpath.VerbPrepare, towpath.VerbVerifyBefore)
	o, ok := p.observed()
	if !ok || o.Revision != "" || o.Address == "" {
		t.Fatalf("after prepare: %+v, want an address and no revision with traffic", o)
	}
	p.wantServed("")
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare, towpath.VerbVerifyBefore)
	p.wantServed(One)
}

func idempotent(t *testing.T, p *place) {
	for _, v := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch, towpath.VerbRetire} {
		w := p.work(v, One)
		for range 3 {
			if err := p.do(t.Context(), w); err != nil {
				t.Fatalf("%s: %v", v, err)
			}
		}
	}
	p.deploy(One)
	p.wantServed(One)
	p.wantStarts(One, 1)
}

func replaces(t *testing.T, p *place) {
	p.deploy(One)
	before, _ := p.observed()
	p.deploy(Two)
	p.wantServed(Two)
	after, _ := p.observed()
	spec, _ := p.Spec(t, Two)
	if after.Address != before.Address || after.Revision != spec.Revision || after.Health != towpath.HealthHealthy || after.Instances != 1 {
		t.Errorf("observed %+v, want a healthy instance of %s at %s", after, spec.Revision, before.Address)
	}
	p.must(Two, towpath.VerbRetire)
	p.wantStarts(Two, 1)
}

func goesBack(_ *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare, towpath.VerbSwitch)
	p.wantServed(Two)
	p.must(One, towpath.VerbPrepare, towpath.VerbSwitch)
	p.wantServed(One)
	p.must(One, towpath.VerbRetire)
	p.wantStarts(One, 1)
	p.deploy(Two) // which is gone and must start again
	p.wantServed(Two)
	p.wantStarts(Two, 2)
}

func failsOnCrash(t *testing.T, p *place) {
	p.deploy(One)
	err := p.do(t.Context(), p.work(towpath.VerbPrepare, Crash))
	failure := new(kind.Failure)
	if !errors.As(err, &failure) || len(failure.Log) == 0 {
		t.Fatalf("prepare: %v, want a failure with the last lines of the log", err)
	}
	p.wantServed(One)
	p.must(One, towpath.VerbRetire)
	p.wantStarts(One, 1)
}

func failsOnUnhealthy(t *testing.T, p *place) {
	err := p.do(t.Context(), p.work(towpath.VerbPrepare, Unhealthy))
	if failure := new(kind.Failure); !errors.As(err, &failure) {
		t.Fatalf("prepare: %v, want a failure", err)
	}
}

func cancelled(t *testing.T, p *place) {
	w := p.work(towpath.VerbPrepare, Unhealthy)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.do(ctx, w) }()
	eventually(t, "the workload starts", func() bool { return p.Starts(t, Unhealthy) > 0 })
	cancel()
	err := <-done
	if failure := new(kind.Failure); errors.As(err, &failure) || !errors.Is(err, context.Canceled) {
		t.Fatalf("prepare: %v, want the context's error", err)
	}
	if what, err := p.runner.Recover(t.Context(), w); err != nil || what == kind.RecoveredDone {
		t.Fatalf("recover: %q, %v, want it not to be done", what, err)
	}
	if err := p.do(t.Context(), w); err == nil {
		t.Fatal("the same step went on and found the revision healthy")
	}
	p.wantStarts(Unhealthy, 1)
}

func retireNeedsTraffic(t *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare)
	wantPlainError(t, p.do(t.Context(), p.work(towpath.VerbRetire, Two)))
	p.wantServed(One)
}

func switchNeedsPrepare(t *testing.T, p *place) {
	wantPlainError(t, p.do(t.Context(), p.work(towpath.VerbSwitch, One)))
}

func wantPlainError(t *testing.T, err error) {
	t.Helper()
	if failure := new(kind.Failure); err == nil || errors.As(err, &failure) {
		t.Fatalf("got %v, want an error that is no failure of the release", err)
	}
}

func fenced(t *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare)
	late := p.work(towpath.VerbSwitch, Two)
	p.must(One, towpath.VerbPrepare) // a later operation of the target
	if err := p.do(t.Context(), late); towpath.KindOf(err) != towpath.KindLocked {
		t.Fatalf("the earlier operation: %v, want it refused as locked", err)
	}
	p.wantServed(One)
}

// planned is an operation that obeys a plan made when another revision had the
// traffic.
func (p *place) planned(verb towpath.Verb, from, to string) kind.Work {
	p.t.Helper()
	w := p.work(verb, to)
	w.Planned = true
	if from != "" {
		base, _ := p.Spec(p.t, from)
		w.Operation.Spec.Previous, w.Operation.Spec.PreviousLayer, w.Operation.Spec.PreviousRendered = base.Revision, base.Layer, base.Rendered
	}
	return w
}

func stale(t *testing.T, p *place) {
	p.deploy(One)
	one, _ := p.Spec(t, One)
	wantStale := func(w kind.Work) {
		t.Helper()
		err := p.do(t.Context(), w)
		moved := new(kind.Stale)
		if !errors.As(err, &moved) || moved.Running != one.Revision || moved.Message == "" {
			t.Fatalf("%s: %v, want it to be stale and to name %s", w.Operation.Verb, err, one.Revision)
		}
		p.wantServed(One)
	}
	wantStale(p.planned(towpath.VerbPrepare, Crash, Two))
	wantStale(p.planned(towpath.VerbPrepare, "", Two))
	p.wantStarts(Two, 0)
	p.must(Two, towpath.VerbPrepare)
	wantStale(p.planned(towpath.VerbSwitch, Crash, Two))
}

func notStale(t *testing.T, p *place) {
	for _, w := range []kind.Work{
		p.planned(towpath.VerbPrepare, Crash, One), p.planned(towpath.VerbSwitch, Crash, One), // nothing runs
		p.planned(towpath.VerbPrepare, One, Two), p.planned(towpath.VerbSwitch, One, Two),
		p.planned(towpath.VerbPrepare, One, Two), p.planned(towpath.VerbSwitch, One, Two), // done already
	} {
		if err := p.do(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", w.Operation.Verb, err)
		}
	}
	p.wantServed(Two)
	p.wantStarts(Two, 1)
}

func goesBackFromAnything(t *testing.T, p *place) {
	p.deploy(Two)
	for _, v := range []towpath.Verb{towpath.VerbPrepare, towpath.VerbSwitch} {
		w := p.planned(v, Crash, One)
		w.Planned = false
		if err := p.do(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
	}
	p.wantServed(One)
}

func recovers(t *testing.T, p *place) {
	steps := []kind.Work{
		p.work(towpath.VerbPrepare, One), p.work(towpath.VerbSwitch, One), p.work(towpath.VerbRetire, One),
		p.work(towpath.VerbPrepare, Two), p.work(towpath.VerbSwitch, Two), p.work(towpath.VerbRetire, Two),
		p.work(towpath.VerbRemove, ""),
	}
	for i, w := range steps {
		p.runner = p.Runner(t)
		what, err := p.runner.Recover(t.Context(), w)
		// Retiring has nothing to do when nothing else runs: done is true then.
		if first := i == 2; err != nil || (what != kind.RecoveredNotStarted) != first {
			t.Fatalf("before %s of %s: %q, %v", w.Operation.Verb, w.Operation.Spec.Revision, what, err)
		}
		if err := p.do(t.Context(), w); err != nil {
			t.Fatalf("%s: %v", w.Operation.Verb, err)
		}
		p.runner = p.Runner(t)
		if what, err := p.runner.Recover(t.Context(), w); err != nil || what != kind.RecoveredDone {
			t.Fatalf("after %s of %s: %q, %v", w.Operation.Verb, w.Operation.Spec.Revision, what, err)
		}
	}
	p.wantStarts(One, 1)
	p.wantStarts(Two, 1)
}

func survives(t *testing.T, p *place) {
	p.deploy(One)
	before, _ := p.observed()
	p.runner = p.Runner(t)
	after, ok := p.observed()
	if after.At = before.At; !ok || !reflect.DeepEqual(after, before) {
		t.Fatalf("observed %+v, before the crash %+v", after, before)
	}
	p.wantServed(One)
	p.deploy(One)
	p.wantStarts(One, 1)
}

func removes(t *testing.T, p *place) {
	p.deploy(One)
	o, _ := p.observed()
	p.must(Two, towpath.VerbPrepare)
	p.must("", towpath.VerbRemove, towpath.VerbRemove)
	if got := p.Serves(t, o.Address); got != "" {
		t.Errorf("%s still serves %q", o.Address, got)
	}
	if o, ok := p.observed(); ok {
		t.Errorf("still observed: %+v", o)
	}
	p.deploy(One)
	p.wantServed(One)
}

func plans(t *testing.T, p *place) {
	one, _ := p.Spec(t, One)
	two, _ := p.Spec(t, Two)
	plan := func(from, to towpath.OperationSpec) towpath.ComponentPlan {
		w := kind.Work{Operation: towpath.Operation{Target: p.Target(), Verb: towpath.VerbPlan, Spec: to}, Say: func(string) {}}
		w.Operation.Spec.Previous, w.Operation.Spec.PreviousLayer, w.Operation.Spec.PreviousRendered = from.Revision, from.Layer, from.Rendered
		c, err := p.runner.Plan(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	none := towpath.OperationSpec{}
	hashes := map[towpath.Digest]bool{}
	for _, c := range []struct {
		from, to towpath.OperationSpec
		action   towpath.ChangeAction
	}{
		{none, one, towpath.ActionCreate}, {one, two, towpath.ActionReplace},
		{two, none, towpath.ActionRemove}, {one, one, towpath.ActionNone},
	} {
		got := plan(c.from, c.to)
		if got.Action != c.action || got.From != c.from.Revision || got.To != c.to.Revision || (len(got.Changes) == 0) != (c.action == towpath.ActionNone) {
			t.Errorf("from %q to %q: %+v, want %s", c.from.Revision, c.to.Revision, got, c.action)
		}
		if again := plan(c.from, c.to); again.Hash != got.Hash || hashes[got.Hash] {
			t.Errorf("%s: the hash %s is not that of this plan alone", c.action, got.Hash)
		}
		hashes[got.Hash] = true
	}
	p.wantStarts(One, 0)
	if o, ok := p.observed(); ok {
		t.Errorf("planning made %+v", o)
	}
}

// eventually waits for the world, which says nothing by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
