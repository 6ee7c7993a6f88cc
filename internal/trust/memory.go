package trust

import "sync"

// memory keeps what was found out, and forgets what nobody asked for the longest:
// a flood pushes out what is older than itself, and not what is in use. It has two
// generations; the weight of each is bounded. What of the weight of one was asked for
// last is always there.
type memory[K comparable, V any] struct {
	most int // weight of a generation

	mu         sync.Mutex
	weight     int // of the young
	young, old map[K]weighed[V]
}

type weighed[V any] struct {
	value  V
	weight int
}

func newMemory[K comparable, V any](most int) *memory[K, V] {
	return &memory[K, V]{most: most, young: map[K]weighed[V]{}}
}

func (m *memory[K, V]) get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x, ok := m.young[k]; ok {
		return x.value, true
	}
	x, ok := m.old[k]
	if ok {
		m.keep(k, x)
	}
	return x.value, ok
}

func (m *memory[K, V]) put(k K, value V, weight int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(k, weighed[V]{value, weight})
}

func (m *memory[K, V]) keep(k K, x weighed[V]) {
	if was, ok := m.young[k]; ok {
		m.weight -= was.weight
	} else if m.weight+x.weight > m.most {
		m.old, m.young, m.weight = m.young, map[K]weighed[V]{}, 0
	}
	m.young[k] = x
	m.weight += x.weight
}
