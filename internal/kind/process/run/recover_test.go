package run_test

import (
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// TestRunner_RecoversRetire: a kill between the end of the last old instance and that of
// its address leaves work to do.
func TestRunner_RecoversRetire(t *testing.T) {
	h := newHand(t)
	listen := func(at string) { h.change = func(s *process.Spec) { s.Listen = at } }
	listen("127.0.0.1:0")
	h.up(one)
	listen("localhost:0")
	h.up(two)
	listeners := func() (all []string) {
		t.Helper()
		st, err := h.router(t).Status(t.Context())
		h.must(err)
		rt, _ := st.Find(h.Target().Key())
		for _, l := range rt.Listeners {
			all = append(all, l.Listen)
		}
		return all
	}
	recovers := func(w kind.Work, want kind.Recovery) {
		t.Helper()
		if got, err := h.r.Recover(t.Context(), w); err != nil || got != want {
			t.Errorf("recovered as %q, %v, want %q; it listens at %q", got, err, want, listeners())
		}
	}
	w := h.work(towpath.VerbRetire, two)
	recovers(w, kind.RecoveredNotStarted)
	h.must(h.r.Retire(t.Context(), w))
	recovers(w, kind.RecoveredDone)
	_, err := h.router(t).Apply(t.Context(), route.Change{
		Route: h.Target().Key(), Fence: w.Operation.Fence, Operation: w.Operation.ID, Listen: []string{"127.0.0.1:0"},
	})
	h.must(err) // as if it had been killed before the last step
	recovers(w, kind.RecoveredNotStarted)
	h.must(h.r.Retire(t.Context(), w))
	recovers(w, kind.RecoveredDone)
	if got := listeners(); !slices.Equal(got, []string{"localhost:0"}) {
		t.Errorf("it listens at %q", got)
	}
}

// TestRunner_RecoversRetireOfTheFirst: what replaces nothing has been shown at its
// preview all the same, whose address is closed when it has the traffic.
func TestRunner_RecoversRetireOfTheFirst(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Preview = "127.0.0.1:0" }
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)))
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, one)))
	w := h.work(towpath.VerbRetire, one)
	for _, want := range []kind.Recovery{kind.RecoveredNotStarted, kind.RecoveredDone} {
		if got, err := h.r.Recover(t.Context(), w); err != nil || got != want {
			t.Errorf("recovered as %q, %v, want %q", got, err, want)
		}
		h.must(h.r.Retire(t.Context(), w))
	}
}
