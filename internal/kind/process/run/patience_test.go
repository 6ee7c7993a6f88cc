package run

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// TestPatience: requests have their time to finish, but where users wait for what
// has them to stop.
func TestPatience(t *testing.T) {
	spec := process.Spec{StopGrace: 10 * time.Second, Answer: time.Minute}
	with := func(change func(*process.Spec)) process.Spec { s := spec; change(&s); return s }
	runs := towpath.OperationSpec{Previous: "rev_1", Timeout: 5 * time.Minute}
	back := towpath.OperationSpec{Previous: "rev_1", Back: true, Timeout: 5 * time.Minute}
	for _, tt := range []struct {
		name string
		verb towpath.Verb
		op   towpath.OperationSpec
		spec process.Spec
		want time.Duration
	}{
		{"as long as an answer may take to begin", towpath.VerbRetire, runs, spec, time.Minute},
		{"the stop grace where that is longer", towpath.VerbRetire, runs, with(func(s *process.Spec) { s.StopGrace = 2 * time.Minute }), 2 * time.Minute},
		{"a minute where answers have no end", towpath.VerbRetire, runs, with(func(s *process.Spec) { s.Answer = 0 }), time.Minute},
		{"what is said", towpath.VerbRetire, runs, with(func(s *process.Spec) { s.Drain = 3 * time.Second }), 3 * time.Second},
		{"half of the time of a step at most", towpath.VerbPrepare, runs, with(func(s *process.Spec) { s.Answer = time.Hour }), 150 * time.Second},
		{"what was replaced by a rollback", towpath.VerbRetire, back, spec, time.Minute},
		{"what a release does without", towpath.VerbRemove, runs, spec, time.Minute},
		{"what gives way to what is restored", towpath.VerbRestore, runs, spec, 10 * time.Second},
		{"what gives way to a rollback", towpath.VerbPrepare, back, spec, 10 * time.Second},
		{"what was created and goes away again", towpath.VerbRemove, back, spec, 10 * time.Second},
		{"what never came to run", towpath.VerbRemove, towpath.OperationSpec{Timeout: 5 * time.Minute}, spec, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := patience(towpath.Operation{Verb: tt.verb, Spec: tt.op}, tt.spec); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	none := route.Traffic{Revision: "rev_1", Weight: 1}
	some := route.Traffic{Revision: "rev_1", Weight: 1, Others: []route.Backend{{Revision: "rev_2", Weight: 1, Instances: []route.Instance{{ID: "a"}}}}}
	if takesRequests(none) || !takesRequests(some) {
		t.Errorf("without instances somebody answers: %t; with another revision's: %t", takesRequests(none), takesRequests(some))
	}
}
