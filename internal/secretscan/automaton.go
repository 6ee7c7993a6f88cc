package secretscan

import "slices"

// automaton finds every occurrence of a set of keywords in one pass, in any
// case of their ASCII letters: Aho and Corasick, "Efficient string matching",
// CACM 18(6), 1975, with every failure link resolved beforehand, so that a byte
// costs one look-up.
type automaton struct {
	class [256]uint8 // bytes that no keyword has share class 0; both cases of a letter share one
	width uint32     // number of classes
	next  []uint32   // by state and class; states are multiples of width
	final uint32     // states from here on end a keyword
	ends  [][]int    // by (state-final)/width: the keywords that end there
}

// newAutomaton makes the automaton of keywords in lower case.
func newAutomaton(keywords []string) *automaton {
	a := &automaton{width: 1}
	for _, k := range keywords {
		for i := range len(k) {
			a.admit(k[i])
		}
	}
	return a.renumbered(newTrie(a, keywords))
}

func (a *automaton) admit(b byte) {
	if a.class[b] != 0 {
		return
	}
	a.class[b] = uint8(a.width) //nolint:gosec // at most 256 bytes less 26 letters
	if 'a' <= b && b <= 'z' {
		a.class[b-'a'+'A'] = a.class[b]
	}
	a.width++
}

// trie is the automaton while it is made: states are counted from 0, the root.
type trie struct {
	next [][]int
	ends [][]int
}

func newTrie(a *automaton, keywords []string) *trie {
	t := &trie{}
	t.grow(int(a.width))
	for id, k := range keywords {
		s := 0
		for i := range len(k) {
			c := a.class[k[i]]
			if t.next[s][c] == 0 {
				t.next[s][c] = t.grow(int(a.width))
			}
			s = t.next[s][c]
		}
		t.ends[s] = append(t.ends[s], id)
	}
	t.link()
	return t
}

func (t *trie) grow(width int) int {
	t.next, t.ends = append(t.next, make([]int, width)), append(t.ends, nil)
	return len(t.next) - 1
}

// link fills in where a state goes on when its own branch ends: to where the
// longest proper suffix of what was read would be. Breadth first, because that
// suffix is shorter.
func (t *trie) link() {
	fail := make([]int, len(t.next))
	var queue []int
	for _, s := range t.next[0] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		t.ends[s] = append(t.ends[s], t.ends[fail[s]]...)
		for c, to := range t.next[s] {
			if to == 0 {
				t.next[s][c] = t.next[fail[s]][c]
				continue
			}
			fail[to] = t.next[fail[s]][c]
			queue = append(queue, to)
		}
	}
}

// renumbered puts the states that end a keyword last, so that one comparison
// tells them.
func (a *automaton) renumbered(t *trie) *automaton {
	var order []int
	for s, ends := range t.ends {
		if len(ends) == 0 {
			order = append(order, s)
		}
	}
	a.final = uint32(len(order)) * a.width //nolint:gosec // a few thousand states
	for s, ends := range t.ends {
		if len(ends) > 0 {
			order = append(order, s)
			a.ends = append(a.ends, slices.Clone(ends))
		}
	}
	number := make([]uint32, len(order))
	for i, s := range order {
		number[s] = uint32(i) * a.width //nolint:gosec // as above
	}
	a.next = make([]uint32, 0, len(order)*int(a.width))
	for _, s := range order {
		for _, to := range t.next[s] {
			a.next = append(a.next, number[to])
		}
	}
	return a
}

// step goes on from a state over text until a keyword has ended, and says where
// it stopped: after the last byte that was read.
func (a *automaton) step(state uint32, text []byte) (next uint32, read int) {
	for i, b := range text {
		state = a.next[state+uint32(a.class[b])]
		if state >= a.final {
			return state, i + 1
		}
	}
	return state, len(text)
}

// ended are the keywords that end at a state.
func (a *automaton) ended(state uint32) []int {
	if state < a.final {
		return nil
	}
	return a.ends[(state-a.final)/a.width]
}
