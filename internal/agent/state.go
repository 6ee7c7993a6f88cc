package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// line is one entry of the journal.
type line struct {
	What      what                     `json:"what"`
	At        time.Time                `json:"at,omitzero"`
	ID        towpath.OperationID      `json:"id,omitempty"`
	Operation *towpath.Operation       `json:"operation,omitempty"` // of accepted
	Result    *towpath.OperationResult `json:"result,omitempty"`    // of done
	How       string                   `json:"how,omitempty"`       // of reported
	Target    *targetRecord            `json:"target,omitempty"`    // of target
	Open      *assignment              `json:"open,omitempty"`      // of open
}

// what an entry says.
type what string

const (
	wroteAccepted what = "accepted" // the agent will do it, with this fence
	wroteIntent   what = "intent"   // its effect may begin
	wroteEffect   what = "effect"   // its effect is complete
	wroteDone     what = "done"     // its result, to be told
	wroteReported what = "reported" // told, or there is nothing to tell
	wroteTarget   what = "target"   // after compaction: all of a target
	wroteOpen     what = "open"     // after compaction: all of an assignment
)

// assignment is an operation that is not reported yet.
type assignment struct {
	Operation towpath.Operation        `json:"operation"`
	Phase     agentrpc.JournalPhase    `json:"phase"`
	Run       int64                    `json:"run"` // grows with every intent and every new fence
	Result    *towpath.OperationResult `json:"result,omitempty"`
}

// targetRecord is what outlives the operations of a target.
type targetRecord struct {
	Target   towpath.Target   `json:"target"`
	Fence    int64            `json:"fence"`
	Layers   []towpath.Digest `json:"layers,omitempty"`   // whose files are in use
	Switched []switchRecord   `json:"switched,omitempty"` // revisions that have had the traffic, oldest first
	Prepared *preparedRecord  `json:"prepared,omitempty"` // the last one that was, unless it was removed
	Last     *finished        `json:"last,omitempty"`
}

// preparedRecord is a revision that was prepared, and so was checked.
type preparedRecord struct {
	Revision   towpath.RevisionID   `json:"revision"`
	Deployment towpath.DeploymentID `json:"deployment"`
}

// switchRecord is a revision that has had the traffic.
type switchRecord struct {
	Revision towpath.RevisionID `json:"revision"`
	Release  towpath.Digest     `json:"release"`
	At       time.Time          `json:"at"`
}

// finished is the last operation that was done: claimed again, because the
// server did not learn of it in time, it is not run again.
type finished struct {
	Operation towpath.OperationID     `json:"operation"`
	Result    towpath.OperationResult `json:"result"`
}

// maxSwitched bounds how many revisions of a target are remembered.
const maxSwitched = 200

// state is what the entries add up to.
type state struct {
	targets map[string]*targetRecord
	open    map[towpath.OperationID]*assignment
}

func newState() *state {
	return &state{targets: map[string]*targetRecord{}, open: map[towpath.OperationID]*assignment{}}
}

// apply takes an entry in. Entries of operations that are not open are no-ops:
// they were closed by a later claim.
func (s *state) apply(l line) {
	switch l.What {
	case wroteTarget:
		s.targets[l.Target.Target.Key()] = l.Target
		return
	case wroteOpen:
		s.open[l.Open.Operation.ID] = l.Open
		return
	case wroteAccepted:
		s.accept(*l.Operation)
		return
	}
	as, ok := s.open[l.ID]
	if !ok {
		return
	}
	switch l.What {
	case wroteIntent:
		as.Phase, as.Run = agentrpc.JournalIntent, as.Run+1
	case wroteEffect:
		as.Phase = agentrpc.JournalEffect
		s.effect(as.Operation, l.At)
	case wroteDone:
		as.Phase, as.Result = agentrpc.JournalDone, l.Result
		if l.Result.Status == towpath.ResultDone && as.Operation.Verb != towpath.VerbPlan {
			s.target(as.Operation.Target).Last = &finished{Operation: l.ID, Result: *l.Result}
		}
	case wroteReported:
		delete(s.open, l.ID)
	}
}

// seen is what is remembered of a target: nothing, if it is new.
func (s *state) seen(t towpath.Target) targetRecord {
	if rec, ok := s.targets[t.Key()]; ok {
		return *rec
	}
	return targetRecord{Target: t}
}

// target is the record of a target to write to.
func (s *state) target(t towpath.Target) *targetRecord {
	rec, ok := s.targets[t.Key()]
	if !ok {
		rec = &targetRecord{Target: t}
		s.targets[t.Key()] = rec
	}
	return rec
}

func (s *state) accept(op towpath.Operation) {
	t := s.target(op.Target)
	t.Fence = op.Fence
	if op.Spec.Layer != "" && op.Verb != towpath.VerbPlan && !slices.Contains(t.Layers, op.Spec.Layer) {
		t.Layers = append(slices.Clip(t.Layers), op.Spec.Layer)
	}
	if as, ok := s.open[op.ID]; ok {
		as.Operation, as.Run = op, as.Run+1
		if as.Result != nil && as.Result.Status == towpath.ResultError {
			// The server has heard of the error and wants another try.
			as.Phase, as.Result = agentrpc.JournalAccepted, nil
		}
		return
	}
	s.open[op.ID] = &assignment{Operation: op, Phase: agentrpc.JournalAccepted}
}

// effect is what a completed operation changes of its target's record.
func (s *state) effect(op towpath.Operation, at time.Time) {
	t := s.target(op.Target)
	switch op.Verb {
	case towpath.VerbPrepare:
		t.Prepared = &preparedRecord{Revision: op.Spec.Revision, Deployment: op.Deployment}
	case towpath.VerbRepair: // which retires everything else
		t.Layers = nil
		if op.Spec.Layer != "" {
			t.Layers = []towpath.Digest{op.Spec.Layer}
		}
	case towpath.VerbSwitch, towpath.VerbRestore:
		list := slices.DeleteFunc(slices.Clone(t.Switched), func(x switchRecord) bool { return x.Revision == op.Spec.Revision })
		list = append(list, switchRecord{Revision: op.Spec.Revision, Release: op.Spec.Release, At: at})
		t.Switched = list[max(0, len(list)-maxSwitched):]
	case towpath.VerbRetire:
		t.Layers = nil
		if op.Spec.Layer != "" {
			t.Layers = []towpath.Digest{op.Spec.Layer}
		}
	case towpath.VerbRemove:
		t.Layers, t.Prepared = nil, nil
	}
}

// lines is the state as the fewest entries that add up to it.
func (s *state) lines() []line {
	var out []line
	for _, k := range slices.Sorted(maps.Keys(s.targets)) {
		out = append(out, line{What: wroteTarget, Target: s.targets[k]})
	}
	for _, as := range s.assignments() {
		out = append(out, line{What: wroteOpen, Open: &as})
	}
	return out
}

// assignments lists what is open, by target and fence.
func (s *state) assignments() []assignment {
	out := make([]assignment, 0, len(s.open))
	for _, as := range s.open {
		out = append(out, *as)
	}
	slices.SortFunc(out, func(a, b assignment) int {
		return cmp.Or(cmp.Compare(a.Operation.Target.Key(), b.Operation.Target.Key()),
			cmp.Compare(a.Operation.Fence, b.Operation.Fence), cmp.Compare(a.Operation.ID, b.Operation.ID))
	})
	return out
}
