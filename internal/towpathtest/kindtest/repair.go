package kindtest

import (
	"context"
	"errors"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// Repairers is the contract of kind.Repairer. Each subtest gets a world of its
// own.
func Repairers(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(*testing.T, *place){
		"replaces what runs by the same revision, started again":               repairs,
		"repairs again and again, each time once":                              repairsAgain,
		"brings back a revision that another one took the traffic from":        repairsRevision,
		"brings up a revision of which nothing is left":                        repairsNothing,
		"leaves what runs alone when the fresh instances fail":                 repairFails,
		"is neither failure nor done when it is cancelled, and goes on":        repairCancelled,
		"refuses a lower fence":                                                repairFenced,
		"tells after a crash of the agent whether the repair was made":         repairRecovers,
		"is replaced and removed like any other revision once it was repaired": repairedGoesOn,
		"says what it wants, what it runs with and from where":                 saysWhatRuns,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, newPlace(t, newWorld(t))) })
	}
}

func repairs(t *testing.T, p *place) {
	p.deploy(One)
	before, _ := p.observed()
	p.must(One, towpath.VerbRepair)
	p.wantServed(One)
	p.wantStarts(One, 2)
	after, _ := p.observed()
	if after.Address != before.Address || after.Revision != before.Revision || after.Health != towpath.HealthHealthy || after.Instances != before.Instances {
		t.Errorf("observed %+v, before the repair %+v", after, before)
	}
}

func repairsAgain(_ *testing.T, p *place) {
	p.deploy(One)
	for i := range 3 {
		w := p.work(towpath.VerbRepair, One)
		for range 2 { // the second time nothing is left to do
			if err := p.do(p.t.Context(), w); err != nil {
				p.t.Fatal(err)
			}
		}
		p.wantServed(One)
		p.wantStarts(One, i+2)
	}
}

func repairsRevision(t *testing.T, p *place) {
	p.deploy(One)
	p.deploy(Two)
	p.must(One, towpath.VerbRepair)
	p.wantServed(One)
	spec, _ := p.Spec(t, One)
	if o, _ := p.observed(); o.Revision != spec.Revision {
		t.Errorf("observed %+v, want the revision %s", o, spec.Revision)
	}
	p.must(One, towpath.VerbRetire)
	p.wantStarts(One, 2)
}

func repairsNothing(_ *testing.T, p *place) {
	p.must(One, towpath.VerbRepair)
	p.wantServed(One)
	p.wantStarts(One, 1)
}

func repairFails(t *testing.T, p *place) {
	p.deploy(One)
	for _, bad := range []string{Crash, Unhealthy} {
		err := p.do(t.Context(), p.work(towpath.VerbRepair, bad))
		if failure := new(kind.Failure); !errors.As(err, &failure) {
			t.Fatalf("%s: %v, want a failure", bad, err)
		}
		p.wantServed(One)
	}
	w := p.work(towpath.VerbRetire, One)
	if what, err := p.runner.Recover(t.Context(), w); err != nil || what != kind.RecoveredDone {
		t.Errorf("something is left of the failed repairs: %q, %v", what, err)
	}
	p.wantStarts(One, 1)
}

func repairCancelled(t *testing.T, p *place) {
	p.deploy(One)
	w := p.work(towpath.VerbRepair, Unhealthy)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.do(ctx, w) }()
	eventually(t, "the workload starts", func() bool { return p.Starts(t, Unhealthy) > 0 })
	cancel()
	err := <-done
	if failure := new(kind.Failure); errors.As(err, &failure) || !errors.Is(err, context.Canceled) {
		t.Fatalf("repair: %v, want the context's error", err)
	}
	if what, err := p.runner.Recover(t.Context(), w); err != nil || what == kind.RecoveredDone {
		t.Fatalf("recover: %q, %v, want it not to be done", what, err)
	}
	p.wantServed(One)
	p.must(One, towpath.VerbRetire) // takes what the cancelled one has left
	if what, err := p.runner.Recover(t.Context(), p.work(towpath.VerbRetire, One)); err != nil || what != kind.RecoveredDone {
		t.Errorf("something is left of the cancelled repair: %q, %v", what, err)
	}
	p.wantStarts(Unhealthy, 1)
}

func repairFenced(t *testing.T, p *place) {
	p.deploy(One)
	late := p.work(towpath.VerbRepair, One)
	p.must(Two, towpath.VerbPrepare) // a later operation of the target
	if err := p.do(t.Context(), late); towpath.KindOf(err) != towpath.KindLocked {
		t.Fatalf("the earlier operation: %v, want it refused as locked", err)
	}
	p.wantServed(One)
	p.wantStarts(One, 1)
}

func repairRecovers(t *testing.T, p *place) {
	p.deploy(One)
	w := p.work(towpath.VerbRepair, One)
	p.runner = p.Runner(t)
	if what, err := p.runner.Recover(t.Context(), w); err != nil || what != kind.RecoveredNotStarted {
		t.Fatalf("before the repair: %q, %v", what, err)
	}
	if err := p.do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	p.runner = p.Runner(t)
	if what, err := p.runner.Recover(t.Context(), w); err != nil || what != kind.RecoveredDone {
		t.Fatalf("after the repair: %q, %v", what, err)
	}
	if what, err := p.runner.Recover(t.Context(), p.work(towpath.VerbRepair, One)); err != nil || what != kind.RecoveredNotStarted {
		t.Fatalf("of another repair: %q, %v", what, err)
	}
}

func repairedGoesOn(t *testing.T, p *place) {
	p.deploy(One)
	p.must(One, towpath.VerbRepair)
	p.deploy(One) // runs already
	p.wantStarts(One, 2)
	p.deploy(Two)
	p.wantServed(Two)
	p.deploy(One)
	p.wantServed(One)
	o, _ := p.observed()
	p.must(One, towpath.VerbRepair)
	p.must("", towpath.VerbRemove)
	if got := p.Serves(t, o.Address); got != "" {
		t.Errorf("%s still serves %q", o.Address, got)
	}
}

func saysWhatRuns(t *testing.T, p *place) {
	p.deploy(One)
	for range 2 {
		spec, files := p.Spec(t, One)
		o, _ := p.observed()
		if o.Wanted != 1 || o.Folder != files || o.Settings != towpath.SettingsDigest(spec.Rendered) || len(o.Variables) > 0 || o.Closed != "" {
			t.Errorf("observed %+v", o)
		}
		folders, err := p.runner.(kind.Repairer).Folders()
		if err != nil || len(folders) != 1 || folders[0] != files {
			t.Errorf("the folders %q, %v, want %q", folders, err, files)
		}
		p.must(One, towpath.VerbRepair)
	}
}
