package drift

import (
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Limits are the times and counts that decisions depend on.
type Limits struct {
	// Settle is how long a difference has to be seen, and not to be seen, to
	// count; Restart is Settle for instances, which the agent itself starts again,
	// and for those that may answer again.
	Settle, Restart time.Duration
	// Backoff is the pause after a repair that failed, doubling to BackoffMax.
	Backoff, BackoffMax time.Duration
	// Flaps is how many repairs within Window are made; what differs again after
	// that is left alone.
	Flaps  int
	Window time.Duration
	// Quiet is how soon after news of a target there is news of it again: what
	// differs otherwise at each look is told of once in a while.
	Quiet time.Duration
}

// With are the limits as a component's rules have them.
func (l Limits) With(rules *towpath.DriftRules) Limits {
	if rules == nil {
		return l
	}
	set := func(d *time.Duration, v time.Duration) {
		if v > 0 {
			*d = v
		}
	}
	set(&l.Settle, rules.Debounce)
	l.Restart = max(l.Restart, l.Settle) // what the agent needs to start instances again stays
	set(&l.Backoff, rules.Backoff)
	set(&l.BackoffMax, rules.BackoffMax)
	l.BackoffMax = max(l.BackoffMax, l.Backoff)
	set(&l.Window, rules.Window)
	if rules.Repairs > 0 {
		l.Flaps = rules.Repairs
	}
	l.Window = max(l.Window, towpath.LeastWindow(l.Flaps, l.Restart))
	return l
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Settle, 3*time.Second)
	set(&l.Restart, 20*time.Second)
	set(&l.Backoff, 30*time.Second)
	set(&l.BackoffMax, 30*time.Minute)
	set(&l.Window, time.Hour)
	set(&l.Quiet, time.Minute)
	if l.Flaps == 0 {
		l.Flaps = towpath.DefaultRepairs
	}
	return l
}

// News is what there is to record of a look at a target.
type News string

// What there is to record. Nothing is the usual: then the record has not
// changed, or in a way that is nobody's news.
const (
	Nothing News = ""
	Found   News = "found"   // drift, for certain
	Changed News = "changed" // other drift than before
	Gone    News = "gone"
)

// Look is what was seen of a target.
type Look struct {
	Found []towpath.Difference
	// Files is when its files were looked at, by its place's clock: a place looks
	// at them less often than at all else, and tells what it saw again until then.
	// Zero: it does not say.
	Files time.Time
}

// same reports whether its files were not looked at since a look.
func (k Look) same(files time.Time) bool { return !files.IsZero() && k.Files.Equal(files) }

// See takes a look at a target into account: what differs now, if anything. A
// difference counts once it was seen in two looks that are Settle apart, and is
// gone once it was not seen in two. It changes only the record, which is equal
// to the one before when there is nothing to write.
func See(d towpath.Drift, k Look, now time.Time, l Limits) (towpath.Drift, News) {
	found := k.Found
	switch {
	case !d.State.Standing():
		d.Repairs = remembered(d.Repairs, now, l)
		if len(found) > 0 {
			return suspect(d, k, now, l)
		}
		return none(d)
	case len(found) == 0:
		return clean(d, k, now, l)
	}
	d.Clean, d.Files = time.Time{}, time.Time{}
	d, found = confirmed(d, k, now, l)
	// A count or a sentence may differ: it is kept for people, and no news.
	d.Untold = d.Untold || !slices.Equal(kindsOf(d.Differences), kindsOf(found))
	d.Differences = found
	if !d.Untold || now.Sub(d.ToldAt) < l.Quiet {
		return d, Nothing
	}
	d.Untold, d.ToldAt = false, now
	return d, Changed
}

// confirmed are the differences of a look that count where drift stands. Where
// none of that can be repaired, what can be is only suspect at first, as it would
// be where nothing stands: one look is no reason to replace what runs.
func confirmed(d towpath.Drift, k Look, now time.Time, l Limits) (towpath.Drift, []towpath.Difference) {
	fresh := slices.DeleteFunc(slices.Clone(k.Found), func(x towpath.Difference) bool { return !repairable(x) })
	was := d.Beside
	d.Beside = towpath.Suspicion{}
	if len(fresh) == 0 || Repairable(d.Differences) {
		return d, k.Found
	}
	s := towpath.Drift{State: towpath.DriftNone}
	if len(was.Differences) > 0 {
		s = towpath.Drift{State: towpath.DriftSuspected, Differences: was.Differences, Since: was.Since, Files: was.Files}
	}
	s, news := suspect(s, Look{Found: fresh, Files: k.Files}, now, l)
	if news == Found {
		return d, k.Found
	}
	d.Beside = towpath.Suspicion{Differences: s.Differences, Since: s.Since, Files: s.Files}
	if rest := slices.DeleteFunc(slices.Clone(k.Found), repairable); len(rest) > 0 {
		return d, rest
	}
	return d, d.Differences // until something else is certain
}

// clean is a look that found nothing any more.
func clean(d towpath.Drift, k Look, now time.Time, l Limits) (towpath.Drift, News) {
	d.Beside = towpath.Suspicion{}
	switch {
	case d.State == towpath.DriftRepairing:
		return d, Nothing // its end says more
	case d.Clean.IsZero():
		d.Clean, d.Files = now, k.Files
		return d, Nothing
	case now.Sub(d.Clean) < l.Settle, k.same(d.Files) && slices.ContainsFunc(d.Differences, ofFile):
		return d, Nothing
	}
	return none(d)
}

// none is a target that is as it should be.
func none(d towpath.Drift) (towpath.Drift, News) {
	news := Nothing
	if d.Told {
		news = Gone
	}
	return towpath.Drift{Target: d.Target, Revision: d.Revision, State: towpath.DriftNone, Repairs: d.Repairs}, news
}

// suspect is a look that found something which is not certain yet. What has been
// there in every look since the first one counts: who changes something else
// each time does not put it off.
func suspect(d towpath.Drift, k Look, now time.Time, l Limits) (towpath.Drift, News) {
	found := k.Found
	still := found
	if d.State == towpath.DriftSuspected {
		still = common(found, d.Differences)
	}
	if d.State != towpath.DriftSuspected || len(still) == 0 {
		d.State, d.Differences, d.Since, d.Files, d.Clean, d.Why, d.Again = towpath.DriftSuspected, found, now, k.Files, time.Time{}, "", time.Time{}
		return d, Nothing
	}
	again := still
	if k.same(d.Files) { // what was seen of the files was seen once
		again = notOfFiles(still)
	}
	if len(again) == 0 || now.Sub(d.Since) < settle(again, l) {
		d.Differences = still
		return d, Nothing
	}
	d.State, d.Differences, d.Files, d.Told, d.ToldAt, d.Untold = towpath.DriftFound, found, time.Time{}, true, now, false
	return d, Found
}

// common are those differences of the first list that are in the second one too.
func common(all, other []towpath.Difference) []towpath.Difference {
	known := kindsOf(other)
	return slices.DeleteFunc(slices.Clone(all), func(d towpath.Difference) bool { return !slices.Contains(known, key{d.Kind, d.Subject}) })
}

func ofFile(d towpath.Difference) bool {
	return d.Kind == towpath.DiffersFile || d.Kind == towpath.DiffersUnknown
}

func notOfFiles(all []towpath.Difference) []towpath.Difference {
	return slices.DeleteFunc(slices.Clone(all), ofFile)
}

// settle is how long differences have to be seen: the shortest of theirs.
func settle(found []towpath.Difference, l Limits) time.Duration {
	for _, d := range found {
		switch d.Kind {
		case towpath.DiffersGone, towpath.DiffersInstances, towpath.DiffersUnhealthy:
		default:
			return l.Settle
		}
	}
	return l.Restart
}

// key names a difference, whatever is said of it.
type key struct {
	kind    towpath.DifferenceKind
	subject string
}

func kindsOf(all []towpath.Difference) []key {
	out := make([]key, len(all))
	for i, d := range all {
		out[i] = key{d.Kind, d.Subject}
	}
	return out
}
