package towpath

import (
	"cmp"
	"slices"
)

// Transitions is the table of a noun's phases: from phase, on trigger, to
// phase. Nothing assigns a phase except through such a table; docs/states.md
// is generated from them.
type Transitions[P, T ~string] map[P]map[T]P

// Next is the phase that trigger leads to from phase from. A trigger that the
// table does not have there is a conflict.
func (t Transitions[P, T]) Next(noun string, from P, trigger T) (P, error) {
	to, ok := t[from][trigger]
	if !ok {
		return from, E(KindConflict, noun+".transition", "a %s that is %s can't be %s", noun, from, trigger)
	}
	return to, nil
}

// Terminal reports whether no trigger leads out of p. A phase that the table
// does not have is not: nobody can tell what comes after it.
func (t Transitions[P, T]) Terminal(p P) bool { return len(t[p]) == 0 && t.knows(p) }

// knows reports whether the table has a phase.
func (t Transitions[P, T]) knows(p P) bool {
	_, ok := t[p]
	for _, row := range t {
		for _, to := range row {
			ok = ok || to == p
		}
	}
	return ok
}

// Row is one line of a table of transitions.
type Row struct{ From, Trigger, To string }

// Rows lists the table in a stable order.
func (t Transitions[P, T]) Rows() []Row {
	var rows []Row
	for from, m := range t {
		for trigger, to := range m {
			rows = append(rows, Row{string(from), string(trigger), string(to)})
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Trigger, b.Trigger))
	})
	return rows
}
