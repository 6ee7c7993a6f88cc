package secretscan

// literals finds many texts at once, without regard to the case of ASCII
// letters: the automaton of Aho and Corasick as a table.
type literals struct {
	next [][256]uint16 // by state and byte
	hits [][]hit       // by state
}

// hit is a text that ends in a state.
type hit struct {
	rule   int
	length int // of the text, in bytes
}

// newLiterals makes the automaton of the rules' texts, which are in lower case.
func newLiterals(rules []rule) *literals {
	l := &literals{next: make([][256]uint16, 1), hits: make([][]hit, 1)}
	for i, r := range rules {
		for _, text := range r.literals {
			state := uint16(0)
			for _, c := range []byte(text) {
				if l.next[state][c] == 0 {
					l.next = append(l.next, [256]uint16{})
					l.hits = append(l.hits, nil)
					l.next[state][c] = uint16(len(l.next) - 1)
				}
				state = l.next[state][c]
			}
			l.hits[state] = append(l.hits[state], hit{rule: i, length: len(text)})
		}
	}
	l.link()
	for state := range l.next {
		for c := byte('A'); c <= 'Z'; c++ {
			l.next[state][c] = l.next[state][c+'a'-'A']
		}
	}
	return l
}

// link fills in where a state goes on a byte that no text has there: to where
// its longest proper suffix goes. States are visited by their length.
func (l *literals) link() {
	suffix := make([]uint16, len(l.next))
	var queue []uint16
	for c := range 256 {
		if s := l.next[0][c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		l.hits[state] = append(l.hits[state], l.hits[suffix[state]]...)
		for c := range 256 {
			to := l.next[suffix[state]][c]
			if s := l.next[state][c]; s != 0 {
				suffix[s] = to
				queue = append(queue, s)
				continue
			}
			l.next[state][c] = to
		}
	}
}

// find calls found with the position and the rule of every text in b, in the
// order of their ends.
func (l *literals) find(b []byte, found func(at, rule int)) {
	state := uint16(0)
	for i, c := range b {
		state = l.next[state][c]
		if len(l.hits[state]) == 0 {
			continue
		}
		for _, h := range l.hits[state] {
			found(i+1-h.length, h.rule)
		}
	}
}
