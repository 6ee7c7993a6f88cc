package drift

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/towpath"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestDifferences(t *testing.T) {
	want := Desired{Revision: "rev_1", Settings: "sha256:1"}
	asDeployed := func() *towpath.Observation {
		return &towpath.Observation{Revision: "rev_1", Settings: "sha256:1", Instances: 2, Wanted: 2, Address: "127.0.0.1:8080"}
	}
	for name, tt := range map[string]struct {
		change func(o *towpath.Observation)
		want   string // kind: sentence, by line
	}{
		"says nothing of what is as it was deployed": {func(*towpath.Observation) {}, ""},
		"names the process that is gone": {func(o *towpath.Observation) { o.Instances = 0 },
			"process-gone: None of its 2 instances runs."},
		"names the only one": {func(o *towpath.Observation) { o.Wanted, o.Instances = 1, 0 }, "process-gone: Its only instance does not run."},
		"counts instances":   {func(o *towpath.Observation) { o.Instances = 1 }, "instances: 1 of its 2 instances run."},
		"names another revision, and says nothing else of that": {func(o *towpath.Observation) { o.Revision, o.Instances, o.Settings = "rev_2", 0, "x" },
			"wrong-revision: The revision with the traffic is rev_2, and rev_1 was deployed."},
		"says that nothing has the traffic": {func(o *towpath.Observation) { o.Revision = "" },
			"wrong-revision: The revision with the traffic is none, and rev_1 was deployed."},
		"says that the settings are others, and which variable": {func(o *towpath.Observation) { o.Settings, o.Variables = "sha256:2", []string{"API"} },
			"settings: It runs with other settings than those that were deployed.\nsettings: The variable API of its processes is not what its settings make of it now."},
		"takes settings that nobody knows for none that differ": {func(o *towpath.Observation) { o.Settings = "" }, ""},
		"says that the address is taken": {func(o *towpath.Observation) { o.Closed = "somebody else listens there" },
			"port-taken: Nobody reaches it at 127.0.0.1:8080: somebody else listens there."},
		"names instances that get no requests": {func(o *towpath.Observation) {
			o.Out = []towpath.InstanceOut{{Index: 1, Why: "GET /healthz was not answered within 2s"}}
		}, "unhealthy: Instance 1 runs and gets no requests: GET /healthz was not answered within 2s."},
		"counts instances that nothing wants": {func(o *towpath.Observation) { o.Strays = 1 },
			"instances: 1 instance too many runs: it is in none of its revisions and gets no traffic."},
		"says that a link stands in place of a file": {func(o *towpath.Observation) {
			o.FilesChanged, o.Files = 1, []towpath.FileChange{{Path: "a", How: towpath.FileWasReplaced}}
		}, "file-changed: In place of a of the release stands something of another kind (a link, a file, a folder)."},
		"says nothing of what is ignored": {func(o *towpath.Observation) {
			o.FilesIgnored, o.Ignored = 1, []towpath.FileChange{{Path: "a", How: "edited"}}
		}, ""},
		"names files, and counts what it does not name": {func(o *towpath.Observation) {
			o.FilesChanged, o.Files = 9, []towpath.FileChange{{Path: "a", How: "edited"}, {Path: "b", How: "added"}, {Path: "c", How: "removed"}, {Path: "d", How: "mode"}, {Path: ".", How: "removed"}}
		}, "file-changed: The file a of the release was edited.\nfile-changed: The file b was added to those of the release.\n" +
			"file-changed: The file c of the release was removed.\nfile-changed: The permissions of the file d of the release were changed.\n" +
			"file-changed: The folder with all of its files is gone.\nfile-changed: 4 more of its files were changed."},
		"names what could not be looked at, and calls it unknown": {
			func(o *towpath.Observation) {
				o.FilesUnread, o.Unread = 3, []towpath.FileUnread{{Path: "a", Why: "input/output error"}}
				o.FilesPartly = "the look ended after 200000 names"
			},
			"file-unknown: Whether a was changed nobody knows: it can't be read (input/output error).\nfile-unknown: 2 more of its files can't be read.\n" +
				"file-unknown: Not all of its files were looked at: the look ended after 200000 names. Whether the rest is as it was nobody knows.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := asDeployed()
			tt.change(o)
			var lines []string
			for _, d := range Differences(want, o) {
				lines = append(lines, string(d.Kind)+": "+d.Sentence)
			}
			if got := strings.Join(lines, "\n"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if got := Differences(want, nil); len(got) != 1 || got[0].Kind != towpath.DiffersGone {
		t.Errorf("of a target that nobody knows: %+v", got)
	}
}

var limits = Limits{}.WithDefaults()

func edited() []towpath.Difference {
	return []towpath.Difference{{Kind: towpath.DiffersFile, Subject: "serve", Sentence: "The file serve of the release was edited."}}
}

func unreadable() []towpath.Difference {
	return []towpath.Difference{{Kind: towpath.DiffersUnknown, Subject: "serve", Sentence: "Whether serve was changed nobody knows."}}
}

func added(name string) []towpath.Difference {
	return []towpath.Difference{{Kind: towpath.DiffersFile, Subject: name, Sentence: "The file " + name + " was added to those of the release."}}
}

func TestLimits_With(t *testing.T) {
	if got := limits.With(nil); got != limits {
		t.Errorf("without rules: %+v", got)
	}
	if got := limits.With(&towpath.DriftRules{Ignore: []string{"a"}}); got != limits {
		t.Errorf("with rules that say nothing of limits: %+v", got)
	}
	got := limits.With(&towpath.DriftRules{Debounce: time.Minute, Backoff: time.Hour, Repairs: 7, Window: time.Minute})
	want := limits
	want.Settle, want.Restart, want.Backoff, want.BackoffMax, want.Flaps, want.Window = time.Minute, time.Minute, time.Hour, time.Hour, 7, 14*time.Minute // in a minute there are never seven
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := limits.With(&towpath.DriftRules{Debounce: time.Minute, Repairs: 7, Window: 15 * time.Minute}); got.Window != 15*time.Minute {
		t.Errorf("a time in which so many come together is %s", got.Window)
	}
	if got := limits.With(&towpath.DriftRules{Debounce: time.Second}); got.Settle != time.Second || got.Restart != limits.Restart {
		t.Errorf("a short time to settle takes the agent's to start an instance: %+v", got)
	}
}

func TestSee(t *testing.T) {
	gone := []towpath.Difference{{Kind: towpath.DiffersGone}}
	silent := []towpath.Difference{{Kind: towpath.DiffersUnhealthy, Subject: "instance 0"}}
	type look struct {
		after time.Duration
		found []towpath.Difference
		state towpath.DriftState
		news  News
		files time.Time // of the look at files; zero: of an agent that does not say
	}
	one, other := noon.Add(-time.Hour), noon.Add(-2*time.Hour) // by a clock that goes wrong
	for name, looks := range map[string][]look{
		"one look is no drift": {{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {time.Second, nil, towpath.DriftNone, Nothing, time.Time{}}},
		"two looks at once are no drift either": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {time.Millisecond, edited(), towpath.DriftSuspected, Nothing, time.Time{}},
		},
		"two looks apart are, and two without end it": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, edited(), towpath.DriftFound, Found, time.Time{}}, {time.Hour, edited(), towpath.DriftFound, Nothing, time.Time{}},
			{time.Second, nil, towpath.DriftFound, Nothing, time.Time{}}, {limits.Settle, nil, towpath.DriftNone, Gone, time.Time{}},
		},
		"one look without does not end it": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, edited(), towpath.DriftFound, Found, time.Time{}},
			{time.Second, nil, towpath.DriftFound, Nothing, time.Time{}}, {limits.Settle, edited(), towpath.DriftFound, Nothing, time.Time{}}, {time.Second, nil, towpath.DriftFound, Nothing, time.Time{}},
		},
		"the agent has time to start an instance again": {
			{0, gone, towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, gone, towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Restart, gone, towpath.DriftFound, Found, time.Time{}},
		},
		"an instance that does not answer has time to do so again": {
			{0, silent, towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, silent, towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Restart, silent, towpath.DriftFound, Found, time.Time{}},
		},
		"other drift than before is news": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, edited(), towpath.DriftFound, Found, time.Time{}}, {limits.Quiet, append(edited(), gone...), towpath.DriftFound, Changed, time.Time{}},
		},
		"what changes at each look is news once in a while": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, edited(), towpath.DriftFound, Found, time.Time{}},
			{time.Second, append(edited(), added("a")...), towpath.DriftFound, Nothing, time.Time{}}, {time.Second, append(edited(), added("b")...), towpath.DriftFound, Nothing, time.Time{}},
			{limits.Quiet, append(edited(), added("b")...), towpath.DriftFound, Changed, time.Time{}}, {limits.Quiet, append(edited(), added("b")...), towpath.DriftFound, Nothing, time.Time{}},
		},
		"what changes at each look does not hide what stays": {
			{0, append(edited(), added("a")...), towpath.DriftSuspected, Nothing, time.Time{}}, {time.Second, append(edited(), added("b")...), towpath.DriftSuspected, Nothing, time.Time{}},
			{limits.Settle, append(added("c"), edited()...), towpath.DriftFound, Found, time.Time{}},
		},
		"each look something else of the kind is no drift yet": {
			{0, added("a"), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, added("b"), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Settle, added("c"), towpath.DriftSuspected, Nothing, time.Time{}},
		},
		"a look at files does not confirm itself, however often it is told": {
			{0, edited(), towpath.DriftSuspected, Nothing, one}, {time.Hour, edited(), towpath.DriftSuspected, Nothing, one},
			{time.Hour, edited(), towpath.DriftFound, Found, other},
		},
		"nor does it end what another one found": {
			{0, edited(), towpath.DriftSuspected, Nothing, one}, {limits.Settle, edited(), towpath.DriftFound, Found, other},
			{time.Second, nil, towpath.DriftFound, Nothing, one}, {time.Hour, nil, towpath.DriftFound, Nothing, one}, {time.Second, nil, towpath.DriftNone, Gone, other},
		},
		"what is no file is seen at each look": {
			{0, append(edited(), gone...), towpath.DriftSuspected, Nothing, one}, {limits.Settle, append(edited(), gone...), towpath.DriftSuspected, Nothing, one},
			{limits.Restart, append(edited(), gone...), towpath.DriftFound, Found, one},
			{time.Second, nil, towpath.DriftFound, Nothing, one}, {limits.Settle, nil, towpath.DriftFound, Nothing, one}, {time.Second, nil, towpath.DriftNone, Gone, other},
		},
		"what is no file is over, whenever the files were looked at": {
			{0, gone, towpath.DriftSuspected, Nothing, one}, {limits.Restart, gone, towpath.DriftFound, Found, one},
			{time.Second, nil, towpath.DriftFound, Nothing, one}, {limits.Settle, nil, towpath.DriftNone, Gone, one},
		},
		"a file that nobody can read is told of as any other": {
			{0, unreadable(), towpath.DriftSuspected, Nothing, one}, {limits.Settle, unreadable(), towpath.DriftSuspected, Nothing, one},
			{limits.Settle, unreadable(), towpath.DriftFound, Found, other},
		},
		"something else each time is no drift yet": {
			{0, edited(), towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Restart, gone, towpath.DriftSuspected, Nothing, time.Time{}}, {limits.Restart, edited(), towpath.DriftSuspected, Nothing, time.Time{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, now := towpath.Drift{State: towpath.DriftNone}, noon
			for i, l := range looks {
				now = now.Add(l.after)
				var news News
				if d, news = See(d, Look{Found: l.found, Files: l.files}, now, limits); d.State != l.state || news != l.news {
					t.Fatalf("look %d: %s, news %q; want %s, %q", i+1, d.State, news, l.state, l.news)
				}
			}
		})
	}
}

func TestDecide(t *testing.T) {
	succeeded := towpath.RepairAttempt{Deployment: "dep_1", Began: noon.Add(-time.Minute), Ended: noon.Add(-time.Minute)}
	crashed := func(ago time.Duration, times int) (out []towpath.RepairAttempt) {
		for range times {
			out = append(out, towpath.RepairAttempt{Deployment: "dep_1", Ended: noon.Add(-ago), Failed: "an instance crashed."})
		}
		return out
	}
	repair := Situation{Policy: towpath.DriftRepair}
	for name, tt := range map[string]struct {
		d    towpath.Drift
		s    Situation
		want towpath.DriftState
		says string
	}{
		"repairs what it may":                                    {towpath.Drift{State: towpath.DriftFound, Differences: edited()}, repair, towpath.DriftRepairing, ""},
		"reports when that is the policy":                        {towpath.Drift{State: towpath.DriftFound, Differences: edited()}, Situation{Policy: towpath.DriftReport}, towpath.DriftFound, "to report"},
		"leaves a taken address to the router":                   {towpath.Drift{State: towpath.DriftFound, Differences: []towpath.Difference{{Kind: towpath.DiffersPort}}}, repair, towpath.DriftFound, "would not help"},
		"says so too where it is only reported":                  {towpath.Drift{State: towpath.DriftFound, Differences: []towpath.Difference{{Kind: towpath.DiffersPort}}}, Situation{Policy: towpath.DriftReport}, towpath.DriftFound, "would not help"},
		"waits for a deployment":                                 {towpath.Drift{State: towpath.DriftFound, Differences: edited()}, Situation{Policy: towpath.DriftRepair, Busy: "a deployment is under way"}, towpath.DriftFound, "A repair waits: a deployment is under way."},
		"does nothing about what is only suspect":                {towpath.Drift{State: towpath.DriftSuspected, Differences: edited()}, repair, towpath.DriftSuspected, ""},
		"waits after a repair that failed":                       {towpath.Drift{State: towpath.DriftBackOff, Differences: edited(), Repairs: crashed(limits.Backoff-1, 1)}, repair, towpath.DriftBackOff, "did not succeed: an instance crashed."},
		"also when it was as it should be meanwhile":             {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: crashed(limits.Backoff-1, 1)}, repair, towpath.DriftBackOff, "did not succeed: an instance crashed."},
		"and when a deployment is under way":                     {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: crashed(limits.Backoff-1, 1)}, Situation{Policy: towpath.DriftRepair, Busy: "x"}, towpath.DriftBackOff, "did not succeed"},
		"waits twice as long after the second one":               {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: crashed(2*limits.Backoff-1, 2)}, repair, towpath.DriftBackOff, "did not succeed"},
		"and no longer than the longest pause":                   {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: crashed(limits.BackoffMax, 20)}, repair, towpath.DriftRepairing, ""},
		"tries again after that":                                 {towpath.Drift{State: towpath.DriftBackOff, Differences: edited(), Repairs: crashed(limits.Backoff, 1)}, repair, towpath.DriftRepairing, ""},
		"repairs nothing that it can't look at":                  {towpath.Drift{State: towpath.DriftFound, Differences: unreadable()}, repair, towpath.DriftFound, "can read its own folder"},
		"repairs what differs, whatever else can't be looked at": {towpath.Drift{State: towpath.DriftFound, Differences: append(unreadable(), edited()...)}, repair, towpath.DriftRepairing, ""},
		"tries nothing again by itself where that is not the policy": {
			towpath.Drift{State: towpath.DriftBackOff, Again: noon.Add(time.Hour), Why: "x", Differences: edited(), Repairs: []towpath.RepairAttempt{{Failed: "an instance crashed."}}},
			Situation{Policy: towpath.DriftReport}, towpath.DriftFound, "The last repair did not succeed: an instance crashed. The component's policy is to report"},
		"repairs a third time":         {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: []towpath.RepairAttempt{succeeded, succeeded}}, repair, towpath.DriftRepairing, ""},
		"leaves alone what comes back": {towpath.Drift{State: towpath.DriftFound, Differences: edited(), Repairs: []towpath.RepairAttempt{succeeded, succeeded, succeeded}}, repair, towpath.DriftFlapping, "3 times within 1h and"},
		"and goes on leaving it alone": {towpath.Drift{State: towpath.DriftFlapping, Differences: edited(), Why: "left alone"}, repair, towpath.DriftFlapping, "left alone"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Decide(tt.d, tt.s, noon, limits)
			if got.State != tt.want || got.Repair != (tt.want == towpath.DriftRepairing) || !strings.Contains(got.Why, tt.says) || (tt.says == "") != (got.Why == "") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestDrift_Model lets somebody change what runs at random, and repairs succeed
// or fail at random, and asserts what holds whatever happens.
func TestDrift_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := towpath.Drift{State: towpath.DriftNone}
		now, differs := noon, false
		told := false
		var succeeded []time.Time
		failures, lastFailed := 0, time.Time{}
		var look Look
		var row struct { // of looks that found something
			since time.Time
			looks int // at files
		}
		for range rapid.IntRange(1, 200).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "after")) * time.Millisecond)
			if rapid.IntRange(0, 3).Draw(t, "somebody changes it") == 0 {
				differs = rapid.Bool().Draw(t, "differs")
			}
			if look.Files.IsZero() || rapid.IntRange(0, 2).Draw(t, "the files are not looked at") > 0 {
				look = Look{Files: now}
				if differs {
					look.Found = edited()
				}
				row.looks++
			}
			switch {
			case len(look.Found) == 0:
				row.since = time.Time{}
			case row.since.IsZero():
				row.since, row.looks = now, 1
			}
			if !d.State.Standing() && now.Sub(lastFailed) > limits.BackoffMax+limits.Window {
				failures = 0
			}
			before := d
			next, news := See(d, look, now, limits)
			again, _ := See(d, look, now, limits)
			if !reflect.DeepEqual(next, again) || !reflect.DeepEqual(before, d) {
				t.Fatalf("seeing twice gives %+v, then %+v", next, again)
			}
			if d = next; d.State.Standing() && before.State == d.State && len(look.Found) > 0 && before.Clean.IsZero() && !reflect.DeepEqual(before, d) {
				t.Fatalf("the same look writes: %+v, then %+v", before, d)
			}
			switch news {
			case Found:
				if row.looks < 2 || now.Sub(row.since) < limits.Settle {
					t.Fatalf("found after %s, by %d looks", now.Sub(row.since), row.looks)
				}
				told = true
			case Gone:
				if !told {
					t.Fatal("gone, and never found")
				}
				told = false
			}
			s := Situation{Policy: rapid.SampledFrom([]towpath.DriftPolicy{towpath.DriftRepair, towpath.DriftRepair, towpath.DriftReport}).Draw(t, "policy")}
			if rapid.IntRange(0, 4).Draw(t, "busy") == 0 {
				s.Busy = "a deployment is under way"
			}
			dec := Decide(d, s, now, limits)
			if !dec.Repair {
				d.State, d.Why, d.Again = dec.State, dec.Why, dec.Again
				continue
			}
			if s.Policy != towpath.DriftRepair || s.Busy != "" || !told {
				t.Fatalf("repairs %+v in %+v", d, s)
			}
			recent := 0
			for _, at := range succeeded {
				if now.Sub(at) <= limits.Window {
					recent++
				}
			}
			if recent >= limits.Flaps {
				t.Fatalf("repairs for the %dth time within %s", recent+1, limits.Window)
			}
			if pause := limits.Backoff << max(0, min(failures-1, 6)); failures > 0 && now.Sub(lastFailed) < min(pause, limits.BackoffMax) {
				t.Fatalf("tries again %s after the failure %d", now.Sub(lastFailed), failures)
			}
			id := towpath.DeploymentID("dep_" + now.String())
			d = Begun(d, towpath.RepairAttempt{Deployment: id, Began: now}, false)
			now = now.Add(time.Second)
			if rapid.Bool().Draw(t, "fails") {
				d = Ended(d, id, "an instance crashed", now, limits)
				failures, lastFailed = failures+1, now
				continue
			}
			d = Ended(d, id, "", now, limits)
			succeeded, failures, differs, row.since = append(succeeded, now), 0, false, time.Time{}
		}
		// In the end whoever changes it goes away, and nothing is left to keep.
		for range 3 {
			now = now.Add(2 * limits.Window)
			var news News
			if d, news = See(d, Look{}, now, limits); news == Gone {
				told = false
			}
		}
		if told || !reflect.DeepEqual(d, towpath.Drift{State: towpath.DriftNone, Repairs: []towpath.RepairAttempt{}}) && !reflect.DeepEqual(d, towpath.Drift{State: towpath.DriftNone}) {
			t.Fatalf("left: %+v", d)
		}
	})
}

func TestBegun_APersonBeginsTheCountAnew(t *testing.T) {
	d := towpath.Drift{State: towpath.DriftFlapping, Differences: edited(), Told: true}
	for range limits.Flaps {
		d.Repairs = append(d.Repairs, towpath.RepairAttempt{Deployment: "dep_1", Ended: noon})
	}
	d = Ended(Begun(d, towpath.RepairAttempt{Deployment: "dep_2"}, true), "dep_2", "", noon, limits)
	if d.State != towpath.DriftNone || len(d.Repairs) != 1 {
		t.Errorf("%+v", d)
	}
	if back := Begun(d, towpath.RepairAttempt{Deployment: "dep_3"}, false); len(back.Repairs) != 2 {
		t.Errorf("%+v", back)
	}
	if stray := Ended(d, "dep_9", "", noon, limits); !reflect.DeepEqual(stray, d) {
		t.Errorf("a repair of something else changes %+v", stray)
	}
}
