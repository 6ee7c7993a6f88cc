package ledger

import "github.com/towpath/towpath/internal/towpath"

// Leaf is the bytes of an event's leaf, for tests that write them in bulk.
func Leaf(ev towpath.Event) []byte {
	r, err := newRow(ev)
	if err != nil {
		panic(err)
	}
	return r.leaf
}
