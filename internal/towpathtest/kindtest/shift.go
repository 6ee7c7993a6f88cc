package kindtest

import (
	"errors"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// Shifters is the contract of kind.Shifter, for runners that fulfil it. Each
// subtest gets a world of its own.
func Shifters(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(*testing.T, *place){
		"gives a revision its share of the traffic":              shares,
		"counts both revisions while they share, and only then":  counts,
		"copies requests to a revision, and gives it no user":    copies,
		"keeps who has met a revision with it, if it is told to": keeps,
		"goes back to all of the traffic at once":                sharesNoMore,
		"goes on to all of the traffic":                          sharesAll,
		"tells after a crash of the agent which share there is":  recoversShares,
		"shares with nothing but what the plan was made for":     sharesItsBase,
		"calls a share with nothing or of nothing a failure":     sharesNothing,
		"calls a share of what is not prepared no failure":       sharesPrepared,
		"says that a revision is broken that has a share":        saysBroken,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, newPlace(t, newWorld(t))) })
	}
}

// share is an operation that gives a revision a share of another's traffic.
func (p *place) share(revision, previous string, weight int) kind.Work {
	p.t.Helper()
	w := p.work(towpath.VerbShift, revision)
	if previous != "" {
		spec, _ := p.Spec(p.t, previous)
		w.Operation.Spec.Previous = spec.Revision
	}
	w.Operation.Spec.Weight = weight
	return w
}

// served counts which revisions answer a hundred requests.
func (p *place) served() map[string]int {
	p.t.Helper()
	o, _ := p.observed()
	out := map[string]int{}
	for range 100 {
		out[p.Serves(p.t, o.Address)]++
	}
	return out
}

// sharing brings One all the way and gives Two a fifth of its traffic.
func (p *place) sharing() {
	p.t.Helper()
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare, towpath.VerbVerifyBefore)
	if err := p.do(p.t.Context(), p.share(Two, One, 20)); err != nil {
		p.t.Fatal(err)
	}
}

// counts is what was counted of targets whose traffic is shared.
func (p *place) counts() []towpath.TrafficCount {
	p.t.Helper()
	all, err := p.runner.(kind.Shifter).Counts(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	var out []towpath.TrafficCount
	for _, c := range all {
		if c.Shared {
			out = append(out, c.TrafficCount)
		}
	}
	return out
}

// alone is how many requests were counted of a target that one revision has for
// itself.
func (p *place) alone() (requests uint64) {
	p.t.Helper()
	all, err := p.runner.(kind.Shifter).Counts(p.t.Context())
	if err != nil || len(all) != 1 || all[0].Shared {
		p.t.Fatalf("counted %+v, %v", all, err)
	}
	for _, r := range all[0].Revisions {
		requests += r.Requests
	}
	return requests
}

func shares(t *testing.T, p *place) {
	p.sharing()
	if got := p.served(); got[Two] < 15 || got[Two] > 25 || got[One]+got[Two] != 100 {
		t.Errorf("of a hundred requests %v were answered, want about 80 and 20", got)
	}
	for range 2 { // the same again changes nothing
		if err := p.do(t.Context(), p.share(Two, One, 60)); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.served(); got[Two] < 55 || got[Two] > 65 {
		t.Errorf("of a hundred requests %v were answered, want about 40 and 60", got)
	}
	one, _ := p.Spec(t, One)
	if o, _ := p.observed(); o.Revision != one.Revision {
		t.Errorf("%s runs, want %s until the next switch", o.Revision, one.Revision)
	}
	p.wantStarts(One, 1)
	p.wantStarts(Two, 1)
}

func counts(t *testing.T, p *place) {
	p.deploy(One)
	if was, asked := p.alone(), p.served(); p.alone() != was+uint64(asked[One]) {
		t.Errorf("of %v requests %d were counted, and %d before", asked, p.alone(), was)
	}
	p.must(Two, towpath.VerbPrepare)
	if got := p.counted(t); len(got) != 1 {
		t.Fatalf("counted %+v before the second one has traffic", got)
	}
	if err := p.do(t.Context(), p.share(Two, One, 20)); err != nil {
		t.Fatal(err)
	}
	before := p.counted(t)
	served := p.served()
	after := p.counted(t)
	for name, weight := range map[string]int{One: 80, Two: 20} {
		spec, _ := p.Spec(t, name)
		was, is := before[spec.Revision], after[spec.Revision]
		if n := is.Requests - was.Requests; is.Weight != weight || n != uint64(served[name]) || is.Failed != 0 || is.Broken != "" {
			t.Errorf("%s: %d requests were counted at %d %%, want %d at %d: %+v", name, n, is.Weight, served[name], weight, is)
		}
		var n uint64
		for i := range is.Buckets {
			n += is.Buckets[i] - was.Buckets[i]
		}
		if n != uint64(served[name]) {
			t.Errorf("%s: the buckets have %d requests, want %d", name, n, served[name])
		}
	}
	p.must(Two, towpath.VerbSwitch, towpath.VerbRetire)
	p.alone()
}

func copies(t *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare, towpath.VerbVerifyBefore)
	w := p.share(Two, One, 0)
	w.Operation.Spec.Copies = &towpath.TrafficCopies{Percent: 50}
	wantRecovered(t, p, w, kind.RecoveredNotStarted)
	for range 2 { // the same again changes nothing
		if err := p.do(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	wantRecovered(t, p, w, kind.RecoveredDone)
	one, _ := p.Spec(t, One)
	two, _ := p.Spec(t, Two)
	before := p.counted(t)
	if got := p.served(); got[One] != 100 {
		t.Errorf("of a hundred requests %v were answered, and one revision has copies only", got)
	}
	wantCopies := func(n uint64) {
		t.Helper()
		eventually(t, "the copies are counted", func() bool {
			now := p.counted(t)
			c, o := now[two.Revision].Copies, now[one.Revision].Originals
			return c != nil && c.Requests == n && o != nil && o.Requests == n
		})
	}
	wantCopies(50)
	after := p.counted(t)
	if got := after[one.Revision]; got.Requests-before[one.Revision].Requests != 100 || got.Originals.Failed != 0 || got.Copied != 0 {
		t.Errorf("of the one with users was counted %+v", got)
	}
	if got := after[two.Revision]; got.Requests != 0 || got.Weight != 0 || got.Copies.Failed != 0 || got.Copied != 50 {
		t.Errorf("of the one with copies was counted %+v", got)
	}
	if err := p.do(t.Context(), p.share(Two, One, 20)); err != nil {
		t.Fatal(err)
	}
	if got := p.served(); got[Two] < 15 || got[Two] > 25 {
		t.Errorf("of a hundred requests %v were answered, want about 80 and 20", got)
	}
	wantCopies(50) // and no more
	if got := p.counted(t)[two.Revision]; got.Copied != 0 || got.Requests == 0 || got.Requests > 25 {
		t.Errorf("of the one with users now was counted %+v", got)
	}
	p.must(One, towpath.VerbSwitch)
	p.wantServed(One)
}

func keeps(t *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare, towpath.VerbVerifyBefore)
	w, plain := p.share(Two, One, 20), p.share(Two, One, 20)
	w.Operation.Spec.Sticky = &towpath.TrafficSticky{Header: "X-User"}
	if err := p.do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	wantRecovered(t, p, w, kind.RecoveredDone)
	wantRecovered(t, p, plain, kind.RecoveredNotStarted) // that is another share
	if got := p.served(); got[Two] < 15 || got[Two] > 25 {
		t.Errorf("of a hundred requests of nobody %v were answered, want about 80 and 20", got)
	}
	p.must(One, towpath.VerbSwitch)
	if got := p.served(); got[One] != 100 {
		t.Errorf("of a hundred requests %v were answered after going back", got)
	}
}

// counted is the only count there is, by revision.
func (p *place) counted(t *testing.T) map[towpath.RevisionID]towpath.RevisionCount {
	t.Helper()
	all := p.counts()
	if len(all) != 1 || all[0].Target != p.Target() || all[0].At.IsZero() {
		t.Fatalf("counted %+v", all)
	}
	out := map[towpath.RevisionID]towpath.RevisionCount{}
	for _, r := range all[0].Revisions {
		out[r.Revision] = r
	}
	return out
}

func sharesNoMore(t *testing.T, p *place) {
	p.sharing()
	p.must(One, towpath.VerbPrepare, towpath.VerbSwitch)
	if got := p.served(); got[One] != 100 {
		t.Errorf("of a hundred requests %v were answered after going back", got)
	}
	p.must(One, towpath.VerbRetire)
	p.wantServed(One)
	p.wantStarts(One, 1)
}

func sharesAll(t *testing.T, p *place) {
	p.sharing()
	p.must(Two, towpath.VerbSwitch, towpath.VerbVerifyAfter, towpath.VerbRetire)
	if got := p.served(); got[Two] != 100 {
		t.Errorf("of a hundred requests %v were answered after the switch", got)
	}
	p.wantStarts(Two, 1)
}

func recoversShares(t *testing.T, p *place) {
	p.sharing()
	more, back := p.share(Two, One, 60), p.work(towpath.VerbSwitch, One)
	p.runner = p.Runner(t)
	wantRecovered(t, p, more, kind.RecoveredNotStarted)
	wantRecovered(t, p, back, kind.RecoveredNotStarted) // One has the traffic, and not all of it
	if err := p.do(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	p.runner = p.Runner(t)
	wantRecovered(t, p, more, kind.RecoveredDone)
}

func wantRecovered(t *testing.T, p *place, w kind.Work, want kind.Recovery) {
	t.Helper()
	if got, err := p.runner.Recover(t.Context(), w); err != nil || got != want {
		t.Errorf("%s recovered as %q, %v, want %q", w.Operation.Verb, got, err, want)
	}
}

func sharesItsBase(t *testing.T, p *place) {
	p.deploy(Two)
	p.must(One, towpath.VerbPrepare)
	w := p.share(One, Crash, 20) // which never ran
	w.Planned = true
	stale := new(kind.Stale)
	if err := p.do(t.Context(), w); !errors.As(err, &stale) {
		t.Errorf("got %v, want that the base has moved", err)
	}
	p.wantServed(Two)
}

func sharesNothing(t *testing.T, p *place) {
	p.deploy(One)
	p.must(Two, towpath.VerbPrepare)
	for _, w := range []kind.Work{p.share(Two, "", 20), p.share(Two, Two, 20), p.share(Two, One, 0), p.share(Two, One, 100)} {
		if failure := new(kind.Failure); !errors.As(p.do(t.Context(), w), &failure) {
			t.Errorf("%d %% of %q is no failure", w.Operation.Spec.Weight, w.Operation.Spec.Previous)
		}
	}
	p.wantServed(One)
}

func sharesPrepared(t *testing.T, p *place) {
	p.deploy(One)
	wantPlainError(t, p.do(t.Context(), p.share(Two, One, 20)))
	p.wantServed(One)
}

func saysBroken(t *testing.T, p *place) {
	p.sharing()
	two, _ := p.Spec(t, Two)
	one, _ := p.Spec(t, One)
	p.Kill(t, Two)
	eventually(t, "it says that the revision is broken", func() bool { return p.counted(t)[two.Revision].Broken != "" })
	if why := p.counted(t)[one.Revision].Broken; why != "" {
		t.Errorf("the other one is broken too: %s", why)
	}
}
