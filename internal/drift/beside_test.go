package drift

import (
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestSee_BesideWhatCantBeRepaired: that something stands which no repair helps
// against makes nothing else certain at the first look.
func TestSee_BesideWhatCantBeRepaired(t *testing.T) {
	gone := []towpath.Difference{{Kind: towpath.DiffersGone}}
	taken := []towpath.Difference{{Kind: towpath.DiffersPort, Subject: "127.0.0.1:80"}}
	with := func(all ...[]towpath.Difference) []towpath.Difference { return slices.Concat(all...) }
	type look struct {
		after   time.Duration
		found   []towpath.Difference
		files   time.Duration // of the look at files, before noon
		news    News
		repairs bool
	}
	for name, looks := range map[string][]look{
		"the agent has time to start an instance again": {
			{time.Hour, with(unreadable(), gone), 0, Nothing, false}, {limits.Settle, with(unreadable(), gone), 0, Nothing, false},
			{time.Second, unreadable(), 0, Nothing, false}, {time.Hour, with(unreadable(), gone), 0, Nothing, false},
			{limits.Restart, with(unreadable(), gone), 0, Changed, true},
		},
		"nothing at all for a moment begins it anew": {
			{time.Hour, with(unreadable(), gone), 0, Nothing, false}, {time.Second, nil, 0, Nothing, false}, {limits.Restart, with(unreadable(), gone), 0, Nothing, false},
		},
		"what takes its place has time, too": {
			{time.Hour, gone, 0, Nothing, false}, {time.Second, gone, 0, Nothing, false}, {limits.Restart, gone, 0, Changed, true},
		},
		"a look at files does not confirm itself": {
			{time.Hour, with(unreadable(), edited()), 1, Nothing, false}, {time.Hour, with(unreadable(), edited()), 1, Nothing, false},
			{time.Second, with(unreadable(), edited()), 2, Changed, true},
		},
		"something else each time is not certain": {
			{time.Hour, with(unreadable(), added("a")), 1, Nothing, false}, {time.Hour, with(unreadable(), added("b")), 2, Nothing, false}, {time.Hour, with(unreadable(), added("c")), 3, Nothing, false},
		},
		"what can't be repaired either is told of as before": {
			{time.Hour, with(unreadable(), taken), 0, Changed, false}, {time.Hour, with(unreadable(), taken), 0, Nothing, false},
		},
		"news of that says nothing of what is not certain": {
			{time.Hour, with(unreadable(), taken, gone), 0, Changed, false}, {limits.Restart, with(unreadable(), taken, gone), 0, Nothing, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, now := towpath.Drift{State: towpath.DriftFound, Differences: unreadable(), Told: true, ToldAt: noon}, noon
			for i, l := range looks {
				now = now.Add(l.after)
				var news News
				d, news = See(d, Look{Found: l.found, Files: noon.Add(-l.files)}, now, limits)
				dec := Decide(d, Situation{Policy: towpath.DriftRepair}, now, limits)
				if d.State != towpath.DriftFound || news != l.news || dec.Repair != l.repairs || !l.repairs && Repairable(d.Differences) {
					t.Fatalf("look %d: news %q of %+v, then %+v", i+1, news, d, dec)
				}
			}
		})
	}
}

func TestBegun_WhatIsNotCertainCountsForNothing(t *testing.T) {
	d := towpath.Drift{State: towpath.DriftFound, Differences: unreadable(), Beside: towpath.Suspicion{Differences: edited(), Since: noon}}
	if d = Begun(d, towpath.RepairAttempt{Deployment: "dep_1"}, true); len(d.Beside.Differences) > 0 {
		t.Errorf("%+v", d.Beside)
	}
}
