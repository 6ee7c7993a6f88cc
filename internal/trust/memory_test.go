package trust

import "testing"

// TestMemory: what was asked for last is there, however much was put in.
func TestMemory(t *testing.T) {
	const most = 10
	m := newMemory[int, string](most)
	has := func(k int) bool { _, ok := m.get(k); return ok }
	m.put(0, "in use", 1)
	for i := 1; i < 100; i++ {
		m.put(i, "flood", 1)
		if !has(0) {
			t.Fatalf("what is in use is forgotten after %d", i)
		}
		if n := len(m.young) + len(m.old); n > 2*most {
			t.Fatalf("%d are kept, of at most %d", n, 2*most)
		}
	}
	for i := 99; i > 99-most+1; i-- {
		if !has(i) {
			t.Errorf("%d of the last is forgotten", i)
		}
	}
	if has(50) {
		t.Error("what nobody asked for is kept")
	}
	t.Run("what is heavy takes more room", func(t *testing.T) {
		m := newMemory[int, string](most)
		for i := range 10 {
			m.put(i, "heavy", most/2)
			m.put(i, "once more", most/2)
		}
		if n := len(m.young) + len(m.old); n > 4 {
			t.Errorf("%d are kept", n)
		}
		if v, ok := m.get(9); !ok || v != "once more" {
			t.Errorf("%q, %v", v, ok)
		}
	})
	t.Run("a look over as many as fit finds all of them the next time", func(t *testing.T) {
		m := newMemory[int, string](most)
		for i := range 5 {
			m.put(-1-i, "before", 1)
		}
		missed := 0
		for range 5 {
			for i := range most {
				if !hasOr(m, i) {
					missed++
				}
			}
		}
		if missed != most {
			t.Errorf("%d were looked up anew, not %d", missed, most)
		}
	})
}

// hasOr asks for something, and puts it in when it is not there.
func hasOr(m *memory[int, string], k int) bool {
	_, ok := m.get(k)
	if !ok {
		m.put(k, "", 1)
	}
	return ok
}
