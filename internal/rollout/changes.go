package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Changes lists what differs between two JSON documents, by path, sorted. A
// document that is empty has no fields.
func Changes(before, after json.RawMessage) []towpath.Change {
	var a, b any
	_ = decode(before, &a) // both were written as canonical JSON by the builder
	_ = decode(after, &b)
	var out []towpath.Change
	compare("", a, b, &out)
	return out
}

func decode(raw json.RawMessage, v *any) error {
	if len(raw) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(v)
}

func compare(path string, a, b any, out *[]towpath.Change) {
	ma, aIsMap := a.(map[string]any)
	mb, bIsMap := b.(map[string]any)
	if (aIsMap || a == nil) && (bIsMap || b == nil) && (aIsMap || bIsMap) {
		keys := map[string]bool{}
		for k := range ma {
			keys[k] = true
		}
		for k := range mb {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			p := k
			if path != "" {
				p = path + "." + k
			}
			compare(p, ma[k], mb[k], out)
		}
		return
	}
	x, y := show(a), show(b)
	if x != y {
		*out = append(*out, towpath.Change{Path: path, Before: x, After: y})
	}
}

func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
